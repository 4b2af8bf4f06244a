//! Answers every frame with itself: the smallest handler there is, to count system calls and to
//! measure what the network costs without a broker.
//!
//! `cargo run --release -p dohle-net --example echo -- 127.0.0.1:9092 [threads]`

use std::{env::args, error::Error, thread::park};

use bytes::{BufMut, Bytes, BytesMut};
use dohle_net::{
    ConnectionContext, Frames, Handler, ListenerSpec, Options, Reply, Response, Server,
};

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn open(&self, _: &ConnectionContext) {}

    fn handle(&self, _: &ConnectionContext, (): &mut (), frame: Bytes, frames: &mut Frames<'_>) {
        let mut head = BytesMut::with_capacity(4 + frame.len());
        head.put_u32(u32::try_from(frame.len()).expect("bounded by Options::request_bytes_max"));
        head.put_slice(&frame);
        frames.reply(Reply::Now(Response::new(head)));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned()).parse()?;
    let threads = args().nth(2).map_or(Ok(1), |threads| threads.parse())?;
    let options = Options { threads, ..Options::default() };
    let listener = ListenerSpec { name: "ECHO".to_owned(), address, reserved: None };
    let server = Server::start(options, vec![listener], |_| Echo)?;
    println!("{}", server.listeners()[0].address);
    loop {
        park();
    }
}
