//! Goal: frames come out whole and in order however the bytes arrive, and memory follows what has
//! arrived, never what was claimed. Method: bytes put where a read would put them.

use super::*;
use crate::limits::WINDOWS_KEPT_MAX;

const MAX: usize = 100 * 1024 * 1024;

fn input(pool: &Rc<RefCell<Buffers>>) -> Input {
    Input::new(Rc::clone(pool), MAX, &[])
}

/// Does what one read does when `bytes` are waiting; returns how many it took.
fn read(input: &mut Input, bytes: &[u8]) -> usize {
    let (buffer, limit) = input.room();
    assert!(limit > 0, "a read into no room would look like the end");
    let taken = limit.min(bytes.len());
    let start = buffer.bytes.as_ptr();
    buffer.bytes.extend_from_slice(&bytes[..taken]);
    assert_eq!(start, buffer.bytes.as_ptr(), "the room was there without growing");
    taken
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let length = i32::try_from(frame.len()).expect("small");
    [&length.to_be_bytes(), frame].concat()
}

fn size(input: &Input) -> usize {
    input.buffer.as_ref().map_or(0, |buffer| buffer.size)
}

/// A sequence of numbers that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn one_read_brings_many_frames_without_copying_them() {
    let mut input = input(&Rc::default());
    let bytes = [framed(b"one"), framed(b""), framed(b"three")].concat();
    assert_eq!(read(&mut input, &bytes), bytes.len());
    let start = input.buffer.as_ref().expect("holds bytes").bytes.as_ptr() as usize;

    let frames: Vec<_> = std::iter::from_fn(|| input.next_frame().expect("good lengths")).collect();
    assert_eq!(frames, [&b"one"[..], b"", b"three"]);
    assert_eq!(frames[2].as_ptr() as usize, start + bytes.len() - 5);
    input.settle();
    assert!(input.buffer.is_none(), "an idle connection holds no buffer");
}

#[test]
fn frames_survive_any_division_into_reads() {
    let pool = Rc::default();
    let mut numbers = Numbers(42);
    for _ in 0..30 {
        let mut input = input(&pool);
        let sizes = [3, 100, 5_000, 70_000, WINDOW_BYTES - 4, WINDOW_BYTES, 1_100_000];
        let sent: Vec<Vec<u8>> = (0..8)
            .map(|n| {
                let max = sizes[numbers.below(sizes.len())];
                vec![n; numbers.below(1 + max)]
            })
            .collect();
        let stream: Vec<u8> = sent.iter().flat_map(|frame| framed(frame)).collect();
        let chunk_max = [7_000, 60_000, 2_000_000][numbers.below(3)];
        let (mut rest, mut received, mut held) = (&stream[..], Vec::new(), Vec::new());
        while !rest.is_empty() {
            let chunk = rest.len().min(1 + numbers.below(chunk_max));
            let taken = read(&mut input, &rest[..chunk]);
            rest = &rest[taken..];
            while let Some(frame) = input.next_frame().expect("good lengths") {
                received.push(frame.to_vec());
                // Some handlers keep their frames for a while.
                held.push(frame);
                held.truncate(numbers.below(4));
            }
            if numbers.below(2) == 0 {
                input.settle();
            }
        }
        assert!(received == sent, "frames were lost or changed");
        input.settle();
        assert!(input.buffer.is_none());
    }
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let pool = Rc::default();
    let mut inputs: Vec<_> = (0..2 * WINDOWS_KEPT_MAX).map(|_| input(&pool)).collect();
    for input in &mut inputs {
        let claim = (MAX as i32).to_be_bytes();
        read(input, &claim);
        assert_eq!(input.next_frame(), Ok(None));
        input.settle();
        assert_eq!(size(input), claim.len());
    }
}

#[test]
fn a_large_frame_grows_with_its_bytes() {
    let mut input = input(&Rc::default());
    let frame = framed(&vec![9; 20 * 1024 * 1024]);
    let stream = [&frame[..], &framed(b"the next frame")].concat();
    let mut arrived = 0;
    while arrived < frame.len() {
        assert_eq!(input.next_frame(), Ok(None));
        arrived += read(&mut input, &stream[arrived..]);
        let bound = WINDOW_BYTES + GROWTH_FACTOR * arrived;
        assert!(size(&input) <= bound, "{} for {arrived} bytes", size(&input));
        input.settle();
    }
    assert_eq!(arrived, frame.len(), "the next frame gets a buffer of its own size");
    assert_eq!(input.next_frame().expect("a good length"), Some(Bytes::from(frame).slice(4..)));
}

#[test]
fn the_next_large_frame_is_read_where_the_last_one_was() {
    let mut input = input(&Rc::default());
    let frame = framed(&vec![9; 1024 * 1024]);
    let mut starts = Vec::new();
    for _ in 0..3 {
        let mut arrived = 0;
        while arrived < frame.len() {
            arrived += read(&mut input, &frame[arrived..]);
            if arrived == WINDOW_BYTES {
                starts.push(input.buffer.as_ref().expect("holds bytes").bytes.as_ptr());
            }
        }
        assert!(input.next_frame().expect("a good length").is_some());
        input.settle();
    }
    assert_ne!(starts[0], starts[1], "the first one had to grow out of a window");
    assert_eq!(starts[1], starts[2]);
}

#[test]
fn small_rests_are_copied_and_few_windows_stay_out() {
    let pool = Rc::default();
    let frame = framed(&[5; 60_000]);
    let mut inputs: Vec<_> = (0..2 * WINDOWS_KEPT_MAX).map(|_| input(&pool)).collect();
    for input in &mut inputs {
        read(input, &frame[..20_000]);
        input.settle();
    }
    let windows = inputs.iter().filter(|input| size(input) == WINDOW_BYTES).count();
    assert_eq!(windows, WINDOWS_KEPT_MAX);
    assert_eq!(inputs.iter().map(size).min(), Some(20_000));

    for mut input in inputs {
        read(&mut input, &frame[20_000..]);
        assert_eq!(input.next_frame().expect("a good length"), Some(Bytes::from(vec![5; 60_000])));
    }
}

#[test]
fn forbidden_lengths_are_refused_at_once() {
    for length in [-1, i32::MIN, i32::MAX, MAX as i32 + 1] {
        let mut input = input(&Rc::default());
        read(&mut input, &length.to_be_bytes());
        assert!(input.is_ready(), "somebody must look at it");
        assert_eq!(input.next_frame(), Err(BadLength(length)));
    }
    let mut input = input(&Rc::default());
    read(&mut input, &(MAX as i32).to_be_bytes());
    assert_eq!(input.next_frame(), Ok(None), "the maximum itself is allowed");
}

#[test]
fn what_lies_behind_the_last_whole_window_comes_with_it() {
    let frame = vec![7; 2 * WINDOW_BYTES + 47];
    let bytes = framed(&frame);
    let pool = Rc::default();
    let mut input = input(&pool);
    let mut reads = Vec::new();
    while reads.iter().sum::<usize>() < bytes.len() {
        let at: usize = reads.iter().sum();
        reads.push(read(&mut input, &bytes[at..]));
    }
    assert_eq!(reads.last(), Some(&(WINDOW_BYTES + 51)), "{reads:?}");
    assert!(input.next_frame().unwrap().unwrap() == frame);
}
