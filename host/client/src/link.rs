//! One socket: frames in, frames out, until either side has enough.

use std::{io, io::IoSlice, pin::pin, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use dohle_client_core::{Address, Input, LinkId};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tracing::debug;

/// A frame to write.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Its bytes, size included.
    pub(crate) bytes: Bytes,
    /// Whether to say when it is written.
    pub(crate) report: bool,
}

/// Largest frame that is received. Source: `fetch.max.bytes` and one batch of the largest size that
/// a broker can be told to take stay below; brokers themselves refuse frames of more than 100 MB.
const FRAME_SIZE_MAX: usize = 1 << 30;

/// Bytes that are asked of a socket at once, and the least that the buffer grows by.
const READ_SIZE: usize = 64 * 1024;

/// Frames that are written together.
const WRITE_BATCH: usize = 16;

/// How long what the peer had sent before it went is read. It is there already, or never comes.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Connects, and carries frames until the socket ends or `frames` does.
pub(crate) async fn run(
    link: LinkId,
    address: Address,
    frames: mpsc::Receiver<Frame>,
    inputs: mpsc::Sender<Input>,
) {
    if let Err(error) = carry(link, &address, frames, &inputs).await {
        debug!(%address, %error, "connection ended");
    }
    // If nobody listens any more, nobody needs to know.
    let _ = inputs.send(Input::Closed { link }).await;
}

async fn carry(
    link: LinkId,
    address: &Address,
    frames: mpsc::Receiver<Frame>,
    inputs: &mpsc::Sender<Input>,
) -> io::Result<()> {
    let mut stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    // Requests are small and answers are waited for: nothing is gained by holding bytes back.
    stream.set_nodelay(true)?;
    if inputs.send(Input::Connected { link }).await.is_err() {
        return Ok(());
    }
    let (reader, writer) = stream.split();
    exchange(read(link, reader, inputs), write(link, writer, frames, inputs)).await
}

/// Reads and writes until either ends. A peer that takes no more may have answered before: a produce request
/// whose answer is dropped is sent again.
async fn exchange(
    reading: impl Future<Output = io::Result<()>>,
    writing: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let mut reading = pin!(reading);
    tokio::select! {
        ended = &mut reading => ended,
        ended = writing => {
            if ended.is_err() {
                let _ = tokio::time::timeout(LAST_WORDS, reading).await;
            }
            ended
        }
    }
}

async fn read(
    link: LinkId,
    mut reader: impl AsyncRead + Unpin,
    inputs: &mpsc::Sender<Input>,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(READ_SIZE);
    loop {
        while let Some(frame) = take_frame(&mut buffer)? {
            if inputs.send(Input::Received { link, frame }).await.is_err() {
                return Ok(());
            }
        }
        // The buffer at most doubles by what has arrived: a size that is only claimed costs nothing.
        if buffer.capacity() - buffer.len() < READ_SIZE / 2 {
            buffer.reserve(buffer.len().max(READ_SIZE));
        }
        if reader.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Takes the first frame out if it is complete, without its size.
fn take_frame(buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(&size) = buffer.first_chunk::<4>() else { return Ok(None) };
    let size = usize::try_from(i32::from_be_bytes(size)).unwrap_or(usize::MAX);
    if size > FRAME_SIZE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame of an impossible size"));
    }
    if buffer.len() < 4 + size {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(size).freeze()))
}

async fn write(
    link: LinkId,
    mut writer: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Frame>,
    inputs: &mpsc::Sender<Input>,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    while frames.recv_many(&mut batch, WRITE_BATCH).await > 0 {
        write_all(&mut writer, &batch).await?;
        for frame in batch.drain(..) {
            if frame.report && inputs.send(Input::Written { link }).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Writes frames together, as far as the socket takes them.
async fn write_all(writer: &mut (impl AsyncWrite + Unpin), frames: &[Frame]) -> io::Result<()> {
    let mut rest: Vec<Bytes> = frames.iter().map(|frame| frame.bytes.clone()).collect();
    while !rest.is_empty() {
        let slices: Vec<_> = rest.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut written = writer.write_vectored(&slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest.retain_mut(|bytes| {
            let step = written.min(bytes.len());
            bytes.advance(step);
            written -= step;
            !bytes.is_empty()
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
