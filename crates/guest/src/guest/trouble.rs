//! What firmware, boot loaders and systems say when they will not come up, and what it means.
//!
//! A pure function over text: a line of the serial console, or [phrases](SIGNS) that are looked for
//! on the screen. What people see at once should not wait out a limit.

use std::time::Duration;

/// What kind of end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing that can be booted was found, or what was found stopped before it started a kernel.
    NotBootable,
    /// A kernel found no root file system, and no device for it either.
    NoRoot,
    /// A kernel died.
    Panic,
    /// The system waits in a shell of last resort.
    Shell,
    /// The probe runs, and sees none of its channels.
    NoChannel,
}

/// One saying.
#[derive(Debug, PartialEq, Eq)]
pub struct Sign {
    /// The words.
    pub says: &'static str,
    /// Whose words they are.
    pub by: &'static str,
    /// What kind of end it is.
    pub kind: Kind,
    /// For how long nothing else has to follow before it counts as the end.
    pub grace: Duration,
    /// How many other lines may follow all the same: a shell prints some by itself, and takes what is sent to
    /// the probe for words of a person.
    pub lines: u32,
    /// What it means, and what to do.
    pub means: &'static str,
}

const NOTHING: &str = "the disk has no boot loader that this firmware finds; is it the image of a whole system, and \
    made for the other firmware (BIOS, UEFI)? A bare file system is booted as KERNEL+INITRD+IMAGE";
const LOADER: &str = "the image's boot loader is there and does not find what it is to load; it was perhaps made for another \
    bus or disk order";
const WINDOWS: &str = "Windows' loader does not find its system; the disk's bus may be one for which it has no driver";
const ROOT: &str = "it does not find its root file system; its initrd lacks the driver of the disk's bus, or the disk has \
    another name here";
const REPAIR: &str =
    "the system waits for a person to repair it; the console's last lines say what failed";

const fn sign(
    says: &'static str,
    by: &'static str,
    kind: Kind,
    grace_seconds: u64,
    means: &'static str,
) -> Sign {
    Sign { says, by, kind, grace: Duration::from_secs(grace_seconds), lines: 0, means }
}

/// What UEFI's shell waits behind.
const UEFI_PROMPT: &str = "Shell>";

