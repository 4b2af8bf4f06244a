//! Log directories before any node starts on them.
//!
//! ```text
//! survey    what each directory says of itself, or why it cannot
//! format    directories that say nothing become a node's
//! ```
//!
//! What formatting writes, and which directories fit together, is core/metadata's to know; here it
//! meets a disk. Not here: locks, what a node reads when it starts (`directories`), and whatever else
//! is in the directories (host/broker).

mod format;
mod initial_controllers;
mod survey;

#[cfg(test)]
mod tests;

pub use format::{
    DirectoryKind, FormatError, FormatRequest, Formatted, FormattedDirectory, InitialControllers,
    format,
};
pub use initial_controllers::{InitialControllersError, parse_initial_controllers};
pub use survey::{Content, Surveyed, survey};
