//! Files, folders, patterns and devices.

use std::io::Write as _;
use std::process::Command;

use hospitium_wire::{Flags, MAX_DATA, Refusal, Reply, Request, errno};

use crate::path;
use crate::session::{Session, pattern, sha256};

#[test]
fn files_are_written_read_listed_and_removed() {
    let (folder, mut probe) = (tempfile::tempdir().expect("a folder"), Session::start());
    let (file, sub) = (path(&folder, "file"), path(&folder, "sub"));
    let data = pattern(2, MAX_DATA);
    let flags = Flags { create: true, sync: true, ..Flags::default() };
    let write = |offset, data, flags| Request::WriteFile { path: &file, offset, data, flags };
    assert_eq!(probe.failure(write(0, &data, Flags::default())), errno::ENOENT);
    assert_eq!(probe.ask(write(0, &data, flags)), Reply::Count { count: MAX_DATA as u64 });
    let append = Flags { append: true, ..Flags::default() };
    assert_eq!(probe.ask(write(0, b"tail", append)), Reply::Count { count: 4 });
    let read = |offset, max| Request::ReadFile { path: &file, offset, max };
    assert_eq!(probe.data(read(0, u32::MAX)), data);
    assert_eq!(probe.data(read(4090, 10)), [&data[4090..], b"tail"].concat());
    let truncate = Flags { truncate: true, ..Flags::default() };
    assert_eq!(probe.ask(write(0, b"x", truncate)), Reply::Count { count: 1 });
    assert_eq!(std::fs::read(&file).expect("the file"), b"x");
    for _ in 0..2 {
        assert_eq!(probe.ask(Request::MakeDir { path: &sub }), Reply::Done);
    }
    std::os::unix::fs::symlink("sub", path(&folder, "link")).expect("a link");
    assert_eq!(probe.data(Request::ReadLink { path: &path(&folder, "link") }), b"sub");
    for path in [&sub, &file] {
        assert_eq!(probe.ask(Request::Remove { path }), Reply::Done);
        assert_eq!(probe.failure(Request::Remove { path }), errno::ENOENT);
    }
    assert_eq!(probe.refusal(Request::Remove { path: "nul\0nul" }), Refusal::Invalid);
}

#[test]
fn files_of_the_kernel_are_read_whole() {
    let mut probe = Session::start();
    let data = probe.data(Request::ReadFile { path: "/proc/self/status", offset: 0, max: 4096 });
    assert!(
        data.starts_with(b"Name:\thospitium-probe\n") || data.starts_with(b"Name:\thospitium-pro")
    );
}

#[test]
fn a_long_folder_is_listed_in_parts_without_loss_or_repetition() {
    let (folder, mut probe) = (tempfile::tempdir().expect("a folder"), Session::start());
    let mut names: Vec<_> = (0..200).map(|n| format!("{n:060}")).collect();
    for name in &names {
        std::fs::write(folder.path().join(name), "").expect("a file");
    }
    let folder = folder.path().to_str().expect("a path in UTF-8");
    let mut found = Vec::new();
    loop {
        let part = probe.data(Request::List { path: folder, skip: found.len() as u32 });
        if part.is_empty() {
            break;
        }
        assert_eq!(part.last(), Some(&0));
        let part = String::from_utf8(part).expect("names in UTF-8");
        found.extend(part.split_terminator('\0').map(str::to_owned));
    }
    found.sort();
    names.sort();
    assert_eq!(found, names);
}

#[test]
fn a_pattern_on_a_file_has_the_digest_of_another_computation() {
    let (folder, mut probe) = (tempfile::tempdir().expect("a folder"), Session::start());
    let file = path(&folder, "file");
    let length = 3 * 65536 + 4096;
    let expected = (sha256(&pattern(0, length)), length as u64);
    let (offset, length) = (8192, length as u64);
    let write = |direct| Request::PatternWrite {
        path: &file,
        offset,
        length,
        seed: 0,
        flush: true,
        direct,
    };
    assert_eq!(probe.digest(write(false)), expected);
    let bytes = std::fs::read(&file).expect("the file");
    // The first value of SplitMix64 with seed 0, as published with it.
    assert_eq!(bytes[8192..8200], 0xE220_A839_7B1D_CDAF_u64.to_le_bytes());
    assert_eq!(sha256(&bytes[8192..]), expected.0);
    let read = |offset, length| Request::PatternRead { path: &file, offset, length, direct: false };
    assert_eq!(probe.digest(read(8192, length)), expected);
    assert_eq!(probe.digest(read(8192, length + 4096)), expected, "the file's end");
    assert_eq!(probe.refusal(read(1, 4096)), Refusal::Invalid);
    assert_eq!(probe.refusal(read(u64::MAX - 4095, 4096)), Refusal::Invalid);
    // Not every file system takes O_DIRECT; one that does gives the same.
    if let Reply::Digest { sha256, .. } = probe.ask(write(true)) {
        assert_eq!(sha256, expected.0);
    }
}

#[test]
fn a_device_is_read_until_its_limit() {
    let mut probe = Session::start();
    let read = |path, limit_ms| Request::ReadDevice { path, max: 100, limit_ms };
    assert_eq!(probe.data(read("/dev/zero", 1000)), [0; 100]);
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = path(&folder, "fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let mut writer = std::fs::File::options().read(true).write(true).open(&fifo).expect("a FIFO");
    assert_eq!(probe.refusal(read(&fifo, 50)), Refusal::Timeout);
    writer.write_all(b"something").expect("room");
    assert_eq!(probe.data(read(&fifo, 5000)), b"something");
}
