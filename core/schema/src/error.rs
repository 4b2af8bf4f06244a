//! What can be wrong with a schema file. The build stops at the first.

/// A line of a schema file that cannot stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}:{line}: {fault}")]
pub struct SchemaError {
    /// The file, as its source named it.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The line ends before this part.
    #[error("{0} expected")]
    Missing(&'static str),
    /// A word that has no meaning here.
    #[error("unknown word {0:?}")]
    UnknownWord(String),
    /// Not `3`, `3-7` or `3+`.
    #[error("{0:?} is not a range of versions")]
    BadVersions(String),
    /// Not a number where one has to be, or one out of range.
    #[error("{0:?} is not a number that fits")]
    BadNumber(String),
    /// A field outside a message, or indented by more than one step.
    #[error("indented like no field or struct above it")]
    BadIndent,
    /// A type that neither the language nor the message defines.
    #[error("no type {0:?}")]
    UnknownType(String),
    /// A struct that contains itself: nesting must end.
    #[error("struct {0:?} contains itself")]
    Recursive(String),
    /// The same name, tag, key or id twice.
    #[error("{0} twice")]
    Twice(String),
    /// An array of something that cannot be an element, or a null where the wire knows none.
    #[error("this type cannot be {0}")]
    Unsupported(&'static str),
    /// A tagged field in a version that is not flexible.
    #[error("tagged in a version that is not flexible")]
    TagNeedsFlexible,
    /// The field's versions do not meet those of its message.
    #[error("no version of the message has this field")]
    NeverPresent,
    /// A default that the type cannot hold.
    #[error("{0:?} cannot be the default")]
    BadDefault(String),
    /// A message in a folder that has no module, or without what its kind needs.
    #[error("{0}")]
    Incomplete(&'static str),
}
