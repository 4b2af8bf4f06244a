//! A log that takes the place of another one in another directory: a copy that has caught up.

use std::path::PathBuf;

use crate::{disk::Disk, log::Log};

impl<D: Disk> Log<D> {
    /// This log, whose directory is called `dir` from now on, takes the place of `other`, which holds
    /// the same records. A flush of the other one that is under way says nothing about this one.
    pub fn take_place_of(&mut self, other: &Self, dir: PathBuf) {
        assert_eq!(self.log_end, other.log_end, "the copy has caught up");
        assert_eq!(self.log_start, other.log_start, "and has lost what the other one has lost");
        self.config = other.config.clone();
        self.cleaned_to = other.cleaned_to;
        self.truncations = other.truncations.max(self.truncations) + 1;
        self.deleted.follow(&dir);
        self.dir.path = dir;
        // The directory's own name is new: the next flush makes it durable.
        self.parent_changed = true;
        self.names_changed = true;
    }
}
