//! A log through its public face: appended to, read, rolled, cut, closed, crashed.

mod append;
mod backlog;
mod claims;
mod compact;
mod crash;
mod damage;
mod deleted;
mod each;
mod follow;
mod hostile;
mod kit;
mod mended;
mod planted;
mod read;
mod recall;
mod redo;
mod relocate;
mod retention;
mod room;
mod script;
mod split;
mod starts;
mod times;
mod together;
mod told;
mod truncate;
