//! Boot and firmware.

use std::time::{Duration, SystemTime};

use hospitium_host::{EventClass, EventKind, Machine, MachineState, Screenshot, alter};
use hospitium_model::{
    Boot, Capability, Finding, Firmware, GuestKind, GuestSource, HostSource, MachineSpec,
    Observations, Value,
};
use hospitium_wire::PowerAction;
use serde_json::json;

use super::listed;
use crate::fault::SeamFault;
use crate::patience::cpu_wait;
use crate::silence::{self, Heard};
use crate::{Check, CheckError, FacetKind, Fault, Need, SightKind, check};

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
    pub REACH_USERLAND = "boot.reach-userland", tier: Reads,
        needs: [Need::Sight(SightKind::State)],
        fault: Fault::Seam(SeamFault::Look(|look| alter(&mut look.state, |state| *state = MachineState::Crashed)));
    async fn reach_userland(cell) {
        let state = cell.system().state(Duration::from_secs(30)).await?;
        let accepted = match cell.lab().guest().facts().kind {
            GuestKind::Kernel => vec!["init".into()],
            GuestKind::Disk => listed(cell.expect("init-state")?),
        };
        let good = accepted.contains(&state.value.as_str().into());
        let expected = if good { state.value.clone() } else { Value::List(accepted).to_string() };
        let machine = cell.look().await?.state?.map(|state| format!("{state:?}"));
        let boot = cell.lab().boot_facts();
        let told = HostSource::Hypervisor;
        Ok(Observations::of([
            Finding::each("init's state, and the machine's", state, expected, machine, "Running"),
            Finding::host_is("resets before the first answer", told.saw(boot.resets), 0),
            Finding::host_is(
                "crashes, halts and disk errors",
                told.saw(boot.bad_events.clone()),
                Vec::<String>::new(),
            ),
        ]))
    }
}

check! {
    /// From start to the probe's first answer takes no longer than is declared.
    pub TIME_TO_READY = "boot.time-to-ready", tier: Reads, needs: [],
        fault: Fault::Guest("uptime", |_, told| *told = json!({"secs": 100_000, "nanos": 0}));
    async fn time_to_ready(cell) {
        let budget = cell.expect_number("budget-ms")?;
        let before_kernel = cell.expect_number("firmware-ms")?;
        let uptime = cell.system().uptime().await?.map(|uptime| (uptime.as_secs_f64() * 1e3).round());
        let boot = cell.lab().boot_facts();
        let at_answer = GuestSource::Kernel.saw(boot.uptime_ms);
        let ready = HostSource::Clock.saw(boot.ready_ms.round());
        // A lab that gives the machine no CPU says nothing about the pair.
        let waited = boot.cpu_wait_ms.round();
        let clone_waited = (cpu_wait(cell.machine()).await.as_secs_f64() * 1e3).round();
        let most = budget + waited;
        let mut seen = Observations::of([
            // The guest counts from its kernel's start; firmware and boot loader were before.
            Finding::within("up to the first answer", "ms", at_answer, ready, before_kernel + waited),
            Finding::host_between("start to first answer", "ms", ready, 0.0, most),
            Finding::guest_between(
                "uptime now, the clone's included", "ms",
                uptime, boot.uptime_ms as f64, most + clone_waited,
            ),
        ]);
        if waited >= 1000.0 {
            seen.note(format!("the boot waited {waited} ms for a CPU, which is not counted"));
        }
        Ok(seen)
    }
}

/// The most lines that a finding shows.
const SHOWN: usize = 10;

