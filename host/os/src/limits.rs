//! What the system allows this process to have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets the process have as many files open as its hard limit allows, and says how many that are.
///
/// The soft limit is low for the sake of programs that use `select`; this is none.
pub fn raise_open_files() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    // A hard limit above what the system has for any process is refused: the soft one counts then.
    let allowed = if setrlimit(Resource::Nofile, limit).is_ok() { limit.maximum } else { soft };
    allowed.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let count = raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(
            limit.maximum.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX),
            count
        );
    }
}
