//! Tests of the write log's replay: made-up logs, random ones, and real ones of the installed QEMU.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

const SECTOR: usize = 512;

/// Writes a log as QEMU does.
#[derive(Default)]
struct Log {
    body: Vec<u8>,
    entries: u64,
}

impl Log {
    fn raw_entry(mut self, sector: u64, sectors: u64, flags: u64, data: &[u8]) -> Self {
        for field in [sector, sectors, flags, 0] {
            self.body.extend(field.to_le_bytes());
        }
        self.body.resize(self.body.len().next_multiple_of(SECTOR), 0);
        self.body.extend(data);
        self.entries += 1;
        self
    }

    fn write(self, sector: u64, fill: u8, sectors: usize) -> Self {
        self.raw_entry(sector, sectors as u64, 0, &vec![fill; sectors * SECTOR])
    }

    fn flush(self) -> Self {
        self.raw_entry(0, 0, FLUSH, &[])
    }

    fn counting(&self, entries: u64) -> Vec<u8> {
        let mut log = Vec::new();
        for field in [MAGIC, VERSION, entries] {
            log.extend(field.to_le_bytes());
        }
        log.extend(512u32.to_le_bytes());
        log.resize(SECTOR, 0);
        log.extend(&self.body);
        log
    }

    fn bytes(&self) -> Vec<u8> {
        self.counting(self.entries)
    }
}

/// Replays on an image of 64 sectors that hold 0xee.
fn replayed(log: &[u8], upto: Upto) -> Result<(Vec<u8>, ReplaySummary), WriteLogError> {
    let folder = tempfile::tempdir().expect("a folder");
    let (log_path, raw) = (folder.path().join("log"), folder.path().join("raw"));
    std::fs::write(&log_path, log).expect("writes");
    std::fs::write(&raw, [0xee; 64 * SECTOR]).expect("writes");
    let summary = replay(&log_path, &raw, upto)?;
    Ok((std::fs::read(&raw).expect("reads"), summary))
}

/// First byte of each of the first sectors.
fn firsts(image: &[u8], sectors: usize) -> Vec<u8> {
    image.chunks(SECTOR).take(sectors).map(|sector| sector[0]).collect()
}

#[test]
fn what_was_flushed_is_there_and_what_was_not_is_gone() {
    let log = Log::default().write(0, 1, 2).write(1, 2, 1).flush().write(2, 3, 1).bytes();
    let (image, summary) = replayed(&log, Upto::LastFlush).expect("a good log");
    assert_eq!(firsts(&image, 4), [1, 2, 0xee, 0xee]);
    assert_eq!(image.len(), 64 * SECTOR);
    assert_eq!((summary.writes_applied, summary.bytes_applied), (2, 3 * 512));
    assert_eq!((summary.writes_dropped, summary.bytes_dropped), (1, 512));
    assert_eq!((summary.flushes, summary.end), (1, LogEnd::Counted));
    let (image, _) = replayed(&log, Upto::End).expect("a good log");
    assert_eq!(firsts(&image, 4), [1, 2, 3, 0xee]);
}

#[test]
fn entries_that_the_superblock_does_not_count_are_never_applied() {
    let log = Log::default().write(0, 1, 1).flush().write(1, 2, 1).flush().counting(2);
    let (image, summary) = replayed(&log, Upto::LastFlush).expect("a good log");
    assert_eq!(firsts(&image, 2), [1, 0xee]);
    assert_eq!((summary.flushes, summary.writes_dropped), (1, 1));
}

#[test]
fn without_a_superblock_nothing_was_flushed() {
    let mut log = Log::default().write(0, 1, 1).write(1, 1, 1).bytes();
    log[..SECTOR].fill(0);
    let (image, summary) = replayed(&log, Upto::LastFlush).expect("an unflushed log");
    assert_eq!(firsts(&image, 2), [0xee, 0xee]);
    assert_eq!((summary.writes_dropped, summary.end), (2, LogEnd::NeverFlushed));
    let (_, summary) = replayed(&[], Upto::LastFlush).expect("an empty log");
    assert_eq!(summary, ReplaySummary::nothing());
}

#[test]
fn fua_writes_are_durable_and_discards_are_zeros() {
    let log = Log::default()
        .write(0, 1, 2)
        .raw_entry(1, 1, DISCARD, &[])
        .flush()
        .raw_entry(2, 1, FUA, &[3; SECTOR])
        .write(3, 4, 1)
        .bytes();
    let (image, summary) = replayed(&log, Upto::LastFlush).expect("a good log");
    assert_eq!(firsts(&image, 4), [1, 0, 3, 0xee]);
    assert_eq!((summary.writes_applied, summary.writes_dropped), (3, 1));
}

