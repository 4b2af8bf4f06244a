//! The files of a log that keeps what it is given: one after another, the oldest goes.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    path::PathBuf,
    rc::Rc,
};

use anyhow::{Context, Result};

/// How many there are.
const KEPT: usize = 4;

pub(super) struct NewFiles {
    /// Their directory and the beginning of their names.
    path: PathBuf,
    made: u64,
    kept: VecDeque<PathBuf>,
}

impl NewFiles {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, made: 0, kept: VecDeque::new() }
    }

    /// Makes the next, and removes the oldest if there are enough.
    pub(super) fn next(&mut self) -> Result<Rc<File>> {
        if self.kept.len() == KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            fs::remove_file(&oldest).with_context(|| oldest.display().to_string())?;
        }
        let path = self.path.with_extension(format!("{}.log", self.made));
        self.made += 1;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        self.kept.push_back(path);
        Ok(Rc::new(file))
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        for path in &self.kept {
            // Who removes the directory beforehand may.
            let _ = fs::remove_file(path);
        }
    }
}
