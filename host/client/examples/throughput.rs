//! How fast the client alone can be: produces records, reads them back, and prints both rates.
//!
//! ```sh
//! cargo run --release -p dohle-client --example throughput -- localhost:9092 1000000 100
//! ```

use std::{error::Error, time::Instant};

use dohle_client::{
    Admin, ClientConfig, Consumer, ConsumerConfig, NewTopic, OffsetReset, Producer, ProducerConfig,
    ProducerRecord, TopicPartition,
};

const PARTITIONS: i32 = 4;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let servers = arguments.next().unwrap_or_else(|| "localhost:9092".into());
    let count: usize = arguments.next().unwrap_or_else(|| "1000000".into()).parse()?;
    let size: usize = arguments.next().unwrap_or_else(|| "100".into()).parse()?;
    let client = ClientConfig::parse(&servers)?;
    let topic = format!("throughput-{}", std::process::id());
    let admin = Admin::new(client.clone())?;
    admin.create_topics(&[NewTopic::new(topic.as_str(), PARTITIONS, 1)], false).await?;

    let start = Instant::now();
    let producer = Producer::new(ProducerConfig::new(client.clone()))?;
    let value = bytes::Bytes::from(vec![b'x'; size]);
    for _ in 0..count {
        producer.send(ProducerRecord::new(topic.as_str(), value.clone())).await?;
    }
    producer.close().await;
    report("produced", count, size, start);

    let start = Instant::now();
    let auto_offset_reset = OffsetReset::Earliest;
    let config = ConsumerConfig { auto_offset_reset, ..ConsumerConfig::new(client) };
    let mut consumer = Consumer::new(config)?;
    consumer.assign((0..PARTITIONS).map(|p| TopicPartition::new(topic.as_str(), p))).await;
    for _ in 0..count {
        consumer.recv().await?;
    }
    report("consumed", count, size, start);
    consumer.close().await;
    admin.delete_topics(&[topic.into()]).await?;
    Ok(())
}

fn report(what: &str, count: usize, size: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let (records, bytes) = (count as f64 / seconds, (count * size) as f64 / seconds / 1e6);
    println!("{what} {count} records in {seconds:.2} s: {records:.0} a second, {bytes:.0} MB/s");
}
