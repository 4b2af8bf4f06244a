//! A log through its public face: appended to, read, rolled, cut, closed, crashed.

mod append;
mod crash;
mod deleted;
mod follow;
mod hostile;
mod kit;
mod read;
mod redo;
mod truncate;