/// All sayings. Of two that fit the first counts, so that the more telling one stands before.
pub static SIGNS: &[Sign] = {
    use Kind::{NoChannel, NoRoot, NotBootable, Panic, Shell};
    &[
        sign("No bootable device", "the firmware (SeaBIOS)", NotBootable, 0, NOTHING),
        sign(
            "Boot failed: not a bootable disk",
            "the firmware (SeaBIOS)",
            NotBootable,
            20,
            NOTHING,
        ),
        sign(
            "Boot failed: could not read the boot disk",
            "the firmware (SeaBIOS)",
            NotBootable,
            20,
            NOTHING,
        ),
        sign(
            "No more network devices",
            "the network boot program (iPXE)",
            NotBootable,
            20,
            NOTHING,
        ),
        sign(
            "No bootable option or device was found",
            "the firmware (UEFI)",
            NotBootable,
            0,
            NOTHING,
        ),
        Sign {
            lines: 60,
            ..sign("UEFI Interactive Shell", "the firmware (UEFI)", NotBootable, 12, NOTHING)
        },
        // Its prompt, which comes again after each answer to what the harness asks on the probe's channel: the
        // firmware takes that for its keyboard, too.
        Sign { lines: 8, ..sign(UEFI_PROMPT, "the firmware (UEFI)", NotBootable, 12, NOTHING) },
        sign("BdsDxe: failed to load Boot", "the firmware (UEFI)", NotBootable, 40, NOTHING),
        sign("This is not a bootable disk", "the disk's boot sector", NotBootable, 5, NOTHING),
        sign("Non-System disk or disk error", "the disk's boot sector", NotBootable, 5, NOTHING),
        sign("Missing operating system", "the disk's boot sector", NotBootable, 5, NOTHING),
        sign("Operating system not found", "the disk's boot sector", NotBootable, 5, NOTHING),
        sign("Error loading operating system", "the disk's boot sector", NotBootable, 5, LOADER),
        sign("Invalid partition table", "the disk's boot sector", NotBootable, 5, LOADER),
        sign("grub rescue>", "the boot loader (GRUB)", NotBootable, 0, LOADER),
        sign("Entering rescue mode...", "the boot loader (GRUB)", NotBootable, 5, LOADER),
        sign("GRUB Hard Disk Error", "the boot loader (GRUB)", NotBootable, 0, LOADER),
        sign("GRUB Read Error", "the boot loader (GRUB)", NotBootable, 0, LOADER),
        sign("GRUB Geom Error", "the boot loader (GRUB)", NotBootable, 0, LOADER),
        sign(
            "you need to load the kernel first",
            "the boot loader (GRUB)",
            NotBootable,
            10,
            LOADER,
        ),
        sign(
            "Minimal BASH-like line editing is supported",
            "the boot loader (GRUB)",
            NotBootable,
            30,
            LOADER,
        ),
        sign("error: no such device", "the boot loader (GRUB)", NotBootable, 30, LOADER),
        sign("error: unknown filesystem", "the boot loader (GRUB)", NotBootable, 30, LOADER),
        sign("GRUB loading", "the boot loader (GRUB)", NotBootable, 180, LOADER),
        sign(
            "No DEFAULT or UI configuration directive found",
            "the boot loader (SYSLINUX)",
            NotBootable,
            10,
            LOADER,
        ),
        sign("Could not find kernel image", "the boot loader (SYSLINUX)", NotBootable, 10, LOADER),
        sign("Failed to load ldlinux", "the boot loader (SYSLINUX)", NotBootable, 10, LOADER),
        sign(
            "isolinux.bin missing or corrupt",
            "the boot loader (ISOLINUX)",
            NotBootable,
            10,
            LOADER,
        ),
        sign("Image checksum error, sorry", "the boot loader (ISOLINUX)", NotBootable, 10, LOADER),
        sign("BOOTMGR is missing", "the disk's boot sector (Windows)", NotBootable, 0, WINDOWS),
        sign("BOOTMGR is compressed", "the disk's boot sector (Windows)", NotBootable, 0, WINDOWS),
        sign("NTLDR is missing", "the disk's boot sector (Windows)", NotBootable, 0, WINDOWS),
        sign(
            "A disk read error occurred",
            "the disk's boot sector (Windows)",
            NotBootable,
            0,
            WINDOWS,
        ),
        sign("INACCESSIBLE_BOOT_DEVICE", "Windows", NotBootable, 0, WINDOWS),
        sign(
            "VFS: Unable to mount root fs on unknown-block(0,0)",
            "the kernel",
            NoRoot,
            3,
            "no driver for the disk is built in, and there is no initrd that brings one, or it cannot take \
             one; give its initrd (KERNEL+INITRD+IMAGE)",
        ),
        sign(
            "No working init found",
            "the kernel",
            Panic,
            3,
            "there is no program to start as the first",
        ),
        sign("No init found", "the kernel", Panic, 3, "there is no program to start as the first"),
        sign("Kernel panic - not syncing", "the kernel", Panic, 3, "the kernel died"),
        sign("(initramfs)", "the initrd's shell", Shell, 5, ROOT),
        sign("dracut:/#", "the initrd's shell (dracut)", Shell, 5, ROOT),
        sign("Dropping to a shell", "the initrd", Shell, 10, ROOT),
        sign("initramfs emergency recovery shell launched", "the initrd", Shell, 5, ROOT),
        sign(
            "Entering emergency mode. Exit the shell to continue",
            "the initrd (dracut)",
            Shell,
            5,
            ROOT,
        ),
        sign("Give root password for maintenance", "the system", Shell, 5, REPAIR),
        sign("Press Enter for maintenance", "the system", Shell, 5, REPAIR),
        sign("You are in emergency mode", "the system (systemd)", Shell, 20, REPAIR),
        sign(
            "hospitium-probe: no channel yet",
            "the probe",
            NoChannel,
            0,
            "the guest has no driver for the device that its channel is on",
        ),
    ]
};

/// What LILO prints of itself, letter by letter, before its two digits of an error.
static LILO: Sign = sign("L", "the boot loader (LILO)", Kind::NotBootable, 10, LOADER);

/// What a line of a console says of a boot that will not go on. Lines as a person sees them, without the
/// sequences of a terminal.
pub fn recognise(line: &str) -> Option<&'static Sign> {
    let line = line.trim();
    // A log that quotes one of them (journald's copies, a command line) is no such saying; a prompt is one,
    // whatever was typed behind it.
    if line.len() > 400 {
        return SIGNS.iter().find(|sign| sign.says == UEFI_PROMPT && line.starts_with(sign.says));
    }
    let said = |sign: &&Sign| match sign.kind {
        // Prompts, which stand at the beginning.
        Kind::Shell if sign.says.ends_with([')', '#']) => line.starts_with(sign.says),
        _ => contains(line, sign.says),
    };
    SIGNS.iter().find(said).or_else(|| is_lilo(line).then_some(&LILO))
}

/// Firmware and loaders write their words in small letters or large ones.
fn contains(line: &str, words: &str) -> bool {
    let (line, words) = (line.as_bytes(), words.as_bytes());
    line.windows(words.len()).any(|part| part.eq_ignore_ascii_case(words))
}

