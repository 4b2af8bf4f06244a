//! What a metric is, how it is written for Prometheus, and the listener that it is fetched from.
//!
//! ```text
//!   Metric (name, kind, unit, help) ─┐
//!   what is counted ─── read ────────┴──▶ Page ──text──▶ Endpoint ──▶ GET /metrics
//! ```
//!
//! Nothing is collected in the background: whoever asks for the page has everything read at that
//! moment, so a node that nobody asks pays for its additions only.
//!
//! Not here: which metrics there are, and where they are counted.

mod endpoint;
mod histogram;
mod metric;
mod page;

pub use endpoint::Endpoint;
pub use histogram::{Buckets, Histogram};
pub use metric::{Kind, Metric, Unit};
pub use page::{Label, Page};
