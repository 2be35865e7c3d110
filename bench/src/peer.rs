//! Beside a tool that people use today: autopkgtest with its QEMU runner, on the same disk image.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use xtask::setup::{self, Lab};

use crate::Measured;
use crate::machines::{Bench, defined};

/// Isolated tests on both sides.
const TESTS: u32 = 20;

/// A source package of `count` trivial tests, each of which spoils its machine.
fn package(folder: &Path, count: u32) -> Result<()> {
    let debian = folder.join("debian");
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(debian.join("tests"))?;
    let mut control = String::new();
    for n in 0..count {
        control.push_str(&format!("Tests: t{n}\nDepends:\nRestrictions: breaks-testbed\n\n"));
        let path = debian.join(format!("tests/t{n}"));
        std::fs::write(&path, "#!/bin/sh\ntrue\n")?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    std::fs::write(debian.join("tests/control"), control)?;
    std::fs::write(
        debian.join("control"),
        "Source: trivial\nMaintainer: Nobody <nobody@example.org>\n\nPackage: trivial\nArchitecture: all\nDescription: trivial\n",
    )?;
    std::fs::write(
        debian.join("changelog"),
        "trivial (1) unstable; urgency=low\n\n  * One.\n\n -- Nobody <nobody@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\n",
    )?;
    // Without it autopkgtest wants to install dpkg-dev in the machine.
    std::fs::write(debian.join("files"), "")?;
    Ok(())
}

/// autopkgtest takes KVM wherever /dev/kvm is; this takes the option away, so that both sides emulate.
fn emulating_qemu(scratch: &Path) -> Result<std::path::PathBuf> {
    let path = scratch.join("qemu-tcg");
    let script = "#!/bin/bash\nargs=()\nfor a in \"$@\"; do [ \"$a\" = -enable-kvm ] || args+=(\"$a\"); done\nexec qemu-system-x86_64 \"${args[@]}\"\n";
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn theirs(lab: &Lab, scratch: &Path, count: u32) -> Result<Duration> {
    let tree = scratch.join("trivial");
    package(&tree, count)?;
    let qemu = emulating_qemu(scratch)?;
    let begun = Instant::now();
    let status = Command::new("autopkgtest")
        .arg("-B")
        .arg(&tree)
        .arg("--")
        .arg("qemu")
        .arg(format!("--qemu-command={}", qemu.display()))
        .args(["--ram-size=512", "--cpus=2"])
        .arg(&lab.login_system)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("running autopkgtest")?;
    ensure!(status.success(), "autopkgtest: {status}");
    Ok(begun.elapsed())
}

/// Twenty isolated tests: all of ours; of theirs all where `full`, else one and two, from which twenty follow.
pub fn autopkgtest(bench: &Bench, full: bool) -> Result<Measured> {
    setup::install([("autopkgtest", "the tool that the bench compares with")].iter())?;
    // Twenty checks that each have a clone of their own.
    let checks = [
        "life.pause-resume",
        "stor.rw-integrity",
        "stor.flush-durable",
        "stor.readonly",
        "stor.resize-online",
        "stor.discard",
        "net.mac-ip",
        "net.mtu",
        "net.link-flap",
        "irq.tick-rate",
        "irq.spread",
        "irq.nmi",
        "clk.rtc-base",
        "clk.monotonic-smp",
        "clk.after-pause",
        "cpu.offline-online",
        "con.input",
        "rng.device",
        "mem.hot-add",
        "stor.hot-add-remove/virtio",
    ];
    let guest = defined("debian-12-login", &bench.lab.login_system);
    let mut arguments = vec!["--no-cache"];
    for check in checks {
        arguments.extend(["--check", check]);
    }
    let run = bench.ours("twenty", &guest, &arguments, &mut |_| ())?;
    let (all, how) = if full {
        (
            theirs(&bench.lab, &bench.scratch, TESTS)?,
            format!("all {TESTS} of autopkgtest's were run"),
        )
    } else {
        let one = theirs(&bench.lab, &bench.scratch, 1)?;
        let two = theirs(&bench.lab, &bench.scratch, 2)?;
        let further = two.saturating_sub(one);
        let how = format!(
            "of autopkgtest's one alone took {:.0} s and a further one {:.0} s; {TESTS} are extrapolated from these, not run",
            one.as_secs_f64(),
            further.as_secs_f64()
        );
        (one + further * (TESTS - 1), how)
    };
    let ratio = all.as_secs_f64() / run.took.as_secs_f64();
    Ok(Measured {
        what: format!(
            "autopkgtest's time to ours for {TESTS} isolated tests on the same image ({how})"
        ),
        ours: run.text(),
        other: format!("{:.0} s", all.as_secs_f64()),
        ratio,
        bar: "≥ 10",
        // Fewer of ours than of theirs would be no comparison.
        reached: ratio >= 10.0 && run.judged >= u64::from(TESTS),
        bound: "the one boot; our checks do real work, the other side's tests none".into(),
    })
}
