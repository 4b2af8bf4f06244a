//! The names of a simulated disk: which are durable, which a reader sees, and what lies between.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::Luck;
use crate::disk::DirEntry;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    File(u64),
}

type Tree = BTreeMap<PathBuf, Node>;

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    durable: Tree,
    current: Tree,
    unsynced: Vec<Change>,
}

/// Names set and removed in one step, in one directory.
#[derive(Clone, Debug)]
struct Change {
    dir: PathBuf,
    names: Vec<(PathBuf, Option<Node>)>,
}

impl Names {
    pub(super) fn file(&self, path: &Path) -> Option<u64> {
        match self.current.get(path) {
            Some(Node::File(inode)) => Some(*inode),
            _ => None,
        }
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        // The root, named so or not, is always there.
        path.parent().is_none() || self.current.get(path) == Some(&Node::Dir)
    }

    /// All files that a name still leads to.
    pub(super) fn inodes(&self) -> BTreeSet<u64> {
        let files = self.current.values();
        files
            .filter_map(|node| if let Node::File(inode) = node { Some(*inode) } else { None })
            .collect()
    }

    /// Whether a new name can be made there.
    pub(super) fn check_free(&self, path: &Path) -> Result<(), ErrorKind> {
        if self.current.contains_key(path) || path.parent().is_none() {
            Err(ErrorKind::AlreadyExists)
        } else if path.parent().is_some_and(|dir| self.is_dir(dir)) {
            Ok(())
        } else {
            Err(ErrorKind::NotFound)
        }
    }

    pub(super) fn set(&mut self, path: &Path, node: Option<Node>) {
        self.change(path, vec![(path.to_owned(), node)]);
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), ErrorKind> {
        let Some(node) = self.current.get(from).copied() else { return Err(ErrorKind::NotFound) };
        if !to.parent().is_some_and(|dir| self.is_dir(dir)) {
            return Err(ErrorKind::NotFound);
        }
        match node {
            Node::File(_) if self.current.get(to) == Some(&Node::Dir) => {
                Err(ErrorKind::IsADirectory)
            }
            Node::File(_) => {
                self.change(to, vec![(from.to_owned(), None), (to.to_owned(), Some(node))]);
                Ok(())
            }
            Node::Dir if self.current.contains_key(to) => Err(ErrorKind::AlreadyExists),
            Node::Dir => {
                move_tree(&mut self.current, from, to);
                move_tree(&mut self.durable, from, to);
                for change in &mut self.unsynced {
                    move_path(&mut change.dir, from, to);
                    change.names.iter_mut().for_each(|(path, _)| move_path(path, from, to));
                }
                Ok(())
            }
        }
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> Result<(), ErrorKind> {
        match self.list(path) {
            None => Err(ErrorKind::NotFound),
            Some(entries) if !entries.is_empty() => Err(ErrorKind::DirectoryNotEmpty),
            Some(_) => {
                self.set(path, None);
                Ok(())
            }
        }
    }

    pub(super) fn list(&self, dir: &Path) -> Option<Vec<DirEntry>> {
        self.is_dir(dir).then(|| {
            let names = self.current.iter().filter(|(path, _)| path.parent() == Some(dir));
            names.filter_map(|(path, node)| entry(path, *node)).collect()
        })
    }

    pub(super) fn sync(&mut self, dir: &Path) {
        let (synced, unsynced) =
            std::mem::take(&mut self.unsynced).into_iter().partition(|change| change.dir == dir);
        self.unsynced = unsynced;
        for change in synced {
            apply(&mut self.durable, change.names);
        }
    }

    pub(super) fn cut(&mut self, luck: &mut Luck) {
        let mut lost = BTreeSet::new();
        for change in std::mem::take(&mut self.unsynced) {
            // In one directory changes become durable in order.
            if lost.contains(&change.dir) || !luck.keeps() {
                lost.insert(change.dir);
            } else {
                apply(&mut self.durable, change.names);
            }
        }
        // Names without their directory lead nowhere.
        let dirs = self.durable.clone();
        let is_dir = |path: &Path| path.parent().is_none() || dirs.get(path) == Some(&Node::Dir);
        self.durable.retain(|path, _| path.ancestors().skip(1).all(is_dir));
        self.current = self.durable.clone();
    }

    pub(super) fn plant(&mut self, path: &Path, inode: impl FnOnce() -> u64) -> u64 {
        for dir in path.ancestors().skip(1).filter(|dir| dir.parent().is_some()) {
            self.durable.insert(dir.to_owned(), Node::Dir);
            self.current.insert(dir.to_owned(), Node::Dir);
        }
        let inode = self.file(path).unwrap_or_else(inode);
        self.durable.insert(path.to_owned(), Node::File(inode));
        self.current.insert(path.to_owned(), Node::File(inode));
        inode
    }

    fn change(&mut self, path: &Path, names: Vec<(PathBuf, Option<Node>)>) {
        apply(&mut self.current, names.clone());
        let dir = path.parent().unwrap_or(path).to_owned();
        self.unsynced.push(Change { dir, names });
    }
}

fn apply(tree: &mut Tree, names: Vec<(PathBuf, Option<Node>)>) {
    for (path, node) in names {
        match node {
            Some(node) => tree.insert(path, node),
            None => tree.remove(&path),
        };
    }
}

fn entry(path: &Path, node: Node) -> Option<DirEntry> {
    let name = path.file_name()?.to_str()?.to_owned();
    Some(DirEntry { name, is_dir: node == Node::Dir })
}

fn move_tree(tree: &mut Tree, from: &Path, to: &Path) {
    let moved = std::mem::take(tree).into_iter();
    *tree = moved
        .map(|(mut path, node)| {
            move_path(&mut path, from, to);
            (path, node)
        })
        .collect();
}

fn move_path(path: &mut PathBuf, from: &Path, to: &Path) {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => *path = to.to_owned(),
        Ok(rest) => *path = to.join(rest),
        Err(_) => {}
    }
}
