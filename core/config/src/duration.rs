//! Durations as ISO 8601 and Java write them, such as `P1DT2H30M` or `PT0.5S`.

/// A duration of either sign, exact to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignedDuration {
    nanos: i128,
}

impl SignedDuration {
    /// Whether it points into the past.
    pub(crate) fn is_negative(self) -> bool {
        self.nanos < 0
    }
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// Reads a duration by the rules of `java.time.Duration`: an optional sign, `P`, days, and behind a
/// `T` hours, minutes and seconds; each with a sign of its own, in this order, at least one of
/// them; letters in any case; only seconds with a fraction, of up to nine digits.
pub(crate) fn parse_duration(text: &str) -> Option<SignedDuration> {
    let text = text.to_ascii_uppercase();
    let (negative, rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text.as_str()),
    };
    let rest = rest.strip_prefix('P')?;
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    if days.is_empty() && time.is_none() || time == Some("") {
        return None;
    }
    let mut nanos: i128 = 0;
    if !days.is_empty() {
        nanos += integer(days.strip_suffix('D')?)? * 86_400 * NANOS_PER_SECOND;
    }
    let mut time = time.unwrap_or("");
    for (unit, seconds) in [('H', 3_600), ('M', 60)] {
        if let Some((number, rest)) = time.split_once(unit) {
            nanos += integer(number)? * seconds * NANOS_PER_SECOND;
            time = rest;
        }
    }
    if !time.is_empty() {
        nanos += seconds(time.strip_suffix('S')?)?;
    }
    // Java keeps the seconds in 64 bits.
    i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
    Some(SignedDuration { nanos: if negative { -nanos } else { nanos } })
}

fn integer(text: &str) -> Option<i128> {
    text.parse::<i64>().ok().map(i128::from)
}

fn seconds(text: &str) -> Option<i128> {
    let Some((whole, fraction)) = text.split_once(['.', ',']) else {
        return Some(integer(text)? * NANOS_PER_SECOND);
    };
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    Some(integer(whole)? * NANOS_PER_SECOND + sign * nanos)
}

#[cfg(test)]
mod tests;
