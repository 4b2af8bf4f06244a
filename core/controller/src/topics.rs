//! Topics: making and removing them.

mod create;
mod delete;

pub(crate) use create::USER_RECORDS_MAX;
