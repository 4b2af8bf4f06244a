//! The lines of a story: commands of words and `name=value` pairs.

use std::collections::BTreeMap;

/// What a line is.
pub(crate) enum Line {
    /// Empty, or starting with `#`: told again as it is.
    Remark,
    /// Between a command and what came of it.
    Separator,
    /// Part of what came of it.
    Outcome,
    /// Something to do.
    Command(Words),
}

/// A command.
pub(crate) struct Words {
    /// What to do.
    pub(crate) verb: String,
    /// To what.
    pub(crate) objects: Vec<String>,
    /// And how.
    options: BTreeMap<String, String>,
}

/// Reads a line. What came of a command ends with an empty line.
pub(crate) fn read(text: &str, in_outcome: bool) -> Line {
    if text == "----" {
        return Line::Separator;
    }
    if text.is_empty() || (text.starts_with('#') && !in_outcome) {
        return Line::Remark;
    }
    if in_outcome {
        return Line::Outcome;
    }
    let mut words = text.split_whitespace();
    let verb = words.next().unwrap_or_default().to_owned();
    let (mut objects, mut options) = (Vec::new(), BTreeMap::new());
    for word in words {
        match word.split_once('=') {
            Some((name, value)) => {
                options.insert(name.to_owned(), value.to_owned());
            }
            None => objects.push(word.to_owned()),
        }
    }
    Line::Command(Words { verb, objects, options })
}

impl Words {
    /// The value of an option, taken out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.options.remove(name)
    }

    /// The value of an option as a number.
    pub(crate) fn number<N: std::str::FromStr>(
        &mut self,
        name: &str,
        default: N,
    ) -> Result<N, String> {
        match self.take(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| format!("{name}={value} is not a number")),
        }
    }

    /// The object at `at`.
    pub(crate) fn object(&self, at: usize) -> Result<&str, String> {
        let object = self.objects.get(at).map(String::as_str);
        object.ok_or_else(|| format!("{} wants more", self.verb))
    }

    /// That every option was understood.
    pub(crate) fn finish(&self) -> Result<(), String> {
        match self.options.keys().next() {
            Some(name) => Err(format!("{} knows no {name}", self.verb)),
            None => Ok(()),
        }
    }
}

impl Clone for Words {
    fn clone(&self) -> Self {
        let Self { verb, objects, options } = self;
        Self { verb: verb.clone(), objects: objects.clone(), options: options.clone() }
    }
}
