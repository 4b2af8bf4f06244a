//! Goal: frames are cut out of a stream however it is chopped, and impossible ones end it. Method:
//! in-memory streams.

use super::*;

fn frames_of(chunks: &[&[u8]]) -> io::Result<Vec<Bytes>> {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(frame) = take_frame(&mut buffer)? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

#[test]
fn frames_are_whole_however_the_stream_is_chopped() {
    let stream = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01d";
    for cut in 0..stream.len() {
        let (first, second) = stream.split_at(cut);
        let frames = frames_of(&[first, second]).unwrap();
        assert_eq!(frames, [&b"abc"[..], b"", b"d"], "cut at {cut}");
    }
}

#[test]
fn an_impossible_size_ends_the_stream() {
    for size in [-1_i32, i32::MIN, i32::MAX] {
        assert!(frames_of(&[&size.to_be_bytes()]).is_err(), "{size}");
    }
}

#[tokio::test]
async fn what_a_peer_sent_before_it_took_no_more_is_received() {
    // Whichever is polled first.
    for _ in 0..40 {
        let (inputs, mut received) = mpsc::channel(8);
        let reading = read(LinkId(1), &b"\0\0\0\x03abc\0\0\0\x01d"[..], &inputs);
        let refused = io::Error::from(io::ErrorKind::BrokenPipe);
        let ended = exchange(reading, std::future::ready(Err(refused))).await;
        assert!(ended.is_err());
        drop(inputs);
        let mut frames = Vec::new();
        while let Some(input) = received.recv().await {
            let Input::Received { frame, .. } = input else { panic!("{input:?}") };
            frames.push(frame);
        }
        assert_eq!(frames, [&b"abc"[..], b"d"]);
    }
}

#[tokio::test]
async fn all_bytes_are_written_through_a_narrow_stream() {
    let (mut ours, mut theirs) = tokio::io::duplex(3);
    let frames: Vec<_> = ["one", "", "twenty-two", "x"]
        .iter()
        .map(|text| Frame { bytes: Bytes::from_static(text.as_bytes()), report: false })
        .collect();
    let writing = async {
        write_all(&mut ours, &frames).await.unwrap();
        drop(ours);
    };
    let mut written = Vec::new();
    let reading = theirs.read_to_end(&mut written);
    let (_, read) = tokio::join!(writing, reading);
    read.unwrap();
    assert_eq!(written, b"onetwenty-twox");
}
