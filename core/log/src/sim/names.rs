//! The names of a simulated disk: which are durable, which a reader sees, and what lies between.
//!
//! A name is an entry in a directory, which is itself known by a number: so a directory that gets
//! another name takes along what is in it, and a power cut can undo just that.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Component, Path},
};

use super::Luck;
use crate::disk::DirEntry;

/// The directory that is always there.
const ROOT: u64 = 0;
/// The longest name that file systems take.
const NAME_SIZE_MAX: usize = 255;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Dir(u64),
    File(u64),
}

/// A name in a directory.
type Name = (u64, String);
type Entries = BTreeMap<Name, Node>;

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    durable: Entries,
    current: Entries,
    unsynced: Vec<Change>,
    inodes: u64,
}

/// Names set and removed in one step. Durable with the directory of the name that was set.
#[derive(Clone, Debug)]
struct Change {
    dir: u64,
    removed: Option<Name>,
    set: Option<(Name, Node)>,
}

impl Names {
    pub(super) fn file(&self, path: &Path) -> Option<u64> {
        match self.node(path) {
            Some(Node::File(inode)) => Some(inode),
            _ => None,
        }
    }

    pub(super) fn dir(&self, path: &Path) -> Option<u64> {
        match self.node(path) {
            Some(Node::Dir(inode)) => Some(inode),
            _ => None,
        }
    }

    /// All files that a name still leads to.
    pub(super) fn inodes(&self) -> BTreeSet<u64> {
        let files = self.current.values();
        files
            .filter_map(|node| if let Node::File(inode) = node { Some(*inode) } else { None })
            .collect()
    }

