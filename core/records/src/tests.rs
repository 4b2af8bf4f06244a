//! Goal: batches are read and made exactly as Kafka does, and hostile bytes do no harm.
//! Method: golden bytes made by other implementations, round trips, and mutation.

mod golden;
