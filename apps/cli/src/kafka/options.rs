//! Flags as Kafka's tools take them.
//!
//! One dash is as good as two, a value follows as the next word or behind `=`, words that belong to
//! no flag are passed over, and `--` ends the flags. A value is looked at only when it is needed,
//! so that a bad one is no error where it does not matter.

use super::Exception;

/// A flag.
#[derive(Debug)]
pub(crate) struct Flag {
    /// Without dashes.
    pub(crate) name: &'static str,
    /// For the help.
    pub(crate) about: &'static str,
    /// Its value.
    pub(crate) takes: Takes,
}

/// Whether a flag has a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    /// None.
    Nothing,
    /// Always.
    Value { kind: &'static str, called: &'static str, default: Option<&'static str> },
    /// One, if the next word does not look like a flag.
    Perhaps { kind: &'static str, default: Option<&'static str> },
}

impl Takes {
    pub(crate) fn default(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Value { default, .. } | Self::Perhaps { default, .. } => default,
        }
    }
}

/// The flags that were given, in order.
#[derive(Debug)]
pub(crate) struct Options {
    flags: &'static [Flag],
    given: Vec<(&'static Flag, Option<String>)>,
}

impl Options {
    /// Takes the words apart.
    pub(crate) fn parse(flags: &'static [Flag], words: &[String]) -> Result<Self, Exception> {
        let mut options = Self { flags, given: Vec::new() };
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let Some(token) = flag_token(word) else { continue };
            let (name, attached) = match token.split_once('=') {
                Some((name, value)) => (name, Some(value).filter(|value| !value.is_empty())),
                None => (token, None),
            };
            let flag = find(flags, name).ok_or_else(|| unrecognized(word, name))?;
            let value = match (flag.takes, attached) {
                (Takes::Nothing, _) => None,
                (_, Some(value)) => Some(value.to_owned()),
                (Takes::Value { .. }, None) => {
                    Some(words.next().ok_or_else(|| missing(flag))?.clone())
                }
                (Takes::Perhaps { .. }, None) => {
                    words.next_if(|next| flag_token(next).is_none()).cloned()
                }
            };
            options.given.push((flag, value));
        }
        Ok(options)
    }

    /// Whether the flag was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(flag, _)| flag.name == name)
    }

    /// The one value of a flag, or its default.
    pub(crate) fn value(&self, name: &str) -> Result<Option<&str>, Exception> {
        let mut values = self
            .given
            .iter()
            .filter(|(flag, _)| flag.name == name)
            .filter_map(|(_, value)| value.as_deref());
        let first = values.next();
        if values.next().is_some() {
            return Err(Exception::new(
                "joptsimple.MultipleArgumentsForOptionException",
                format_args!(
                    "Found multiple arguments for option {name}, but you asked for only one"
                ),
            ));
        }
        Ok(first.or_else(|| find(self.flags, name)?.takes.default()))
    }

    /// The same as a number; 0 if there is neither value nor default.
    pub(crate) fn integer(&self, name: &str) -> Result<i32, Exception> {
        let text = self.value(name)?.unwrap_or("0");
        text.parse().map_err(|_| {
            Exception::new(
                "joptsimple.OptionArgumentConversionException",
                format_args!("Cannot parse argument '{text}' of option {name}"),
            )
        })
    }
}

/// What follows the dashes of a word that looks like a flag.
fn flag_token(word: &str) -> Option<&str> {
    let token = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
    token.filter(|token| !token.is_empty())
}

fn find(flags: &'static [Flag], name: &str) -> Option<&'static Flag> {
    flags.iter().find(|flag| flag.name == name)
}

/// Behind one dash each letter counts as a flag, and the first one is none.
fn unrecognized(word: &str, name: &str) -> Exception {
    let letter = name.char_indices().nth(1).map_or(name, |(end, _)| &name[..end]);
    let name = if word.starts_with("--") { name } else { letter };
    Exception::new(
        "joptsimple.UnrecognizedOptionException",
        format_args!("{name} is not a recognized option"),
    )
}

fn missing(flag: &Flag) -> Exception {
    Exception::new(
        "joptsimple.OptionMissingRequiredArgumentException",
        format_args!("Option {} requires an argument", flag.name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    static FLAGS: &[Flag] = &[
        Flag { name: "all", about: "", takes: Takes::Nothing },
        Flag {
            name: "size",
            about: "",
            takes: Takes::Value { kind: "Integer", called: "size", default: Some("7") },
        },
        Flag {
            name: "class",
            about: "",
            takes: Takes::Perhaps { kind: "String", default: Some("X") },
        },
    ];

    fn parse(line: &str) -> Result<Options, Exception> {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        Options::parse(FLAGS, &words)
    }

    #[test]
    fn values_follow_in_every_form() {
        for line in ["--size 3", "-size 3", "--size=3", "x --size= 3 y", "--all=yes --size 3"] {
            assert_eq!(parse(line).unwrap().integer("size"), Ok(3), "{line}");
        }
        for line in ["--class", "--class --all", "--class -all"] {
            let options = parse(line).unwrap();
            assert_eq!((options.has("class"), options.value("class")), (true, Ok(Some("X"))));
        }
        assert_eq!(parse("--class Y --all").unwrap().value("class"), Ok(Some("Y")));
        assert!(!parse("-- --all").unwrap().has("all"));
        assert_eq!(parse("").unwrap().integer("size"), Ok(7));
    }

    /// Recorded of Kafka's tools 4.3.1.
    #[test]
    fn errors_have_kafkas_words() {
        let rows = [
            ("--no-such", "no-such is not a recognized option"),
            ("-x", "x is not a recognized option"),
            ("--size", "Option size requires an argument"),
        ];
        for (line, message) in rows {
            assert_eq!(parse(line).unwrap_err().message.as_deref(), Some(message), "{line}");
        }
        let twice = parse("--size 1 --size 2").unwrap().integer("size").unwrap_err();
        assert_eq!(twice.class, "joptsimple.MultipleArgumentsForOptionException");
        let bad = parse("--size=big").unwrap().integer("size").unwrap_err();
        assert_eq!(bad.message.unwrap(), "Cannot parse argument 'big' of option size");
    }
}