check! {
    /// Neither the kernel's log nor the console shows an error during boot.
    pub CONSOLE_CLEAN = "boot.console-clean", tier: Reads, needs: [],
        fault: Fault::Guest("log", |_, told| {
            if let Some(lines) = told.as_array_mut() {
                lines.push(json!({"level": 2, "text": "BUG: seeded fault"}));
            }
        });
    async fn console_clean(cell) {
        let allowed: Vec<String> =
            listed(cell.expect("allowed-errors")?).iter().map(ToString::to_string).collect();
        let fine = |line: &str| allowed.iter().any(|a| line.contains(a.as_str()));
        let log = cell.system().log().await?;
        let source = log.source;
        if log.value.is_empty() {
            // A kernel that says nothing at all as it starts was not heard.
            return Err(CheckError::unreadable("the kernel's log", "it is empty"));
        }
        let starved = cell.lab().boot_facts().cpu_wait_ms >= silence::STARVED.as_secs_f64() * 1e3;
        let heard = Heard { starved, ..Heard::during(cell.lab().os(), "boot.console-clean") };
        // A warning with a trace is of severity 4, and its mark tells it from the others.
        let lines = log.value.iter().map(|line| line.text.as_str());
        let splats = heard.splats(lines.filter(|line| !fine(line)));
        // Severity 3 is an error (RFC 5424, 6.2.1).
        let errors = log.value.iter().filter(|line| line.level.is_some_and(|level| level <= 3));
        let (known, mut errors): (Vec<String>, Vec<String>) =
            errors.map(|line| line.text.escape_debug().to_string()).partition(|line| fine(line));
        errors.extend(splats.into_iter().filter(|splat| !errors.contains(splat)).collect::<Vec<_>>());
        let console = cell.lab().boot_facts().console.iter().map(String::as_str);
        let bad = heard.splats(console.filter(|line| !fine(line)));
        let nothing = Value::List(Vec::new());
        let shown = |lines: Vec<String>| lines.into_iter().take(SHOWN).collect::<Value>();
        let mut seen = Observations::of([Finding::each(
            "errors in the kernel's log, and bad lines on the console",
            source.saw(shown(errors)), nothing.clone(),
            HostSource::Wire.saw(shown(bad)), nothing,
        )]);
        for line in known.iter().take(SHOWN) {
            seen.note(format!("known and allowed: {line}"));
        }
        Ok(seen)
    }
}

check! {
    /// The guest was started by the firmware that is configured.
    pub FIRMWARE_KIND = "boot.firmware-kind", tier: Reads,
        needs: [Need::Sight(SightKind::Firmware)],
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
        let guest = cell.system().firmware().await?.map(name);
        let host = cell.look().await?.firmware?.map(name);
        Ok(Observations::of([Finding::same_as("firmware", guest, host, name(cell.spec().firmware))]))
    }
}

check! {
    /// Guest instructions run on hardware virtualization, and the guest can tell.
    pub ACCELERATED = "boot.accelerated", tier: Reads,
        needs: [Need::HardwareVirtualization, Need::Sight(SightKind::Accelerator)],
        fault: Fault::Seam(SeamFault::Look(|look| {
            alter(&mut look.accelerator, |used| *used = hospitium_model::Accelerator::Tcg);
        }));
    async fn accelerated(cell) {
        let expected = cell.expect("signature")?;
        let signature = super::ident::hypervisor_signature(cell.system()).await?;
        let used = cell.look().await?.accelerator?;
        Ok(Observations::of([Finding::each(
            "hypervisor's signature, and hardware virtualization in use",
            signature, expected, used.map(|used| used.is_hardware()), true,
        )]))
    }
}

