//! Goal: the table is one, its names are those that a reader of Kafka's looks for, and the page in the
//! documentation is made from it. `UPDATE=1` writes that.

use std::{collections::BTreeSet, fmt::Write};

use dohle_metrics::Kind;

use super::*;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/metrics.md");

fn reference() -> String {
    let mut page = "\
# Metrics

<!-- Made from the tables in host/broker/src/metrics; `UPDATE=1 cargo test -p dohle-broker metrics` writes it. -->

`dohle.metrics.listener=127.0.0.1:9404` serves them at `http://127.0.0.1:9404/metrics` as text for
Prometheus; without the key there is no such listener. Whatever Kafka has too has the name that its
exporter for Prometheus commonly gives it. Everything is read when it is asked for.
"
    .to_owned();
    for (subject, rows) in table() {
        writeln!(page, "\n## {subject}\n\n| Metric | Kind | Unit | Labels | What it is |").unwrap();
        writeln!(page, "|---|---|---|---|---|").unwrap();
        for row in rows {
            let labels = row.labels.join(", ");
            let (kind, unit) = (row.kind.name(), row.unit.name());
            writeln!(page, "| `{}` | {kind} | {unit} | {labels} | {} |", row.name, row.help())
                .unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_up_to_date() {
    let page = reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PATH, &page).expect("the page can be written");
    }
    let committed = std::fs::read_to_string(PATH).expect("the page is in the repository");
    assert!(
        committed == page,
        "docs/reference/metrics.md is stale; UPDATE=1 cargo test -p dohle-broker metrics writes it"
    );
}

#[test]
fn names_are_unique_and_tell_the_kind_and_whose_they_are() {
    let mut names = BTreeSet::new();
    for row in table().into_iter().flat_map(|(_, rows)| rows) {
        assert!(names.insert(row.name), "{} is there twice", row.name);
        assert!(row.name.starts_with("kafka_") || row.name.starts_with("dohle_"), "{}", row.name);
        assert_eq!(row.kind == Kind::Counter, row.name.ends_with("_total"), "{}", row.name);
        let help = row.help();
        assert!(help.ends_with('.') && !help.contains("  ") && !help.contains('|'), "{help}");
    }
}

#[test]
fn every_row_of_threads_is_read() {
    let (mut page, tallies) = (Page::default(), [Arc::new(Tally::new(0))]);
    tallies[0].asked(dohle_protocol::ApiKey::Fetch);
    tallies[0].answered(dohle_protocol::ApiKey::Fetch, 2, 1_000);
    tallies[0].appended(70, 3);
    tallies[0].copies_cold();
    requests::write(&mut page, &tallies);
    network::write(&mut page, &[Arc::default()], &tallies);
    let text = page.into_text();
    for row in requests::ROWS.iter().chain(network::ROWS) {
        assert!(text.contains(&format!("# TYPE {} ", row.name)), "{} is not read", row.name);
    }
    for line in [
        "kafka_network_requestmetrics_requests_total{request=\"Fetch\"} 1",
        "kafka_network_requestmetrics_errors_total{request=\"Fetch\"} 2",
        "kafka_network_requestmetrics_requests_total{request=\"Produce\"} 0",
        "kafka_server_brokertopicmetrics_bytesin_total 70",
        "kafka_server_brokertopicmetrics_messagesin_total 3",
        "kafka_server_brokertopicmetrics_bytesout_total 1000",
        "kafka_server_socket_server_metrics_connection_count{networkprocessor=\"0\"} 0",
        "dohle_network_cold_reads_total{networkprocessor=\"0\"} 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}
