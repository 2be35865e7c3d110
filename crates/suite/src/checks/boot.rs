//! Boot and firmware.

use std::time::Duration;

use hospitium_host::{EventKind, Machine, MachineState, Screenshot, alter};
use hospitium_model::{
    Boot, Capability, Finding, Firmware, GuestKind, MachineSpec, Observations, Value,
};
use hospitium_system::OwnedReply;
use hospitium_wire::Request;

use super::read;
use crate::fault::SeamFault;
use crate::patience::cpu_wait;
use crate::{Cell, Check, CheckError, Fault, Need, check};

/// All of this file.
pub const CHECKS: &[&Check] = &[
    &REACH_USERLAND,
    &TIME_TO_READY,
    &CONSOLE_CLEAN,
    &FIRMWARE_KIND,
    &ACCELERATED,
    &NO_DEVICE,
    &REBOOT,
];

check! {
    /// The guest reaches userland: its init runs, and the machine was not reset or halted on the way.
    pub REACH_USERLAND = "boot.reach-userland", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| alter(&mut look.state, |state| *state = MachineState::Crashed)));
    async fn reach_userland(cell) {
        let mut seen = Observations::new();
        match cell.lab().guest().facts().kind {
            GuestKind::Kernel => {
                let init = read::text(&cell.guest, "/proc/1/comm").await?;
                seen.push(Finding::guest_is("process 1", init, "init"));
            }
            GuestKind::Disk => {
                let state = init_state(cell).await?;
                let accepted = cell.expect("init-state")?;
                let list = Value::List(vec![state.as_str().into()]);
                seen.push(Finding::recorded("accepted init states").outside(Value::from(accepted.clone())));
                let good = matches!(&accepted, Value::List(all) if all.contains(&state.as_str().into()));
                seen.push(Finding::guest_is("init state", list, vec![if good { state.clone() } else { accepted.to_string() }]));
            }
        }
        let state = cell.look().await?.state?.value;
        let boot = cell.lab().boot_facts();
        seen.push(Finding::host_is("machine state", format!("{state:?}"), "Running"));
        seen.push(Finding::host_is("resets before the first answer", boot.resets, 0));
        seen.push(Finding::host_is("crashes, halts and disk errors", boot.bad_events.clone(), Vec::<String>::new()));
        Ok(seen)
    }
}

/// What systemd (or another init, by the runlevel) says of itself, once it has finished starting.
async fn init_state(cell: &mut Cell) -> Result<String, CheckError> {
    let run = ["/bin/systemctl", "is-system-running", "--wait"];
    let ended = cell.guest.run(&run, Duration::from_secs(30)).await?;
    Ok(String::from_utf8_lossy(&ended.output).trim().to_owned())
}

check! {
    /// From start to the probe's first answer takes no longer than is declared.
    pub TIME_TO_READY = "boot.time-to-ready", tier: Reads, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::Hello { .. }, OwnedReply::Hello { uptime_ms, .. }) = (request, reply) {
                *uptime_ms = 100_000_000;
            }
        });
    async fn time_to_ready(cell) {
        let budget = cell.expect_number("budget-ms")?;
        let uptime = cell.guest.greet(Duration::from_secs(20)).await?.uptime.as_millis();
        let boot = cell.lab().boot_facts();
        // A lab that gives the machine no CPU says nothing about the pair.
        let waited = boot.cpu_wait_ms.round();
        let clone_waited = cpu_wait(cell.machine()).await.as_secs_f64() * 1e3;
        let most = budget + waited;
        let mut seen = Observations::of([
            Finding::guest_between("uptime, the clone's included", "ms", uptime as f64, 0.0, most + clone_waited.round()),
            Finding::host_between("start to first answer", "ms", boot.ready_ms.round(), 0.0, most),
        ]);
        if waited >= 1000.0 {
            seen.note(format!("the boot waited {waited} ms for a CPU, which is not counted"));
        }
        seen.note(format!("guest's uptime at its first answer after boot: {} ms", boot.uptime_ms));
        Ok(seen)
    }
}