check! {
    /// With nothing to boot from, the firmware stops and says so; it neither crashes nor resets for ever.
    pub NO_DEVICE = "boot.no-device", tier: Disruptive,
        needs: [
            Need::Host(Capability::Screenshot),
            Need::Facet(FacetKind::Display),
            Need::Sight(SightKind::State),
        ],
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
        let state = machine.look().await?.state?.map(|state| format!("{state:?}"));
        let resets = machine.events().iter().filter(|e| matches!(e.kind, EventKind::Reset { .. })).count();
        cell.judge_other(&*machine);
        machine.finish().await?;
        cell.keep_picture("no-device", settled.png()?);
        let colours = HostSource::Wire.saw(settled.colours() as f64);
        Ok(Observations::of([
            Finding::host_is("machine state", state, "Running"),
            Finding::host_is("resets", HostSource::Hypervisor.saw(resets), 0),
            Finding::host_between("colours on the settled screen", "", colours, 2.0, 65536.0),
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

/// How often a machine began to boot, by when it was reset: what comes within `firmware` of the first reset of a boot is
/// the firmware's, which resets the machine again before it boots.
fn boots_begun(mut resets: Vec<SystemTime>, firmware: Duration) -> usize {
    resets.sort();
    let mut boots = 0;
    let mut first: Option<SystemTime> = None;
    for at in resets {
        let since = first.and_then(|first| at.duration_since(first).ok());
        if since.is_none_or(|since| since > firmware) {
            boots += 1;
            first = Some(at);
        }
    }
    boots
}

check! {
    /// The guest restarts on request as often as is declared, each time anew, in one VM process.
    pub REBOOT = "boot.reboot-xn", tier: Reversible,
        needs: [Need::Events(EventClass::Reset), Need::Facet(FacetKind::Confinement), Need::Sight(SightKind::Process)],
        fault: Fault::Seam(SeamFault::HideEvents(|kind| matches!(kind, EventKind::Reset { .. }))),
        limit: 600 s;
    async fn reboot(cell) {
        let times = cell.expect_number("times")? as usize;
        let limit = Duration::from_secs_f64(cell.expect_number("budget-ms")? / 1e3);
        let pid = cell.process().await?.pid?;
        let firmware = Duration::from_secs_f64(cell.expect_number("firmware-resets-within-ms")? / 1e3);
        let (mut resets, mut boots) = (Vec::new(), Vec::new());
        let first = cell.system().boot_id().await?;
        let mut ids = vec![first.value];
        let mut hung = None;
        for restart in 1..=times {
            let from = cell.events_so_far();
            cell.act(PowerAction::Reboot).await?;
            let before = ids.last().map_or("", String::as_str);
            let now = cell.wait_restarted(before, limit).await?;
            // One restart is several resets where the firmware resets the machine once more.
            let events = cell.machine().events();
            let seen = events[from..].iter().filter(|e| matches!(e.kind, EventKind::Reset { .. }));
            let seen: Vec<SystemTime> = seen.map(|event| event.host_time).collect();
            resets.push(seen.len());
            boots.push(boots_begun(seen, firmware));
            let Some(now) = now else {
                hung = Some(format!("after restart {restart} the guest did not come up within {limit:?}"));
                break;
            };
            ids.push(now);
        }
        ids.sort();
        ids.dedup();
        let pid_after = cell.process().await?.pid?;
        let restarts = first.source.saw(ids.len() - 1);
        let episodes = resets.iter().filter(|&&resets| resets > 0).count();
        let worst = HostSource::Hypervisor.saw(boots.iter().copied().max().unwrap_or(0) as f64);
        let mut seen = Observations::of([
            Finding::same_as("restarts", restarts, HostSource::Hypervisor.saw(episodes), times),
            Finding::host_between("boots begun in one restart, the most of any", "", worst, 0.0, 1.0),
            Finding::host_is("one VM process", pid_after.map(|after| after == pid.value), true),
        ]);
        seen.note(format!("resets of each restart, those of the firmware included: {resets:?}"));
        hung.into_iter().for_each(|hung| seen.note(hung));
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_is_reset_on_its_way_up_is_told_from_firmware_that_resets_once_more() {
        let begun = |ms: &[u64]| {
            let at = |ms: &u64| SystemTime::UNIX_EPOCH + Duration::from_millis(*ms);
            boots_begun(ms.iter().map(at).collect(), Duration::from_millis(500))
        };
        // Seen of a good guest on a busy machine, with QEMU 7.2 and SeaBIOS.
        let busy = [750, 773, 778, 807, 812, 844, 850, 867, 869];
        assert_eq!(begun(&busy), 1);
        assert_eq!(begun(&[22, 117, 122]), 1);
        assert_eq!(begun(&[]), 0);
        // It crashed once on its way, and its firmware reset it once more each time.
        assert_eq!(begun(&[0, 5, 2300, 2305]), 2);
        // No pause between two of them is long.
        assert_eq!(begun(&[0, 300, 600, 900, 1200]), 3);
    }
}
