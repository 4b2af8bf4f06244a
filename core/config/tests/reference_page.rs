//! Goal: the reference page in the repository is the one that the table makes. `UPDATE=1` writes
//! it.

use dohle_config::keys::{BROKER, CLIENT_METRICS, GROUP, QUOTA, TOPIC};
use dohle_config::reference_page;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");

#[test]
fn the_page_is_up_to_date() {
    let page = reference_page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PATH, &page).expect("the page can be written");
    }
    let committed = std::fs::read_to_string(PATH).expect("the page is in the repository");
    let first = committed.lines().zip(page.lines()).find(|(old, new)| old != new);
    assert!(
        committed == page,
        "docs/reference/configuration.md is stale, first at {first:?}; \
         UPDATE=1 cargo test -p dohle-config writes it"
    );
}

#[test]
fn every_key_is_on_the_page_and_has_a_sentence() {
    let page = reference_page();
    for table in [&*BROKER, &*TOPIC, &*GROUP, &*CLIENT_METRICS, &*QUOTA] {
        for key in table.iter() {
            assert!(page.contains(&format!("| `{}`", key.name)), "{} is missing", key.name);
            let doc = key.doc();
            assert!(doc.ends_with('.') && !doc.contains("  "), "{}: {doc}", key.name);
            assert!(!doc.contains('|'), "{}: a bar would break the table", key.name);
        }
    }
}
