//! Whether the node tells of damage as it must: by the file, the position and what was expected.

use std::path::Path;

/// Words before the number of a byte or a line.
const PLACES: [&str; 3] = ["at ", "line ", "position="];
/// The fields of `meta.properties` and `quorum-state`, which have one line.
const FIELDS: [&str; 6] =
    ["field ", "version ", "cluster.id ", "node.id ", "broker.id ", "directory.id "];
/// Words of those reasons that say what should be there.
const EXPECTED: [&str; 4] = ["expected ", ", not ", " or more", "was durable up to "];

/// Whether a line of the log tells of the file.
///
/// # Errors
/// What is missing, with the lines that name it.
pub(super) fn tells(said: &str, data: &Path, path: &Path) -> Result<(), String> {
    let name = path.strip_prefix(data).unwrap_or(path).display().to_string();
    let lines: Vec<_> = said.lines().filter(|line| line.contains(&name)).collect();
    if lines.is_empty() {
        return Err(format!("{name} is not named: {}", last_of(said)));
    }
    let is_whole = |line: &&str| is_told(line, &name);
    if lines.iter().any(is_whole) { Ok(()) } else { Err(lines.join("\n    ")) }
}

fn last_of(said: &str) -> String {
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n    ")
}

/// Behind the name are a place and a reason that says what was expected; or the line is of a log that ends too
/// early for what this file says.
fn is_told(line: &str, name: &str) -> bool {
    let Some((before, rest)) = line.split_once(name) else { return false };
    if is_contradiction(before) {
        return true;
    }
    let is_placed = PLACES.iter().any(|place| {
        rest.match_indices(place)
            .any(|(at, _)| rest[at + place.len()..].starts_with(|next: char| next.is_ascii_digit()))
    });
    let is_placed = is_placed || FIELDS.iter().any(|field| rest.contains(field));
    let reason = rest.split_once(": ").map_or("", |(_, reason)| reason);
    is_placed && EXPECTED.iter().any(|word| reason.contains(word))
}

/// Whether the words before a file's name tell of a log that ends before what the file says was synced. One of the
/// two is wrong, and nothing shows which.
fn is_contradiction(before: &str) -> bool {
    let number = |text: &str, word: &str| -> Option<u64> {
        let (_, behind) = text.split_once(word)?;
        behind.split(|next: char| !next.is_ascii_digit()).next()?.parse().ok()
    };
    let end = number(before, "the log ends at offset ");
    let synced = number(before, "all before offset ");
    let is_short = end.zip(synced).is_some_and(|(end, synced)| end < synced);
    is_short && before.contains(" had been synced, says ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_file_the_place_and_the_reason() {
        let (data, path) = (Path::new("/d"), Path::new("/d/t-0/1.log"));
        let told = |said| tells(said, data, path).is_ok();
        assert!(told("ERROR offline: /d/t-0/1.log is damaged at 17: checksum is 1, expected 2"));
        assert!(told(
            "WARN cut file=/d/t-0/1.log position=17 size=3: a batch of 3 bytes, 61 or more"
        ));
        assert!(!told("ERROR offline: /d/t-0/1.log is damaged"));
        assert!(!told("ERROR offline: /d/t-0/1.log is damaged at 17: checksum is wrong"));
        assert!(!told("ERROR offline: /d/t-0/1.log is damaged at 17"));
        assert!(!told("ERROR offline: /d/t-0/1.log is damaged: checksum is 1, not 2"));
        assert!(!told("ERROR offline: /d/t-1/1.log is damaged at 17: checksum is 1, not 2"));
        assert!(!told(""));
        assert!(told(
            "error: /d/t-0/1.log: directory.id = x: expected a uuid that is not reserved"
        ));
        assert!(!told("error: /d/t-0/1.log: expected a uuid that is not reserved"));
    }

    /// A bit more in a recovery point, found by `--seed 906895996`.
    #[test]
    fn a_line_tells_what_a_file_says_that_a_log_contradicts() {
        let (data, path) = (Path::new("/d"), Path::new("/d/points"));
        let told = |end: &str, synced: &str| {
            let log = format!("offline: /d/t-0/48.log is damaged at 11712: {end}");
            tells(&format!("ERROR {log}{synced} topic=t index=0"), data, path).is_ok()
        };
        let end = "the log ends at offset 60, and was durable up to 70";
        assert!(told(end, "; all before offset 70 had been synced, says /d/points"));
        assert!(!told(end, "; all before offset 60 had been synced, says /d/points"));
        assert!(!told(end, "; says /d/points"));
        assert!(!told(end, "; all before offset 70 had been synced, says /d/others"));
        assert!(!told("the log is bad", "; all before offset 70 had been synced, says /d/points"));
    }
}
