//! Metrics over HTTP: a running node tells all that the reference page promises.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use crate::process::{Site, dohle, free_address, serve};

/// Kafka's exporter and ours: whoever reads `docs/reference/metrics.md` finds it on the page.
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/metrics.md");

fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("metrics are served");
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer
}

fn has_line(page: &str, line: &str) {
    assert!(page.lines().any(|other| other == line), "{line} is not in\n{page}");
}

#[test]
fn a_node_tells_what_it_has_done_and_what_it_has() {
    let address = free_address();
    let site = Site::formatted(&format!("dohle.metrics.listener={address}\n"));
    let node = serve(&site);
    node.run(&["topic", "create", "counted"]).well();
    node.run_with_input(&["produce", "counted", "--quiet"], "one\ntwo\nthree\n").well();
    node.run(&["consume", "counted", "--from-beginning", "--until-end"]).well();
    let page = get(&address);
    let reference = fs::read_to_string(REFERENCE).expect("the page is in the repository");
    let names = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let mut count = 0;
    for name in names {
        assert!(page.contains(&format!("# TYPE {name} ")), "{name} is not in\n{page}");
        count += 1;
    }
    assert!(count > 20, "{count}");
    has_line(&page, "kafka_server_brokertopicmetrics_messagesin_total 3");
    has_line(&page, "kafka_network_requestmetrics_requests_total{request=\"CreateTopics\"} 1");
    has_line(&page, "kafka_network_requestmetrics_errors_total{request=\"CreateTopics\"} 0");
    has_line(&page, "kafka_log_log_logendoffset{topic=\"counted\",partition=\"0\"} 3");
    has_line(&page, "kafka_controller_kafkacontroller_globaltopiccount 1");
    node.run(&["topic", "create", "counted"]);
    let page = get(&address);
    has_line(&page, "kafka_network_requestmetrics_errors_total{request=\"CreateTopics\"} 1");
    assert_eq!(node.stop("TERM"), Some(0));
}

#[test]
fn a_listener_for_metrics_that_cannot_be_had_stops_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = Site::formatted(&format!("dohle.metrics.listener={address}\n"));
    let arguments = ["server", &site.file, "--log", "off"];
    dohle(&arguments).failed_with(&["dohle.metrics.listener", &address, "in use"]);
}
