//! How long things take, and what they ask of the CPUs, where nothing has been seen yet: so that a first run too
//! begins with what takes longest, and tells how long is left.

use hospitium_model::GuestKind;

use crate::durations::cpu_of;

/// What is measured of a check: how long it takes, and the CPU time of its machine where that is its own, both in
/// milliseconds. What fails is counted with the attempts that follow.
type Measured = [u32; 2];

/// By the check's id: with a kernel guest, and with a whole system. Measured on 2 CPUs with QEMU 7.2 under TCG
/// (Linux 6.1 and 6.12 on the one hand, Debian 12 on the other). What counts are the proportions.
const TYPICAL: [(&str, Measured, Measured); 83] = [
    ("boot", [11_500, 0], [48_500, 0]),
    ("boot.accelerated", [50, 0], [100, 0]),
    ("boot.console-clean", [50, 0], [100, 0]),
    ("boot.firmware-kind", [50, 0], [100, 0]),
    ("boot.no-device", [2_500, 300], [5_000, 700]),
    ("boot.reach-userland", [50, 0], [2_500, 0]),
    ("boot.reboot-xn", [16_000, 14_500], [94_000, 88_500]),
    ("boot.time-to-ready", [50, 0], [50, 0]),
    ("canary.must-fail", [100, 0], [200, 0]),
    ("clk.after-migrate", [4_000, 1_700], [5_500, 1_800]),
    ("clk.after-pause", [1_600, 200], [2_500, 300]),
    ("clk.after-restore", [6_500, 1_700], [10_000, 2_500]),
    ("clk.drift-load", [2_500, 1_900], [3_000, 1_400]),
    ("clk.monotonic-smp", [1_200, 600], [1_300, 500]),
    ("clk.offset", [50, 0], [50, 0]),
    ("clk.rtc-base", [600, 200], [500, 200]),
    ("clk.source", [50, 0], [100, 0]),
    ("clk.tsc-frequency", [500, 0], [500, 0]),
    ("con.framebuffer-alive", [200, 0], [600, 0]),
    ("con.input", [800, 300], [1_000, 400]),
    ("con.serial-two-way", [100, 0], [50, 0]),
    ("con.serial-two-way/after-migrate", [4_000, 1_600], [4_500, 1_600]),
    ("con.serial-two-way/after-migrate-back", [7_500, 3_000], [8_500, 3_000]),
    ("cpu.count", [50, 0], [100, 0]),
    ("cpu.enlightenments", [50, 0], [100, 0]),
    ("cpu.features-vs-host", [50, 0], [100, 0]),
    ("cpu.offline-online", [1_500, 400], [1_900, 600]),
    ("cpu.topology", [50, 0], [100, 0]),
    ("cpu.vulnerabilities", [50, 0], [100, 0]),
    ("crash.host-dump", [3_500, 900], [3_500, 900]),
    ("crash.host-notified", [500, 200], [600, 300]),
    ("crash.recovers", [9_500, 7_000], [36_500, 35_500]),
    ("hot.usb", [4_000, 500], [2_500, 1_000]),
    ("hot.usb/after-migrate", [5_500, 1_800], [6_500, 2_500]),
    ("hot.vcpu", [11_500, 900], [3_000, 1_200]),
    ("hot.vcpu/after-migrate", [5_500, 2_000], [6_500, 2_500]),
    ("hot.vcpu/after-restore", [8_000, 2_500], [12_500, 3_500]),
    ("ident.driver-versions", [100, 0], [700, 0]),
    ("ident.generation-id", [1_300, 200], [3_000, 400]),
    ("ident.hypervisor-sig", [100, 0], [200, 0]),
    ("ident.os-reported", [50, 0], [50, 0]),
    ("ident.pci-inventory", [300, 0], [400, 0]),
    ("ident.smbios", [50, 0], [100, 0]),
    ("irq.msi", [100, 0], [200, 0]),
    ("irq.nmi", [800, 200], [400, 200]),
    ("irq.spread", [900, 500], [1_100, 500]),
    ("irq.tick-rate", [900, 200], [1_000, 300]),
    ("iso.memory-zeroed", [4_500, 1_400], [6_000, 1_500]),
    ("iso.vmm-confined", [50, 0], [50, 0]),
    ("life.migrate-live", [5_500, 2_000], [4_500, 1_600]),
    ("life.pause-resume", [2_000, 900], [2_000, 900]),
    ("life.save-restore", [7_000, 2_000], [10_500, 2_500]),
    ("life.snapshot-revert", [1_600, 300], [2_000, 800]),
    ("mem.balloon", [3_000, 1_000], [4_000, 1_300]),
    ("mem.hot-add", [1_000, 400], [1_100, 400]),
    ("mem.hot-add/after-migrate", [4_500, 1_800], [5_000, 1_800]),
    ("mem.numa", [50, 0], [100, 0]),
    ("mem.overhead", [50, 0], [50, 0]),
    ("mem.size", [100, 0], [100, 0]),
    ("net.hot-add-remove", [1_400, 600], [2_500, 1_000]),
    ("net.link-flap", [2_000, 400], [1_900, 400]),
    ("net.mac-ip", [600, 400], [800, 400]),
    ("net.mtu", [600, 400], [900, 400]),
    ("net.transfer-integrity", [2_000, 1_000], [2_500, 900]),
    ("power.acpi-button", [700, 400], [5_500, 4_000]),
    ("power.guest-shutdown", [500, 300], [5_000, 0]),
    ("power.reset-in-boot", [14_000, 12_500], [48_500, 43_500]),
    ("rng.device", [600, 200], [800, 300]),
    ("rng.unique-after-restore", [1_200, 200], [1_500, 300]),
    ("stor.cdrom-change", [2_000, 700], [4_500, 2_000]),
    ("stor.discard", [2_000, 800], [2_500, 1_000]),
    ("stor.enospc", [2_000, 800], [2_500, 1_100]),
    ("stor.flush-durable", [1_800, 0], [1_800, 0]),
    ("stor.hot-add-remove/nvme", [2_000, 900], [2_500, 1_300]),
    ("stor.hot-add-remove/sata", [2_000, 900], [2_500, 1_300]),
    ("stor.hot-add-remove/usb", [3_000, 1_000], [3_500, 1_500]),
    ("stor.hot-add-remove/virtio", [1_600, 700], [2_000, 1_100]),
    ("stor.hot-add-remove/virtio-scsi", [1_400, 600], [2_500, 1_100]),
    ("stor.readonly", [1_300, 300], [1_000, 400]),
    ("stor.resize-online", [1_300, 400], [1_500, 700]),
    ("stor.rw-integrity", [1_900, 600], [1_400, 900]),
    ("stor.sector-4k", [1_400, 600], [2_000, 900]),
    ("wdt.expire", [2_500, 300], [3_500, 500]),
];