/// What no console of a good boot shows.
const BADNESS: [&str; 12] = [
    "Kernel panic",
    "Oops",
    "BUG:",
    "Call Trace",
    "general protection fault",
    "rcu_sched self-detected",
    "soft lockup",
    "hung_task",
    "WARNING: CPU",
    "Unable to mount root",
    "MCE:",
    "I/O error",
];

check! {
    /// Neither the kernel's log nor the console shows an error during boot.
    pub CONSOLE_CLEAN = "boot.console-clean", tier: Reads, needs: [],
        fault: Fault::Guest(|request, reply| {
            if let (Request::KernelLog { offset: 0 }, OwnedReply::Data(data)) = (request, reply) {
                data.splice(0..0, b"<2>[    0.000000] BUG: seeded fault\n".iter().copied());
                data.truncate(hospitium_wire::MAX_DATA);
            }
        });
    async fn console_clean(cell) {
        let allowed = match cell.expect("allowed-errors")? {
            Value::List(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>(),
            other => vec![other.to_string()],
        };
        let fine = |line: &str| allowed.iter().any(|a| line.contains(a.as_str()));
        let log = read::kernel_log(&cell.guest).await?;
        let (errors, known): (Vec<&str>, Vec<&str>) = log
            .lines()
            .filter(|line| matches!(line.as_bytes(), [b'<', b'0'..=b'3', b'>', ..]))
            .partition(|line| !fine(line));
        let bad: Vec<&String> = cell
            .lab()
            .boot_facts()
            .console
            .iter()
            .filter(|line| BADNESS.iter().any(|bad| line.contains(bad)) && !fine(line))
            .collect();
        let shown = |lines: Vec<&str>| lines.iter().take(10).map(|l| Value::from(*l)).collect::<Value>();
        let mut seen = Observations::of([
            Finding::guest_is("errors in the kernel's log", shown(errors), Value::List(Vec::new())),
            Finding::host_is(
                "bad lines on the console",
                bad.into_iter().take(10).cloned().collect::<Value>(),
                Value::List(Vec::new()),
            ),
        ]);
        for line in known.iter().take(10) {
            seen.note(format!("known and allowed: {line}"));
        }
        Ok(seen)
    }
}

check! {
    /// The guest was started by the firmware that is configured.
    pub FIRMWARE_KIND = "boot.firmware-kind", tier: Reads, needs: [],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.firmware, |kind| {
                *kind = match kind {
                    Firmware::Bios => Firmware::Uefi,
                    Firmware::Uefi => Firmware::Bios,
                };
            });
        }));
    async fn firmware_kind(cell) {
        let name = |kind| match kind {
            Firmware::Bios => "BIOS",
            Firmware::Uefi => "UEFI",
        };
        let names = read::names(&cell.guest, "/sys/firmware").await?;
        let guest = if names.iter().any(|n| n == "efi") { Firmware::Uefi } else { Firmware::Bios };
        let host = cell.look().await?.firmware?.value;
        let configured = cell.spec().firmware;
        Ok(Observations::of([Finding::same_as("firmware", name(guest), name(host), name(configured))]))
    }
}

check! {
    /// Guest instructions run on hardware virtualization, and the guest can tell.
    pub ACCELERATED = "boot.accelerated", tier: Reads, needs: [Need::HardwareVirtualization],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.accelerator, |used| *used = hospitium_model::Accelerator::Tcg);
        }));
    async fn accelerated(cell) {
        let expected = cell.expect("signature")?;
        let signature = super::ident::hypervisor_signature(cell).await?;
        let used = cell.look().await?.accelerator?.value;
        Ok(Observations::of([
            Finding::guest_is("hypervisor signature", signature, expected),
            Finding::host_is("hardware virtualization in use", used.is_hardware(), true),
        ]))
    }
}

