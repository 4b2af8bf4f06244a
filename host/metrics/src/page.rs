//! The text that Prometheus reads, version 0.0.4 of its format.
//!
//! ```text
//! # HELP name what it is
//! # TYPE name counter
//! name{label="value"} 1
//! ```

use std::fmt::Write;

use crate::{Buckets, Kind, Metric};

/// A label's value; its name is the metric's.
pub type Label<'a> = &'a str;

/// A page in the making.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    /// The metric whose head was written last: its series follow one another.
    current: Option<&'static str>,
}

impl Page {
    /// Writes the value of one series of a counter or a gauge. Series of one metric come one after
    /// the other.
    ///
    /// # Panics
    /// When there are other labels than the metric has, or it is a histogram.
    pub fn value(&mut self, metric: &Metric, labels: &[Label<'_>], value: f64) {
        assert!(metric.kind != Kind::Histogram, "{} has buckets", metric.name);
        self.head(metric);
        self.series(metric, "", labels, None, value);
    }

    /// Writes one series of a histogram.
    ///
    /// # Panics
    /// When there are other labels than the metric has, or it is no histogram.
    pub fn buckets(&mut self, metric: &Metric, labels: &[Label<'_>], buckets: &Buckets) {
        assert!(metric.kind == Kind::Histogram, "{} has no buckets", metric.name);
        self.head(metric);
        for (bound, count) in &buckets.up_to {
            self.series(metric, "_bucket", labels, Some(*bound), *count as f64);
        }
        self.series(metric, "_bucket", labels, Some(f64::INFINITY), buckets.count as f64);
        self.series(metric, "_sum", labels, None, buckets.sum);
        self.series(metric, "_count", labels, None, buckets.count as f64);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, metric: &Metric) {
        if self.current == Some(metric.name) {
            return;
        }
        self.current = Some(metric.name);
        let (name, kind, help) = (metric.name, metric.kind.name(), metric.help());
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn series(
        &mut self,
        metric: &Metric,
        part: &str,
        labels: &[Label<'_>],
        bound: Option<f64>,
        value: f64,
    ) {
        assert_eq!(labels.len(), metric.labels.len(), "labels of {}", metric.name);
        self.write(format_args!("{}{part}", metric.name));
        let mut before = '{';
        for (name, value) in metric.labels.iter().zip(labels) {
            self.write(format_args!("{before}{name}=\"{}\"", Escaped(value)));
            before = ',';
        }
        match bound {
            Some(f64::INFINITY) => self.write(format_args!("{before}le=\"+Inf\"}}")),
            Some(bound) => self.write(format_args!("{before}le=\"{bound}\"}}")),
            None if before == ',' => self.text.push('}'),
            None => {}
        }
        self.write(format_args!(" {value}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing to a string does not fail");
    }
}

/// A label's value between its quotes.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Histogram, Unit};

    #[test]
    fn a_page_reads_as_prometheus_wants_it() {
        const SIZE: Metric =
            Metric::gauge("log_size", Unit::Bytes, "Size.").by(&["topic", "partition"]);
        const SYNC: Metric = Metric::histogram("sync_seconds", Unit::Seconds, "Syncs.");
        const COUNT: Metric = Metric::counter("requests_total", Unit::Requests, "Requests.");
        let mut page = Page::default();
        page.value(&COUNT, &[], 3.0);
        page.value(&SIZE, &["a\"b\\c\nd", "0"], 1_500_000_000_000.0);
        page.value(&SIZE, &["t", "1"], 0.5);
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(1));
        page.buckets(&SYNC, &[], &histogram.read());
        let text = page.into_text();
        let start = "\
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total 3
# HELP log_size Size.
# TYPE log_size gauge
log_size{topic=\"a\\\"b\\\\c\\nd\",partition=\"0\"} 1500000000000
log_size{topic=\"t\",partition=\"1\"} 0.5
# HELP sync_seconds Syncs.
# TYPE sync_seconds histogram
sync_seconds_bucket{le=\"0.00005\"} 0
";
        assert!(text.starts_with(start), "{text}");
        let end = "\
sync_seconds_bucket{le=\"10\"} 1
sync_seconds_bucket{le=\"+Inf\"} 1
sync_seconds_sum 0.001
sync_seconds_count 1
";
        assert!(text.ends_with(end), "{text}");
    }
}
