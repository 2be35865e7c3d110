//! What came to a kernel's log since a position, while the kernel's ring wraps.

use std::cell::RefCell;

use hospitium_model::GuestKind;
use hospitium_wire::{Domain, LinuxRequest, Reply, Request, errno};

use super::LinuxSystem;
use super::stand_in::system;
use crate::ask::{LogPosition, Power as _};

/// A probe with its copy of the log, and the kernel's ring; the test's thread has one.
#[derive(Default)]
struct Probe {
    ring: String,
    copy: String,
    /// What the ring is once this offset is asked for.
    later: Option<(u32, String)>,
}

thread_local! {
    static PROBE: RefCell<Probe> = RefCell::default();
}

/// Answers as the probe does: from its copy, a new one at the beginning and at the end.
fn answer(asked: &Request<'_>) -> Option<Reply<'static>> {
    let Request::Linux(LinuxRequest::KernelLog { offset }) = *asked else { return None };
    PROBE.with_borrow_mut(|probe| {
        if let Some((_, ring)) = probe.later.take_if(|(at, _)| *at == offset) {
            probe.ring = ring;
        }
        let at = offset as usize;
        if at == 0 || at >= probe.copy.len() {
            let old = std::mem::replace(&mut probe.copy, probe.ring.clone());
            if at > 0 && !probe.ring.starts_with(&old) {
                let domain = Domain::Errno;
                return Some(Reply::Failed { domain, code: errno::EPIPE, call: "syslog" });
            }
        }
        let rest = probe.copy.as_bytes().get(at..).unwrap_or_default();
        Some(Reply::Data { data: rest[..rest.len().min(1000)].to_vec().leak() })
    })
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| format!("<6>[{n:5}.000000] line {n}\n")).collect()
}

/// The kernel's ring is this now.
fn ring(text: String) {
    PROBE.with_borrow_mut(|probe| probe.ring = text);
}

fn guest() -> LinuxSystem {
    system(GuestKind::Kernel, &[], answer)
}

/// Numbers of the lines that came since, and the position now.
async fn since(guest: &LinuxSystem, position: &LogPosition) -> (Vec<u32>, LogPosition) {
    let (lines, now) = guest.log_since(position).await.expect("told").value;
    let number = |text: &str| text.rsplit(' ').next()?.parse().ok();
    (lines.iter().map(|line| number(&line.text).expect("a whole line")).collect(), now)
}

async fn begun(guest: &LinuxSystem) -> LogPosition {
    ring(lines(0..100));
    let (all, position) = since(guest, &LogPosition::default()).await;
    assert_eq!(all.len(), 100);
    position
}

#[tokio::test]
async fn what_came_to_the_log_since_a_position_is_told_once() {
    let guest = guest();
    let position = begun(&guest).await;
    assert!(since(&guest, &position).await.0.is_empty());
    ring(lines(0..103));
    let (new, position) = since(&guest, &position).await;
    assert_eq!(new, [100, 101, 102]);
    assert!(since(&guest, &position).await.0.is_empty());
}

#[tokio::test]
async fn a_ring_that_has_wrapped_still_tells_what_is_new() {
    let guest = guest();
    let position = begun(&guest).await;
    ring(lines(50..103));
    let (new, position) = since(&guest, &position).await;
    assert_eq!(new, [100, 101, 102]);
    // Another has read the log since: the probe's copy begins elsewhere, too.
    ring(lines(90..150));
    guest.log().await.expect("told");
    assert_eq!(since(&guest, &position).await.0, (103..150).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ring_that_holds_nothing_of_before_is_all_new() {
    let guest = guest();
    let position = begun(&guest).await;
    ring(lines(200..260));
    let (new, position) = since(&guest, &position).await;
    assert_eq!(new, (200..260).collect::<Vec<_>>());
    // Another boot, whose log is shorter.
    ring(lines(7..9));
    assert_eq!(since(&guest, &position).await.0, [7, 8]);
}

#[tokio::test]
async fn a_ring_that_wraps_in_the_middle_of_reading_loses_nothing() {
    let guest = guest();
    let position = begun(&guest).await;
    ring(lines(0..150));
    let seen_whole = lines(0..150).len() as u32;
    // Once all of one copy is read, the kernel has dropped the oldest and added more.
    for (later, expected) in [(lines(40..160), 100..160), (lines(155..170), 100..170)] {
        PROBE.with_borrow_mut(|probe| {
            (probe.ring, probe.copy) = (lines(0..150), lines(0..100));
            probe.later = Some((seen_whole, later));
        });
        let (new, _) = since(&guest, &position).await;
        let lost: Vec<u32> = expected.filter(|n| !new.contains(n)).collect();
        // Lines that the ring itself no longer held when it was read again are nobody's to tell.
        assert!(lost.iter().all(|n| (150..155).contains(n)), "{lost:?}");
        assert_eq!(new.len(), new.iter().collect::<std::collections::BTreeSet<_>>().len());
    }
}

#[tokio::test]
async fn a_ring_that_wraps_while_the_whole_of_it_is_read_gives_one_text() {
    let guest = guest();
    ring(lines(0..100));
    PROBE.with_borrow_mut(|probe| probe.later = Some((lines(0..100).len() as u32, lines(50..120))));
    assert_eq!(guest.log().await.expect("told").value.len(), 100);
    PROBE.with_borrow_mut(|probe| {
        probe.ring = lines(0..100);
        probe.later = Some((lines(0..100).len() as u32, lines(50..120)));
    });
    let (all, _) = since(&guest, &LogPosition::default()).await;
    assert_eq!(all, (0..120).collect::<Vec<_>>());
}
