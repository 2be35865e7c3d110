//! The kernel's log, read from a made-up ring while the kernel writes to it.

#[path = "../../src/os/linux/log_copy.rs"]
mod log_copy;

use std::convert::Infallible;

use log_copy::LogCopy;

/// Lines of a log, each as the kernel gives it.
fn lines(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.flat_map(|n| format!("<6>[{n:5}.000000] line {n}\n").into_bytes()).collect()
}

/// Reads on from `offset` in parts of at most 100 bytes. What came, and whether it ended since the log had moved.
fn read_on(copy: &mut LogCopy<4096>, mut offset: usize, ring: &[u8]) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        let read = |room: &mut [u8]| -> Result<usize, Infallible> {
            room[..ring.len()].copy_from_slice(ring);
            Ok(ring.len())
        };
        match copy.from(offset, 100, read).expect("cannot fail") {
            None => return (all, true),
            Some([]) => return (all, false),
            Some(part) => {
                offset += part.len();
                all.extend_from_slice(part);
            }
        }
    }
}

#[test]
fn what_is_added_to_the_log_is_read_from_where_the_reading_ended() {
    let mut copy = LogCopy::new();
    assert_eq!(read_on(&mut copy, 0, &lines(0..20)), (lines(0..20), false));
    let end = lines(0..20).len();
    assert_eq!(read_on(&mut copy, end, &lines(0..20)), (Vec::new(), false));
    assert_eq!(read_on(&mut copy, end, &lines(0..25)), (lines(20..25), false));
    // From before the end: the old copy serves the first byte, the new one what was added.
    assert_eq!(read_on(&mut copy, end - 1, &lines(0..30)).0[1..], lines(20..30));
}

#[test]
fn a_log_whose_oldest_lines_were_dropped_is_never_read_as_having_nothing_new() {
    let full = lines(0..20);
    for (dropped, added) in [(1, 1), (1, 5), (5, 1), (20, 20)] {
        for before in [0, 1, 64] {
            let mut copy = LogCopy::new();
            read_on(&mut copy, 0, &full);
            let wrapped = lines(dropped..20 + added);
            let (_, moved) = read_on(&mut copy, full.len() - before, &wrapped);
            assert!(moved, "{dropped} lines dropped, {added} added, from {before} bytes before");
            // The new copy is read from then on.
            assert_eq!(read_on(&mut copy, 0, &wrapped), (wrapped, false));
        }
    }
}

#[test]
fn a_log_that_begins_anew_and_is_shorter_has_moved() {
    let mut copy = LogCopy::new();
    read_on(&mut copy, 0, &lines(0..20));
    assert!(read_on(&mut copy, lines(0..20).len(), &lines(0..3)).1);
}

#[test]
fn the_first_copy_follows_none_so_a_position_of_another_probe_is_served() {
    let mut copy = LogCopy::new();
    let end = lines(0..20).len();
    assert_eq!(read_on(&mut copy, end, &lines(0..25)), (lines(20..25), false));
}
