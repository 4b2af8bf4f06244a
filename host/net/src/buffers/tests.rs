//! Goal: buffers are reused when their slices are gone, never while they are held, and the pool
//! stays bounded. Method: the pool alone.

use super::{Buffer, Buffers};
use crate::limits::{POOL_BYTES_MAX, WINDOW_BYTES, WINDOWS_KEPT_MAX};

fn address(buffer: &Buffer) -> usize {
    buffer.bytes.as_ptr() as usize
}

#[test]
fn a_window_comes_back_when_its_slices_are_gone() {
    let mut pool = Buffers::default();
    let mut first = pool.take(1);
    let start = address(&first);
    first.bytes.extend_from_slice(&[7; 1000]);
    let slice = first.bytes.split_to(600).freeze();
    pool.give(first);

    let second = pool.take(1);
    assert_ne!(address(&second), start, "a slice is still held");
    assert_eq!(slice[..], [7; 600]);
    pool.give(second);

    drop(slice);
    let reused: Vec<_> = [pool.take(1), pool.take(1)].iter().map(address).collect();
    assert!(reused.contains(&start), "nobody holds a slice");
}

#[test]
fn a_reused_buffer_has_its_whole_room_again() {
    let mut pool = Buffers::default();
    for _ in 0..3 {
        let mut buffer = pool.take(WINDOW_BYTES);
        assert!(buffer.bytes.capacity() >= WINDOW_BYTES);
        buffer.bytes.extend_from_slice(&[1; WINDOW_BYTES]);
        drop(buffer.bytes.split_to(WINDOW_BYTES - 3).freeze());
        pool.give(buffer);
    }
}

#[test]
fn the_pool_stays_within_its_bytes() {
    let mut pool = Buffers::default();
    let size = 3 * WINDOW_BYTES;
    let taken: Vec<_> = (0..40).map(|n| pool.take(if n % 2 == 0 { 1 } else { size })).collect();
    taken.into_iter().for_each(|buffer| pool.give(buffer));
    let pooled: usize = pool.windows.iter().chain(&pool.large).map(|buffer| buffer.size).sum();
    assert_eq!(pooled, pool.pooled_bytes);
    assert!(pooled <= POOL_BYTES_MAX);
    assert!(pooled > POOL_BYTES_MAX - size, "nothing is thrown away needlessly");
}

#[test]
fn only_so_many_windows_are_kept_between_turns() {
    let mut pool = Buffers::default();
    let mut taken: Vec<_> = (0..=WINDOWS_KEPT_MAX).map(|_| pool.take(1)).collect();
    let kept = taken.iter_mut().filter_map(|buffer| pool.may_keep(buffer).then_some(())).count();
    assert_eq!(kept, WINDOWS_KEPT_MAX);
    pool.give(taken.remove(0));
    assert!(pool.may_keep(taken.last_mut().expect("one is left")), "a place was given back");
}