    pub(super) fn create_file(&mut self, path: &Path) -> Result<u64, ErrorKind> {
        let name = self.free(path)?;
        self.inodes += 1;
        self.change(None, Some((name, Node::File(self.inodes))));
        Ok(self.inodes)
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> Result<(), ErrorKind> {
        let name = self.free(path)?;
        self.inodes += 1;
        self.change(None, Some((name, Node::Dir(self.inodes))));
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> Result<u64, ErrorKind> {
        let inode = self.file(path).ok_or(ErrorKind::NotFound)?;
        let name = self.name(path)?;
        self.change(Some(name), None);
        Ok(inode)
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> Result<(), ErrorKind> {
        match self.list(path) {
            None => Err(ErrorKind::NotFound),
            Some(entries) if !entries.is_empty() => Err(ErrorKind::DirectoryNotEmpty),
            Some(_) => {
                let name = self.name(path)?;
                self.change(Some(name), None);
                Ok(())
            }
        }
    }

    /// Says which file lost its name by that.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<Option<u64>, ErrorKind> {
        let (source, target) = (self.name(from)?, self.name(to)?);
        let node = *self.current.get(&source).ok_or(ErrorKind::NotFound)?;
        let replaced = match (node, self.current.get(&target)) {
            (_, None) => None,
            (Node::File(_), Some(Node::File(inode))) => Some(*inode),
            (Node::File(_), Some(Node::Dir(_))) => return Err(ErrorKind::IsADirectory),
            (Node::Dir(_), Some(_)) => return Err(ErrorKind::AlreadyExists),
        };
        self.change(Some(source), Some((target, node)));
        Ok(replaced)
    }

    pub(super) fn list(&self, dir: &Path) -> Option<Vec<DirEntry>> {
        let dir = self.dir(dir)?;
        let entries = self.current.range((dir, String::new())..);
        let entries = entries.take_while(|((of, _), _)| *of == dir);
        let entry = |((_, name), node): (&Name, &Node)| DirEntry {
            name: name.clone(),
            is_dir: matches!(node, Node::Dir(_)),
        };
        Some(entries.map(entry).collect())
    }

    pub(super) fn sync(&mut self, dir: u64) {
        let (synced, unsynced) =
            std::mem::take(&mut self.unsynced).into_iter().partition(|change| change.dir == dir);
        self.unsynced = unsynced;
        for change in synced {
            change.apply(&mut self.durable);
        }
    }

    /// The directory `dir` and those under it, and the files there.
    pub(super) fn under(&self, dir: u64) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let (mut dirs, mut files, mut unseen) = (BTreeSet::from([dir]), BTreeSet::new(), vec![dir]);
        while let Some(dir) = unseen.pop() {
            let entries = self.current.range((dir, String::new())..);
            for (_, node) in entries.take_while(|((of, _), _)| *of == dir) {
                match node {
                    Node::Dir(inode) if dirs.insert(*inode) => unseen.push(*inode),
                    Node::Dir(_) => {}
                    Node::File(inode) => drop(files.insert(*inode)),
                }
            }
        }
        (dirs, files)
    }

    /// A sync failed: what it should have made durable never will be.
    pub(super) fn forget(&mut self, dir: u64) {
        self.unsynced.retain(|change| change.dir != dir);
    }

    pub(super) fn cut(&mut self, luck: &mut Luck) {
        let in_order = luck.names_in_order();
        let mut lost = BTreeSet::new();
        for change in std::mem::take(&mut self.unsynced) {
            // A sync of a new file can make its name durable and no other, but no system lets a
            // removal or a new name overtake an earlier one in its directory.
            let is_alone = !in_order && change.removed.is_none();
            if is_alone {
                if luck.keeps() {
                    change.apply(&mut self.durable);
                }
            } else if lost.contains(&change.dir) || !luck.keeps() {
                lost.insert(change.dir);
            } else {
                change.apply(&mut self.durable);
            }
        }
        self.current = self.durable.clone();
        // What is in a directory that no name leads to is not there.
        let mut reached = BTreeSet::from([ROOT]);
        let mut unseen = vec![ROOT];
        while let Some(dir) = unseen.pop() {
            let entries = self.current.range((dir, String::new())..);
            for (_, node) in entries.take_while(|((of, _), _)| *of == dir) {
                if let Node::Dir(inode) = node
                    && reached.insert(*inode)
                {
                    unseen.push(*inode);
                }
            }
        }
        self.current.retain(|(dir, _), _| reached.contains(dir));
        self.durable = self.current.clone();
    }

    /// Puts a file there, with its directories, as if it had always been.
    pub(super) fn plant(&mut self, path: &Path) -> u64 {
        let known = self.unsynced.len();
        let dirs = path.ancestors().skip(1).filter(|dir| dir.parent().is_some());
        let dirs = dirs.collect::<Vec<_>>();
        for dir in dirs.iter().rev() {
            // It is there already, mostly.
            let _ = self.create_dir(dir);
        }
        let inode = self.file(path).or_else(|| self.create_file(path).ok());
        self.unsynced.truncate(known);
        for path in dirs.into_iter().chain([path]) {
            if let (Ok(name), Some(node)) = (self.name(path), self.node(path)) {
                self.durable.insert(name, node);
            }
        }
        inode.expect("a directory is in the way of a planted file")
    }

    fn node(&self, path: &Path) -> Option<Node> {
        let mut node = Node::Dir(ROOT);
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let Node::Dir(dir) = node else { return None };
            node = *self.current.get(&(dir, name.to_str()?.to_owned()))?;
        }
        Some(node)
    }

    fn name(&self, path: &Path) -> Result<Name, ErrorKind> {
        let dir = path.parent().and_then(|dir| self.dir(dir)).ok_or(ErrorKind::NotFound)?;
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidInput)?;
        if name.len() > NAME_SIZE_MAX {
            return Err(ErrorKind::InvalidFilename);
        }
        Ok((dir, name.to_owned()))
    }

    /// The name that `path` is, if nothing has it.
    fn free(&self, path: &Path) -> Result<Name, ErrorKind> {
        if path.parent().is_none() {
            return Err(ErrorKind::AlreadyExists);
        }
        let name = self.name(path)?;
        if self.current.contains_key(&name) { Err(ErrorKind::AlreadyExists) } else { Ok(name) }
    }

    fn change(&mut self, removed: Option<Name>, set: Option<(Name, Node)>) {
        let dir = set.as_ref().map(|(name, _)| name.0).or(removed.as_ref().map(|name| name.0));
        let change = Change { dir: dir.unwrap_or(ROOT), removed, set };
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, entries: &mut Entries) {
        if let Some(name) = &self.removed {
            entries.remove(name);
        }
        if let Some((name, node)) = &self.set {
            // A change before, which gave it another name, may be lost.
            entries.retain(|_, other| other != node);
            entries.insert(name.clone(), *node);
        }
    }
}
