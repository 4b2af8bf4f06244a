//! One metric: a row of the table that the page and the documentation are made from.

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from the start of the process on.
    Counter,
    /// It is what it is at the moment.
    Gauge,
    /// A distribution of what was observed since the start.
    Histogram,
}

impl Kind {
    /// The word in the text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What one of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unit {
    Bytes,
    Seconds,
    Records,
    Requests,
    Connections,
    Offset,
    Count,
}

impl Unit {
    /// The word in the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Records => "records",
            Self::Requests => "requests",
            Self::Connections => "connections",
            Self::Offset => "offset",
            Self::Count => "count",
        }
    }
}

/// A metric.
///
/// Where Kafka has the same it has the name that its exporter for Prometheus gives it: the MBean
/// `kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec` is
/// `kafka_server_brokertopicmetrics_bytesin_total`, so that dashboards work. All others begin with
/// `dohle_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name of its series; a counter's ends in `_total`.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What one of it is.
    pub unit: Unit,
    /// What tells its series apart, in the order of the labels.
    pub labels: &'static [&'static str],
    help: &'static str,
}

impl Metric {
    /// One sentence that says what it is.
    pub fn help(&self) -> &'static str {
        self.help.trim_start()
    }

    /// A counter without labels.
    pub const fn counter(name: &'static str, unit: Unit, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit, labels: &[], help }
    }

    /// A gauge without labels.
    pub const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, unit, labels: &[], help }
    }

    /// A histogram without labels.
    pub const fn histogram(name: &'static str, unit: Unit, help: &'static str) -> Self {
        Self { name, kind: Kind::Histogram, unit, labels: &[], help }
    }

    /// The same, with a series for each set of these labels.
    pub const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }
}

/// A table of metrics: `ROWS`, and a constant for each.
///
/// ```text
/// /// Bytes of a partition's segments.
/// SIZE: gauge "kafka_log_log_size", Bytes, by ["topic", "partition"];
/// ```
#[macro_export]
macro_rules! metrics {
    ($(
        $(#[doc = $help:literal])+
        $row:ident: $kind:ident $name:literal, $unit:ident $(, by $labels:expr)?;
    )*) => {
        $(
            $(#[doc = $help])+
            const $row: $crate::Metric =
                $crate::Metric::$kind($name, $crate::Unit::$unit, concat!($($help),+))
                $(.by(&$labels))?;
        )*
        /// All of this subject.
        pub(super) const ROWS: &[$crate::Metric] = &[$($row),*];
    };
}