/// `L 99 99 99 …`, `LI`, `LIL-`: the letters of its name up to where it stopped (LILO's user guide,
/// "Boot-time messages").
fn is_lilo(line: &str) -> bool {
    let Some(rest) = ["LIL", "LI", "L"].iter().find_map(|name| line.strip_prefix(name)) else {
        return false;
    };
    let mut words = rest.split_ascii_whitespace();
    let Some(first) = words.next().filter(|_| rest.starts_with(' ')) else {
        return matches!(line, "LI" | "LIL" | "LIL?" | "LIL-");
    };
    let is_code = first.len() == 2 && first.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut more = 0;
    is_code && words.inspect(|_| more += 1).all(|word| first.starts_with(word)) && more >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What machines have printed, in their own words.
    const SEEN: &[(&str, &str, Kind)] = &[
        ("No bootable device.  Retrying in 60 seconds.", "SeaBIOS", Kind::NotBootable),
        ("Boot failed: not a bootable disk", "SeaBIOS", Kind::NotBootable),
        ("BdsDxe: No bootable option or device was found.", "UEFI", Kind::NotBootable),
        (
            "BdsDxe: failed to load Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x3,0x0): Not Found",
            "UEFI",
            Kind::NotBootable,
        ),
        ("UEFI Interactive Shell v2.2", "UEFI", Kind::NotBootable),
        ("Shell> ", "UEFI", Kind::NotBootable),
        ("No more network devices", "iPXE", Kind::NotBootable),
        ("error: no such device: 2b4b1c8e-9b1e-4d2f-8a9d-0f1d8f0f3d11.", "GRUB", Kind::NotBootable),
        ("grub rescue> ", "GRUB", Kind::NotBootable),
        ("GRUB loading, please wait...", "GRUB", Kind::NotBootable),
        ("GRUB Loading stage1.5.", "GRUB", Kind::NotBootable),
        ("GRUB Hard Disk Error", "GRUB", Kind::NotBootable),
        ("No DEFAULT or UI configuration directive found!", "SYSLINUX", Kind::NotBootable),
        ("Could not find kernel image: linux", "SYSLINUX", Kind::NotBootable),
        ("isolinux: Image checksum error, sorry...", "ISOLINUX", Kind::NotBootable),
        ("L 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99", "LILO", Kind::NotBootable),
        ("L 01 01 01 01 0", "LILO", Kind::NotBootable),
        ("LIL-", "LILO", Kind::NotBootable),
        ("Missing operating system", "boot sector", Kind::NotBootable),
        (
            "This is not a bootable disk.  Please insert a bootable floppy and",
            "boot sector",
            Kind::NotBootable,
        ),
        ("BOOTMGR is missing", "Windows", Kind::NotBootable),
        ("NTLDR is missing", "Windows", Kind::NotBootable),
        ("Stop code: INACCESSIBLE_BOOT_DEVICE", "Windows", Kind::NotBootable),
        (
            "[    1.204117] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
            "kernel",
            Kind::NoRoot,
        ),
        (
            "Kernel panic - not syncing: No init found.  Try passing init= option to kernel.",
            "kernel",
            Kind::Panic,
        ),
        (
            "[    2.51] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(8,1)",
            "kernel",
            Kind::Panic,
        ),
        ("(initramfs) ", "initrd", Kind::Shell),
        ("ALERT!  UUID=1234 does not exist.  Dropping to a shell!", "initrd", Kind::Shell),
        ("dracut:/# ", "dracut", Kind::Shell),
        ("Give root password for maintenance", "system", Kind::Shell),
        (
            "You are in emergency mode. After logging in, type \"journalctl -xb\" to view",
            "systemd",
            Kind::Shell,
        ),
        ("hospitium-probe: no channel yet", "probe", Kind::NoChannel),
    ];

    #[test]
    fn what_firmware_and_loaders_say_is_recognised() {
        for (line, by, kind) in SEEN {
            let sign = recognise(line).unwrap_or_else(|| panic!("not recognised: {line}"));
            assert!(sign.by.contains(by), "{line}: by {}", sign.by);
            assert_eq!(sign.kind, *kind, "{line}");
        }
    }

    #[test]
    fn an_ordinary_boot_says_nothing_of_the_kind() {
        for line in [
            "SeaBIOS (version 1.16.2-debian-1.16.2-1)",
            "iPXE (https://ipxe.org) 00:03.0 CA00 PCI2.10 PnP PMM+07F8F340+07ECF340 CA00",
            "Booting from Hard Disk...",
            "Booting from ROM...",
            "BdsDxe: loading Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x4,0x0)",
            "BdsDxe: starting Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x4,0x0)",
            "Welcome to GRUB!",
            "Booting `Debian GNU/Linux'",
            "Loading Linux 6.1.0-50-amd64 ...",
            "Loading initial ramdisk ...",
            "[    0.000000] Linux version 6.1.0-50-amd64 (debian-kernel@lists.debian.org)",
            "[    0.613914] Unpacking initramfs...",
            "Begin: Running /scripts/init-premount ... done.",
            "[  OK  ] Reached target Local File Systems.",
            "[  OK  ] Stopped target emergency.target - Emergency Mode.",
            "LILO 22.8 Loading Linux",
            "Linux",
            "LI 12",
            "Debian GNU/Linux 12 hospitium ttyS0",
            "hospitium login: ",
            "",
        ] {
            assert_eq!(recognise(line), None, "{line}");
        }
    }
}