#[test]
fn a_flush_that_carries_data_does_not_flush_its_own() {
    let log = Log::default().write(0, 1, 1).raw_entry(1, 1, FLUSH, &[2; SECTOR]).bytes();
    let (image, _) = replayed(&log, Upto::LastFlush).expect("a good log");
    assert_eq!(firsts(&image, 2), [1, 0xee]);
}

#[test]
fn zeros_take_no_room_and_overwrite() {
    let log = Log::default().write(0, 1, 8).write(0, 0, 7).flush().bytes();
    let (image, _) = replayed(&log, Upto::LastFlush).expect("a good log");
    assert_eq!(firsts(&image, 9), [0, 0, 0, 0, 0, 0, 0, 1, 0xee]);
}

#[test]
fn a_cut_off_or_broken_entry_ends_the_log() {
    let whole = Log::default().write(0, 1, 1).flush().write(1, 2, 1).flush();
    let bytes = whole.bytes();
    // In the middle of the second write's data.
    let (image, summary) =
        replayed(&bytes[..SECTOR * 5 + 100], Upto::LastFlush).expect("a cut log");
    assert_eq!(firsts(&image, 2), [1, 0xee]);
    assert_eq!(summary.end, LogEnd::Broken(2));
    for (at, with) in [(16, 0x80), (7, 0xff), (15, 0xff)] {
        let mut broken = bytes.clone();
        broken[SECTOR * 4 + at] = with;
        let (image, summary) = replayed(&broken, Upto::LastFlush).expect("a broken log");
        assert_eq!((firsts(&image, 2), summary.end), (vec![1, 0xee], LogEnd::Broken(2)), "{at}");
    }
    let hole = Log::default().write(0, 1, 1).flush().raw_entry(0, 0, 0, &[]).flush().bytes();
    let (_, summary) = replayed(&hole, Upto::LastFlush).expect("a log with a hole");
    assert_eq!((summary.flushes, summary.end), (1, LogEnd::Broken(2)));
}

#[test]
fn a_write_past_the_disks_end_is_refused() {
    let log = Log::default().write(63, 1, 2).flush().bytes();
    let refused = replayed(&log, Upto::LastFlush);
    assert!(matches!(refused, Err(WriteLogError::OutsideDisk { entry: 0, .. })), "{refused:?}");
}

#[test]
fn what_is_no_log_is_refused() {
    let good = Log::default().write(0, 1, 1).flush().bytes();
    for (at, with) in [(0, 1), (8, 2), (25, 3), (27, 0x80)] {
        let mut bad = good.clone();
        bad[at] = with;
        let refused = replayed(&bad, Upto::LastFlush);
        assert!(matches!(refused, Err(WriteLogError::NotALog { .. })), "{at}: {refused:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_log_harms_what_is_outside_the_disk(
        entries in prop::collection::vec((any::<u64>(), any::<u64>(), 0u64..40, any::<bool>()), 0..20),
        count in prop_oneof![0u64..24, any::<u64>()],
        noise in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut log = Log::default();
        for (sector, sectors, flags, small) in entries {
            let (sector, sectors) = if small { (sector % 70, sectors % 8) } else { (sector, sectors) };
            let data = if small && flags & DISCARD == 0 { sectors as usize * SECTOR } else { 0 };
            log = log.raw_entry(sector, sectors, flags, &vec![7; data]);
        }
        let mut bytes = log.counting(count);
        bytes.extend(&noise);
        for upto in [Upto::LastFlush, Upto::End] {
            if let Ok((image, summary)) = replayed(&bytes, upto) {
                prop_assert_eq!(image.len(), 64 * SECTOR);
                prop_assert!(image.iter().all(|byte| [0, 7, 0xee].contains(byte) || noise.contains(byte)));
                prop_assert!(summary.flushes <= count);
            }
        }
    }

    #[test]
    fn random_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let _ = replayed(&bytes, Upto::LastFlush);
    }
}

