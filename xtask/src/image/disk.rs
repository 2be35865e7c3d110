//! The disk: partition table, file systems, and GRUB for both firmwares.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::{EPOCH, ROOT_UUID, run};

const DISK_UUID: &str = "3c1f9a52-7e0b-4b64-8a55-486f73706974";
const SECTOR: u64 = 512;
const BIOS_BOOT: Extent = Extent { start: 2048, sectors: 2048 };
const ESP: Extent = Extent { start: 4096, sectors: 16384 };
const ROOT: Extent = Extent { start: 20480, sectors: 2 * 1024 * 1024 * 2 };

#[derive(Clone, Copy)]
struct Extent {
    start: u64,
    sectors: u64,
}

impl Extent {
    const fn offset(self) -> u64 {
        self.start * SECTOR
    }
}

/// What GRUB does, in both firmwares: no menu and nothing to wait for.
///
/// An emulator that shares its CPUs can miss the ticks by which Linux tries the timer's wiring, and Linux then
/// panics; on hypervisors that it knows it leaves the trial out by itself (`no_timer_check`).
pub fn grub_script() -> String {
    format!(
        "search.fs_uuid {ROOT_UUID} root\n\
         linux /vmlinuz root=UUID={ROOT_UUID} ro console=tty0 console=ttyS0,115200 no_timer_check\n\
         initrd /initrd.img\n\
         boot\n"
    )
}

pub fn partition_table() -> String {
    let line = |extent: Extent, kind: &str, uuid: &str| {
        format!("start={}, size={}, type={kind}, uuid={uuid}\n", extent.start, extent.sectors)
    };
    let mut table = format!("label: gpt\nlabel-id: {DISK_UUID}\nunit: sectors\n");
    table += &line(
        BIOS_BOOT,
        "21686148-6449-6E6F-744E-656564454649",
        "3c1f9a52-7e0b-4b64-8a55-000000000001",
    );
    table +=
        &line(ESP, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "3c1f9a52-7e0b-4b64-8a55-000000000002");
    table +=
        &line(ROOT, "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "3c1f9a52-7e0b-4b64-8a55-000000000003");
    table
}

/// The whole disk as a raw file.
pub fn write_disk(tree: &Path, work: &Path, raw: &Path) -> Result<()> {
    // One sector more than 33 at the end, for the second copy of the partition table.
    File::create(raw)?.set_len((ROOT.start + ROOT.sectors + 2048) * SECTOR)?;
    let table = work.join("table");
    fs::write(&table, partition_table())?;
    run(Command::new("sfdisk")
        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
        .arg(raw)
        .stdin(File::open(&table)?))?;
    // What the build itself made gets one time, so that two builds differ less. Packaged files keep
    // theirs: Python's compiled modules hold the time of their source, and are made anew at each
    // start if it is another.
    run(Command::new("find").arg(tree).arg("-newer").arg(work.join("started")).args([
        "-exec",
        "touch",
        "-h",
        "-d",
        &format!("@{EPOCH}"),
        "{}",
        "+",
    ]))?;
    run(Command::new("mke2fs")
        .env("E2FSPROGS_FAKE_TIME", EPOCH)
        .args(["-q", "-F", "-t", "ext4", "-L", "root", "-m", "0", "-U", ROOT_UUID])
        // GRUB 2.06 cannot read the newest features; nothing is left to do for the guest's kernel.
        .args(["-O", "^metadata_csum_seed,^orphan_file"])
        .args([
            "-E",
            &format!(
                "offset={},hash_seed={ROOT_UUID},lazy_itable_init=0,lazy_journal_init=0,nodiscard",
                ROOT.offset()
            ),
        ])
        .arg("-d")
        .arg(tree)
        .arg(raw)
        .arg(format!("{}k", ROOT.sectors * SECTOR / 1024)))?;
    let script = work.join("grub.cfg");
    fs::write(&script, grub_script())?;
    write_bios_loader(raw, work, &script)?;
    write_efi_loader(raw, work, &script)
}

/// Puts GRUB for BIOS into the first sector and its partition, as grub-bios-setup(8) would.
/// Offsets from GRUB 2.06, `include/grub/i386/pc/boot.h` and `include/grub/offsets.h`.
fn write_bios_loader(raw: &Path, work: &Path, script: &Path) -> Result<()> {
    const BOOT_CODE: usize = 440;
    const KERNEL_SECTOR: usize = 0x5C;
    const DRIVE_CHECK: usize = 0x66;
    const BLOCK_LIST: usize = 512 - 12;
    let core = work.join("core.img");
    grub_image("i386-pc", &core, script, &["biosdisk"])?;
    let mut boot = fs::read("/usr/lib/grub/i386-pc/boot.img")?;
    ensure!(boot.len() == 512, "GRUB's boot.img is not one sector");
    boot[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&BIOS_BOOT.start.to_le_bytes());
    boot[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    let mut image = fs::read(&core)?;
    ensure!(
        image.len() > 512 && image.len() as u64 <= BIOS_BOOT.sectors * SECTOR,
        "GRUB does not fit its partition"
    );
    image[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(BIOS_BOOT.start + 1).to_le_bytes());
    let mut disk = OpenOptions::new().read(true).write(true).open(raw)?;
    disk.write_all(&boot[..BOOT_CODE])?;
    disk.seek(SeekFrom::Start(BIOS_BOOT.offset()))?;
    disk.write_all(&image)?;
    let mut signature = [0; 2];
    disk.seek(SeekFrom::Start(510))?;
    disk.read_exact(&mut signature)?;
    ensure!(signature == [0x55, 0xAA], "the partition table has no boot signature");
    Ok(())
}

/// Makes the EFI system partition with GRUB as the removable-media boot loader.
fn write_efi_loader(raw: &Path, work: &Path, script: &Path) -> Result<()> {
    let loader = work.join("BOOTX64.EFI");
    grub_image("x86_64-efi", &loader, script, &[])?;
    run(Command::new("touch").args(["-d", &format!("@{EPOCH}")]).arg(&loader))?;
    let place = format!("{}@@{}", raw.display(), ESP.offset());
    let sectors = ESP.sectors.to_string();
    let mtools = |program: &str, arguments: &[&str]| {
        run(Command::new(program)
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .env("MTOOLS_SKIP_CHECK", "1")
            .args(["-i", &place])
            .args(arguments))
    };
    mtools(
        "mformat",
        &["-T", &sectors, "-h", "16", "-s", "63", "-N", "486f7370", "-v", "ESP", "::"],
    )?;
    mtools("mmd", &["::/EFI", "::/EFI/BOOT"])?;
    mtools("mcopy", &["-m", &loader.display().to_string(), "::/EFI/BOOT/BOOTX64.EFI"])?;
    Ok(())
}

fn grub_image(platform: &str, to: &Path, script: &Path, more: &[&str]) -> Result<()> {
    run(Command::new("grub-mkimage")
        .args(["-O", platform, "-p", "/boot/grub", "-c"])
        .arg(script)
        .arg("-o")
        .arg(to)
        .args(["part_gpt", "ext2", "search_fs_uuid", "linux", "boot"])
        .args(more))?;
    Ok(())
}
