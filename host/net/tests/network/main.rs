//! The network as its peers see it: real sockets on 127.0.0.1, a handler that does what a frame's
//! first byte says (`kit.rs`).

mod files;
mod hostile;
mod kit;
mod lifecycle;
mod limits;
mod moves;
mod pipelining;
mod pressure;