/// A QEMU with a logged disk behind a virtio-blk device, spoken to as its guest would by the monitor's
/// `qemu-io`, and killed. Returns the replayed image.
fn after_power_cut(
    logged: &str,
    above: Option<&str>,
    device: &str,
    steps: &[&str],
) -> (Vec<u8>, ReplaySummary) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for name in ["disk", "log", "raw"] {
        std::fs::write(path(name), []).expect("makes a file");
    }
    for name in ["disk", "raw"] {
        File::options()
            .write(true)
            .open(path(name))
            .and_then(|f| f.set_len(1 << 20))
            .expect("sizes");
    }
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-S", "-M", "pc"])
        .args(["-qmp", "stdio", "-blockdev"])
        .arg(format!("driver=file,node-name=f,discard=unmap,filename={}", path("disk").display()))
        .arg("-blockdev")
        .arg(format!(
            "driver=blklogwrites,node-name=bl,file=f,log.driver=file,log.filename={},\
             log-super-update-interval=4611686018427387904,discard=unmap{logged}",
            path("log").display()
        ));
    if let Some(above) = above {
        command.arg("-blockdev").arg(format!("driver=raw,file=bl,node-name=top{above}"));
    }
    let top = if above.is_some() { "top" } else { "bl" };
    command.arg("-device").arg(format!("virtio-blk-pci,id=vd,drive={top}{device}"));
    let mut vmm = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("qemu-system-x86_64 starts (Debian package qemu-system-x86)");
    let mut stdin = vmm.stdin.take().expect("piped");
    let mut lines = BufReader::new(vmm.stdout.take().expect("piped")).lines();
    let mut say = |text: &str| {
        writeln!(stdin, "{text}").expect("speaks");
        // The monitor's qemu-io prints its result as plain text between the replies.
        lines
            .by_ref()
            .map(|line| line.expect("answers"))
            .find(|line| line.starts_with("{\"return\"") || line.starts_with("{\"error\""))
            .expect("an answer before the end")
    };
    say(r#"{"execute": "qmp_capabilities"}"#);
    for step in steps {
        let answer = say(&format!(
            r#"{{"execute": "human-monitor-command", "arguments": {{"command-line": "qemu-io -d /machine/peripheral/vd/virtio-backend \"{step}\""}}}}"#
        ));
        assert!(answer.contains(r#""return": """#), "{step}: {answer}");
    }
    vmm.kill().expect("is killed");
    vmm.wait().expect("is gone");
    let summary = replay(&path("log"), &path("raw"), Upto::LastFlush).expect("a good log");
    (std::fs::read(path("raw")).expect("reads"), summary)
}

const WRITE_FLUSH_WRITE: [&str; 3] = ["write -P 0xaa 0 4k", "flush", "write -P 0xbb 8k 4k"];

#[test]
fn qemus_log_gives_back_what_was_flushed() {
    for above in [None, Some("")] {
        let (image, summary) = after_power_cut("", above, "", &WRITE_FLUSH_WRITE);
        assert!(image[..4096].iter().all(|&byte| byte == 0xaa));
        assert!(image[4096..].iter().all(|&byte| byte == 0), "the second write was not flushed");
        assert_eq!((summary.writes_applied, summary.writes_dropped, summary.flushes), (1, 1, 1));
        assert_eq!(summary.end, LogEnd::Counted);
    }
}

#[test]
fn a_disk_of_qemu_that_ignores_flushes_loses_what_was_flushed() {
    let (image, summary) = after_power_cut(",cache.no-flush=on", None, "", &WRITE_FLUSH_WRITE);
    assert!(image.iter().all(|&byte| byte == 0));
    assert_eq!((summary.writes_applied, summary.writes_dropped, summary.flushes), (0, 2, 0));
    assert_eq!(summary.end, LogEnd::NeverFlushed);
}

#[test]
fn qemus_writes_through_are_durable_at_once() {
    let writes = ["write -P 0xaa 0 4k", "write -z 4k 4k", "write -P 0xbb 8k 4k"];
    let (image, summary) = after_power_cut("", None, ",write-cache=off", &writes);
    eprintln!("{summary}");
    assert_eq!((image[0], image[8192]), (0xaa, 0xbb));
    assert_eq!((summary.writes_applied, summary.writes_dropped), (3, 0));
}

#[test]
fn qemus_discards_and_zero_writes_are_replayed() {
    let steps =
        ["write -P 0xaa 0 16k", "write -z 0 4k", "write -z -u 4k 4k", "discard 8k 4k", "flush"];
    let (image, _) = after_power_cut("", None, "", &steps);
    assert!(image[..12288].iter().all(|&byte| byte == 0));
    assert!(image[12288..16384].iter().all(|&byte| byte == 0xaa));
}
