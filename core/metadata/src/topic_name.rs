//! What a topic may be called.
//!
//! Metric names turn `.` into `_`, so two topics whose names differ only there may not both exist.

/// The longest name, in characters: with a partition's number it must fit a file name.
pub const TOPIC_NAME_MAX: usize = 249;

/// Why a topic cannot have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameFault {
    /// It is empty.
    #[error("a topic name cannot be empty")]
    Empty,
    /// It is a directory's.
    #[error("a topic name cannot be \".\" or \"..\"")]
    Dots,
    /// It is longer than [`TOPIC_NAME_MAX`].
    #[error(
        "a topic name cannot be longer than {TOPIC_NAME_MAX} characters, this one has {length}"
    )]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// It has a character that file names or metrics would not survive.
    #[error("a topic name can contain only ASCII letters, digits, '.', '_' and '-'")]
    BadCharacter,
}

/// Whether a topic may have this name.
///
/// # Errors
/// [`TopicNameFault`].
pub fn check_topic_name(name: &str) -> Result<(), TopicNameFault> {
    let length = name.chars().count();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name {
        "" => Err(TopicNameFault::Empty),
        "." | ".." => Err(TopicNameFault::Dots),
        _ if length > TOPIC_NAME_MAX => Err(TopicNameFault::TooLong { length }),
        name if !name.chars().all(legal) => Err(TopicNameFault::BadCharacter),
        _ => Ok(()),
    }
}

/// Whether two names would be the same metric.
pub fn topic_names_collide(one: &str, other: &str) -> bool {
    let unified =
        |name: &str| name.bytes().map(|b| if b == b'.' { b'_' } else { b }).collect::<Vec<_>>();
    one.len() == other.len() && unified(one) == unified(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kafka_does() {
        for (name, fault) in [
            ("", Some(TopicNameFault::Empty)),
            (".", Some(TopicNameFault::Dots)),
            ("..", Some(TopicNameFault::Dots)),
            ("...", None),
            ("a b", Some(TopicNameFault::BadCharacter)),
            ("Ünter", Some(TopicNameFault::BadCharacter)),
            ("a/b", Some(TopicNameFault::BadCharacter)),
            ("Az09._-", None),
            (&"x".repeat(249), None),
            (&"x".repeat(250), Some(TopicNameFault::TooLong { length: 250 })),
        ] {
            assert_eq!(check_topic_name(name).err(), fault, "{name}");
        }
    }

    #[test]
    fn dots_and_underscores_are_the_same_to_metrics() {
        assert!(topic_names_collide("a.b", "a_b") && topic_names_collide("a.b", "a.b"));
        assert!(!topic_names_collide("a.b", "a-b") && !topic_names_collide("a.b", "a_bc"));
    }
}
