//! Brokers: how they come, stay and go. Source: interop C.3.

mod fence;
mod heartbeat;
mod register;
