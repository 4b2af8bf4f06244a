//! Goal: the client works against a real broker, Dohle or Apache Kafka. Method: each test makes
//! topics and groups of its own on the broker named by `DOHLE_TEST_BOOTSTRAP`, and is passed over,
//! loudly, if there is none.
//!
//! ```sh
//! DOHLE_TEST_BOOTSTRAP=localhost:9092 cargo test -p dohle-client --test live
//! ```

mod admin;
mod broker;
mod compaction;
mod group;
mod produce_consume;
