//! The node as a process: what it starts with, in which order, and how it stops.
//!
//! Not here: how requests are answered (`dohle_broker`), and what a person types (the command line).

mod addresses;
mod directories;
mod node;
pub mod storage;

pub use addresses::AddressError;
pub use directories::DirectoriesError;
pub use dohle_net::Reserved;
pub use node::{Node, StartError};