/// What is typical of `what` (a check's id, that with ` cpu` behind it, or `boot`), in milliseconds.
pub fn typical(kind: GuestKind, what: &str) -> Option<f64> {
    let (id, place) = match what.strip_suffix(cpu_of("").as_str()) {
        Some(id) => (id, 1),
        None => (what, 0),
    };
    let (_, kernel, disk) = TYPICAL.iter().find(|(known, ..)| *known == id)?;
    let measured = match kind {
        GuestKind::Kernel => kernel,
        GuestKind::Disk => disk,
    };
    measured.get(place).map(|ms| f64::from(*ms))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn something_is_known_of_every_check_and_of_nothing_else() {
        let known: BTreeSet<&str> = TYPICAL.iter().map(|(id, ..)| *id).collect();
        assert_eq!(known.len(), TYPICAL.len(), "none twice");
        let suite = hospitium_suite::checks::all().into_iter().map(|check| check.id);
        let all = suite.chain(["boot", hospitium_suite::checks::CANARY.id]);
        assert_eq!(known, all.collect());
    }

    #[test]
    fn what_starts_a_whole_system_again_is_known_to_work_long() {
        let of = |what| typical(GuestKind::Disk, what).expect("is known");
        assert!(of("boot.reboot-xn") > of("power.reset-in-boot"));
        assert!(of("boot.reboot-xn cpu") > 60_000.0);
        assert!(typical(GuestKind::Kernel, "boot.reboot-xn").expect("is known") < 60_000.0);
        assert_eq!(typical(GuestKind::Kernel, "of.another-suite"), None);
    }
}
