//! A log through its public face: appended to, read, rolled, cut, closed, crashed.

mod append;
mod compact;
mod crash;
mod damage;
mod deleted;
mod follow;
mod hostile;
mod kit;
mod planted;
mod read;
mod redo;
mod relocate;
mod retention;
mod script;
mod split;
mod told;
mod truncate;
