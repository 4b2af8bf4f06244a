//! What a topic may be called.
//!
//! Metric names turn `.` into `_`, so two topics whose names differ only there may not both exist.

use dohle_base::Str;

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

/// The name that metrics give a topic, if it is another than its own could be: `.` becomes `_`.
pub(crate) fn metric_name(name: &str) -> Option<Str> {
    name.contains(['.', '_']).then(|| name.replace('.', "_").into())
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
        assert_eq!(metric_name("a.b"), metric_name("a_b"));
        assert_ne!(metric_name("a.b"), metric_name("a.bc"));
        assert_eq!(metric_name("a-b"), None);
    }
}