check! {
    /// With nothing to boot from, the firmware stops and says so; it neither crashes nor resets for ever.
    pub NO_DEVICE = "boot.no-device", tier: Disruptive, needs: [Need::Host(Capability::Screenshot)],
        fault: Fault::Seam(SeamFault::BlackScreen);
    async fn no_device(cell) {
        let mut spec = MachineSpec::new(hospitium_model::ByteSize::mib(64), Boot::Nothing);
        spec.firmware = cell.spec().firmware;
        spec.cpus.cores = 1;
        if spec.firmware == Firmware::Uefi {
            spec.memory.size = hospitium_model::ByteSize::mib(256);
        }
        let machine = cell.start_machine(&spec).await?;
        let settled = settled_screen(&*machine).await?;
        let state = machine.look().await?.state?.value;
        let resets = machine.events().iter().filter(|e| matches!(e.kind, EventKind::Reset { .. })).count();
        machine.finish().await?;
        cell.keep_picture("no-device", settled.png()?);
        Ok(Observations::of([
            Finding::host_is("machine state", format!("{:?}", state), "Running"),
            Finding::host_is("resets", resets, 0),
            Finding::host_between("colours on the settled screen", "", settled.colours() as f64, 2.0, 65536.0),
        ])
        .only_one_witness("there is no guest to ask"))
    }
}

/// Pixels that may differ between two pictures of a settled text screen: a blinking cursor of 9 × 16.
const CURSOR: usize = 160;

/// The screen once three pictures in a row differ by no more than a cursor and are not blank, or the last
/// one after 20 s.
async fn settled_screen(machine: &dyn Machine) -> Result<Screenshot, CheckError> {
    let mut last = machine.display()?.screenshot().await?;
    let mut same = 0;
    for _ in 0..80 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = machine.display()?.screenshot().await?;
        let quiet = now.width == last.width
            && now.height == last.height
            && differing(&now, &last) <= CURSOR;
        same = if quiet && now.colours() > 1 { same + 1 } else { 0 };
        last = now;
        if same == 2 {
            break;
        }
    }
    Ok(last)
}

/// Number of pixels that differ between two pictures of one size.
fn differing(one: &Screenshot, other: &Screenshot) -> usize {
    one.rgb.chunks_exact(3).zip(other.rgb.chunks_exact(3)).filter(|(a, b)| a != b).count()
}

check! {
    /// The guest restarts on request as often as is declared, each time anew, in one VM process.
    pub REBOOT = "boot.reboot-xn", tier: Reversible, needs: [],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::Reset { .. }))),
        limit: 600 s;
    async fn reboot(cell) {
        let times = cell.expect_number("times")? as usize;
        let limit = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        let pid = cell.process().await?.pid?.value;
        let (mut episodes, mut resets) = (0, 0);
        let mut ids = vec![cell.boot_id().await?];
        let mut hung = None;
        for restart in 1..=times {
            let from = cell.events_so_far();
            cell.guest.power(hospitium_wire::PowerAction::Reboot).await?;
            let before = ids.last().map_or("", String::as_str);
            let now = cell.wait_restarted(before, limit).await?;
            // One restart is several resets where the firmware resets the machine once more (SeaBIOS
            // does, src/resume.c), so restarts in which any was seen are counted.
            let events = cell.machine().events();
            let seen = events[from..].iter().filter(|e| matches!(e.kind, EventKind::Reset { .. })).count();
            episodes += usize::from(seen > 0);
            resets += seen;
            let Some(now) = now else {
                hung = Some(format!("after restart {restart} the guest did not come up within {limit:?}"));
                break;
            };
            ids.push(now);
        }
        ids.sort();
        ids.dedup();
        let pid_after = cell.process().await?.pid?.value;
        let mut seen = Observations::of([
            Finding::same_as("restarts", ids.len() - 1, episodes, times),
            Finding::host_is("one VM process", pid_after == pid, true),
        ]);
        seen.note(format!("{resets} resets in all, those of the firmware included"));
        hung.into_iter().for_each(|hung| seen.note(hung));
        Ok(seen)
    }
}
