//! The ledger's numbers, each beside what it is compared with:
//! `cargo run --release -p hospitium-ledger --example numbers [ENTRIES] [CERTIFICATE POLICY EVIDENCE]`.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hospitium_ledger::{Algorithm, Given, Log, Party, Policy, verify, walk};
use jiff::Timestamp;

/// As large as a small record is, in bytes.
const ENTRY: usize = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let entries: usize = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let top = tempfile::tempdir()?;
    let party = Party::init(&top.path().join("party"), "vendor.example", Algorithm::Ed25519)?;
    append(top.path(), &party)?;
    mirror(&top.path().join("log"), &party, entries)?;
    let rest: Vec<String> = arguments.collect();
    if let [certificate, policy, evidence] = rest.as_slice() {
        certificates(Path::new(certificate), Path::new(policy), Path::new(evidence))?;
    }
    Ok(())
}

fn record(n: usize) -> Vec<u8> {
    let mut entry = format!("{{\"record\":{n},\"text\":\"").into_bytes();
    entry.resize(ENTRY, b'x');
    entry
}

fn append(top: &Path, party: &Party) -> Result<(), Box<dyn Error>> {
    let records: Vec<_> = (0..10_000).map(record).collect();
    let plain = top.join("plain");
    let (ours, theirs);
    {
        let mut log = Log::open(&top.join("ten-thousand"), party)?;
        let began = Instant::now();
        log.append(&records)?;
        ours = began.elapsed();
    }
    {
        let began = Instant::now();
        let file = std::fs::File::create(&plain)?;
        std::io::Write::write_all(&mut &file, &records.concat())?;
        file.sync_all()?;
        theirs = began.elapsed();
    }
    print("10,000 records appended", ours, "the same bytes written and flushed", theirs);
    std::fs::remove_dir_all(top.join("ten-thousand"))?;
    std::fs::remove_dir_all(top.join("party/signed"))?;
    Ok(())
}

fn mirror(folder: &Path, party: &Party, entries: usize) -> Result<(), Box<dyn Error>> {
    {
        let mut log = Log::open(folder, party)?;
        let mut next = 0;
        while next < entries {
            let until = (next + 50_000).min(entries);
            let records: Vec<_> = (next..until).map(record).collect();
            log.append(&records)?;
            next = until;
        }
    }
    let folder = hospitium_ledger::LogFolder::new(folder);
    let checkpoint = folder.checkpoint()?;
    let head = checkpoint.verify_log(&party.public.log)?;
    let ours = best(|| {
        let checked = walk(&folder, head, |_, entry| {
            black_box(entry);
        });
        assert!(checked.is_sound());
    });
    let command = format!(
        "find {} -type f -path '*/tile/*' -print0 | xargs -0 sha256sum > /dev/null",
        folder.path().display()
    );
    let theirs = best(|| {
        let _ = black_box(Command::new("sh").args(["-c", &command]).status());
    });
    let what = format!("a log of {entries} entries checked whole");
    print(&what, ours, "sha256sum over the same files", theirs);
    Ok(())
}

fn certificates(file: &Path, policy: &Path, evidence: &Path) -> Result<(), Box<dyn Error>> {
    let policy = Policy::read(policy)?;
    let now = Timestamp::now();
    let with = Given { policy: &policy, evidence: Some(evidence), log: None, now };
    let without = Given { evidence: None, ..with };
    let explained = verify(file, with)?;
    println!("{}; evidence: {:?}", explained.headline(), explained.evidence);
    let ours = best(|| {
        let _ = black_box(verify(file, with));
    });
    let alone = best(|| {
        let _ = black_box(verify(file, without));
    });
    print("a certificate verified with its evidence", ours, "without the evidence", alone);
    Ok(())
}

/// The best of five: what else runs here is not what is measured.
fn best(mut run: impl FnMut()) -> Duration {
    (0..5)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn print(what: &str, ours: Duration, other: &str, theirs: Duration) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("{what}: {ours:.1?}; {other}: {theirs:.1?}; ratio {ratio:.2}");
}
