//! Builds the Debian disk images that tests, benches and the demo use as disk guests.
//!
//! The image is made of Debian's own packages, fetched by apt as this machine is configured to,
//! and boots under BIOS and UEFI alike. No loop device and no kernel mount is needed: mmdebstrap
//! makes the tree, `mke2fs -d` the file system, mtools the EFI system partition, and GRUB's
//! BIOS boot code is written to its partition here.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Debian packages that the builder needs on this machine, and what each is for.
pub const PACKAGES: &[(&str, &str)] = &[
    ("mmdebstrap", "makes a Debian system tree out of packages"),
    ("e2fsprogs", "mke2fs makes the root file system from that tree"),
    ("fdisk", "sfdisk writes the partition table"),
    ("mtools", "makes the EFI system partition without mounting it"),
    ("grub-pc-bin", "the boot loader for BIOS"),
    ("grub-efi-amd64-bin", "the boot loader for UEFI"),
    ("qemu-utils", "qemu-img writes the qcow2 file"),
    ("debian-archive-keyring", "the keys by which apt checks Debian's packages"),
];

/// Which of the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// With cloud-init; no password opens it.
    CloudInit,
    /// Without cloud-init: `root` logs in on the serial console with the password `hospitium`, and
    /// a root shell is on ttyS1 and hvc1 as autopkgtest's own images have it.
    Login,
}

impl Variant {
    /// Its guest definition's name: `guests/<name>.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CloudInit => "debian-12",
            Self::Login => "debian-12-login",
        }
    }
}

/// An image that is ready.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// The qcow2 file.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Name and version of every Debian package in it, one a line.
    pub manifest: PathBuf,
    /// How long the build took; none if it was in the cache.
    pub built_in: Option<Duration>,
}

/// Raised when the builder makes another image of the same recipe.
const BUILDER: u32 = 2;
const RELEASE: &str = "bookworm";
/// The time that files made during the build get: the release of Debian 12, 2023-06-10.
const EPOCH: &str = "1686355200";
const ROOT_UUID: &str = "8f2d6f0e-4a5b-4d0c-9d7e-486f73706974";
const DISK_UUID: &str = "3c1f9a52-7e0b-4b64-8a55-486f73706974";
const SECTOR: u64 = 512;
const BIOS_BOOT: Extent = Extent { start: 2048, sectors: 2048 };
const ESP: Extent = Extent { start: 4096, sectors: 16384 };
const ROOT: Extent = Extent { start: 20480, sectors: 2 * 1024 * 1024 * 2 };

/// In both variants. Without a D-Bus daemon logind fails, and the power button with it.
const BASE: &[&str] = &[
    "systemd-sysv", "udev", "dbus", "kmod", "initramfs-tools", "lz4", "linux-image-amd64",
    "e2fsprogs", "iproute2",
];
const WITH_CLOUD_INIT: &[&str] = &["cloud-init"];
/// autopkgtest runs a small Python script in the guest.
const WITHOUT_CLOUD_INIT: &[&str] = &["python3-minimal"];

/// What the initial RAM disk holds: the disk buses that a machine can have, and ext4.
const INITRAMFS_MODULES: &[&str] = &[
    "virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ahci", "ata_piix", "nvme", "xhci_pci",
    "usb_storage", "uas", "ext4", "crc32c_generic", "crc32c_intel",
];

/// Files that are put into the tree before any package is configured.
fn files_before() -> Vec<(&'static str, String)> {
    vec![
        ("etc/initramfs-tools/conf.d/hospitium", "MODULES=list\nCOMPRESS=lz4\n".into()),
        ("etc/initramfs-tools/modules", INITRAMFS_MODULES.join("\n") + "\n"),
        ("etc/kernel-img.conf", "do_symlinks = yes\nlink_in_boot = no\n".into()),
    ]
}

/// Files that are put into the finished tree.
fn files_after(variant: Variant) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("etc/hostname", "hospitium\n".into()),
        ("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 hospitium\n".into()),
        ("etc/fstab", format!("UUID={ROOT_UUID} / ext4 errors=remount-ro 0 0\n")),
        // Empty, not absent: made at every boot, and no first-boot set-up of all units.
        ("etc/machine-id", String::new()),
    ];
    match variant {
        // The seed drive is the only source of data there is; asking the network for others
        // would wait for answers that never come.
        Variant::CloudInit => files.push((
            "etc/cloud/cloud.cfg.d/90_hospitium.cfg",
            "datasource_list: [NoCloud, None]\nnetwork: {config: disabled}\n".into(),
        )),
        Variant::Login => files.push(("etc/systemd/system/autopkgtest@.service", ROOT_SHELL.into())),
    }
    files
}

/// The root shell that autopkgtest-virt-qemu(1) looks for, as its setup-testbed script makes it.
const ROOT_SHELL: &str = "\
[Unit]
Description=autopkgtest root shell on %I
ConditionPathExists=/dev/%I

[Service]
ExecStart=/bin/sh
StandardInput=tty-fail
StandardOutput=tty
StandardError=tty
TTYPath=/dev/%I
SendSIGHUP=yes
SuccessExitStatus=0 208 SIGHUP SIGINT SIGTERM SIGPIPE
";

/// Units that only wait, or would look for updates on a network that is not there.
const MASKED: &[&str] = &[
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "systemd-networkd-wait-online.service",
];

/// `openssl passwd -6 -salt hospitium hospitium`.
const PASSWORD_HASH: &str = "$6$hospitium$sA4eyKRwZbavQHbkubIMM8hDV6myB8QorW52MAjzEDFZyQkmHDHtD5Zqe.wzUk7a9kOMaQZcUXIPqr3zcA0d7/";

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

/// Builds the image of this variant, or finds it in `cache`. `say` gets a line for each step.
pub fn build_debian(
    variant: Variant,
    cache: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<BuiltImage> {
    fs::create_dir_all(cache).with_context(|| format!("making {}", cache.display()))?;
    let key = recipe_digest(variant)?;
    let image = cache.join(format!("{}-{}.qcow2", variant.name(), &key[..16]));
    let manifest = image.with_extension("packages");
    let sum = image.with_extension("sha256");
    if image.is_file() && manifest.is_file() && sum.is_file() {
        say(&format!("{}: found in the cache", variant.name()));
        return finished(image, manifest, &sum, None);
    }
    check_tools()?;
    let started = Instant::now();
    let work = WorkFolder::new(cache)?;
    let tree = work.0.join("tree");
    fs::write(work.0.join("started"), "")?;
    say(&format!("{}: fetching and unpacking Debian's packages", variant.name()));
    make_tree(variant, &work.0, &tree)?;
    let listed = run(Command::new("dpkg-query").arg("--admindir").arg(tree.join("var/lib/dpkg")).arg("-W"))?;
    fs::write(work.0.join("packages"), listed)?;
    say(&format!("{}: writing the disk", variant.name()));
    let raw = work.0.join("disk.raw");
    write_disk(&tree, &work.0, &raw)?;
    let packed = work.0.join("disk.qcow2");
    run(Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2"]).arg(&raw).arg(&packed))?;
    fs::write(work.0.join("sha256"), sha256(&packed)?)?;
    // The image last: it is what says that the entry is whole.
    fs::rename(work.0.join("packages"), &manifest)?;
    fs::rename(work.0.join("sha256"), &sum)?;
    fs::rename(&packed, &image).with_context(|| format!("putting {} in place", image.display()))?;
    finished(image, manifest, &sum, Some(started.elapsed()))
}

fn finished(
    path: PathBuf,
    manifest: PathBuf,
    sum: &Path,
    built_in: Option<Duration>,
) -> Result<BuiltImage> {
    let sha256 = fs::read_to_string(sum).with_context(|| format!("reading {}", sum.display()))?;
    let bytes = fs::metadata(&path)?.len();
    Ok(BuiltImage { path, sha256, bytes, manifest, built_in })
}

/// The digest of everything that decides what the image holds, except the versions of the packages.
fn recipe_digest(variant: Variant) -> Result<String> {
    let text = format!(
        "{BUILDER} {RELEASE} {EPOCH} {:?} {:?} {:?} {MASKED:?} {PASSWORD_HASH} {} {}",
        packages(variant),
        files_before(),
        files_after(variant),
        grub_script(),
        partition_table(),
    );
    let mut child = Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("running sha256sum (Debian package coreutils)")?;
    child.stdin.take().context("sha256sum has no input")?.write_all(text.as_bytes())?;
    let out = child.wait_with_output()?;
    ensure!(out.status.success() && out.stdout.len() > 64, "sha256sum failed");
    Ok(String::from_utf8_lossy(&out.stdout[..64]).into_owned())
}

fn packages(variant: Variant) -> Vec<&'static str> {
    let more = match variant {
        Variant::CloudInit => WITH_CLOUD_INIT,
        Variant::Login => WITHOUT_CLOUD_INIT,
    };
    BASE.iter().chain(more).copied().collect()
}

fn check_tools() -> Result<()> {
    let user = run(Command::new("id").arg("-u"))?;
    if user.trim() != "0" {
        bail!("building a disk image needs root, because its files belong to many users; run it with sudo");
    }
    let tools = [
        "/usr/bin/mmdebstrap", "/usr/sbin/mke2fs", "/usr/sbin/sfdisk", "/usr/bin/mcopy",
        "/usr/lib/grub/i386-pc/boot.img", "/usr/lib/grub/x86_64-efi/linux.mod", "/usr/bin/qemu-img",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
    ];
    let missing: Vec<&str> = tools
        .iter()
        .zip(PACKAGES)
        .filter(|(tool, _)| !Path::new(tool).exists())
        .map(|(_, (package, _))| *package)
        .collect();
    if !missing.is_empty() {
        bail!("the image builder lacks Debian packages; install them: apt-get install {}", missing.join(" "));
    }
    Ok(())
}

/// The Debian system, unpacked and configured.
fn make_tree(variant: Variant, work: &Path, tree: &Path) -> Result<()> {
    for (stage, files) in [("before", files_before()), ("after", files_after(variant))] {
        for (name, content) in files {
            let path = work.join(stage).join(name);
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            fs::write(path, content)?;
        }
    }
    let script = work.join("customize");
    fs::write(&script, customize_script(variant, &work.join("after")))?;
    let sources = work.join("sources");
    let form = debian_sources()?;
    fs::write(&sources, form)?;
    let mut command = Command::new("mmdebstrap");
    command
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .args(["--quiet", "--mode=root", "--variant=minbase", "--format=directory"])
        .arg(format!("--include={}", packages(variant).join(",")))
        .args([
            "--aptopt=Apt::Install-Recommends \"false\"",
            "--aptopt=Acquire::Languages \"none\"",
            "--dpkgopt=force-unsafe-io",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        ]);
    if let Some(proxy) = apt_proxy() {
        command.arg(format!("--aptopt=Acquire::http::Proxy \"{proxy}\""));
    }
    command
        .arg(format!("--extract-hook=cp -a {}/. \"$1\"/", work.join("before").display()))
        .arg(format!("--customize-hook=sh -eu {} \"$1\"", script.display()))
        .arg(RELEASE)
        .arg(tree)
        .arg(&sources);
    run(&mut command)?;
    Ok(())
}

/// The last changes to the tree, as a shell script whose first argument is the tree.
fn customize_script(variant: Variant, files: &Path) -> String {
    let mut script = format!("cp -a --no-preserve=ownership {}/. \"$1\"/\n", files.display());
    let units = "\"$1\"/etc/systemd/system";
    for unit in MASKED {
        script += &format!("ln -sf /dev/null {units}/{unit}\n");
    }
    if variant == Variant::Login {
        script += &format!("chroot \"$1\" usermod -p '{PASSWORD_HASH}' root\n");
        script += &format!("mkdir -p {units}/multi-user.target.wants\n");
        for tty in ["ttyS1", "hvc1"] {
            script += &format!(
                "ln -s ../autopkgtest@.service {units}/multi-user.target.wants/autopkgtest@{tty}.service\n"
            );
        }
    }
    script += "rm -f \"$1\"/etc/resolv.conf \"$1\"/var/log/dpkg.log \"$1\"/var/log/apt/* \
               \"$1\"/var/log/alternatives.log \"$1\"/var/cache/ldconfig/aux-cache\n";
    script
}

/// Debian's own entries of this machine's apt configuration, so that its mirror is used; the
/// usual mirror if there are none (the machine runs another distribution).
fn debian_sources() -> Result<String> {
    let suites = [RELEASE.to_owned(), format!("{RELEASE}-updates"), format!("{RELEASE}-security")];
    let ours = |suite: &str| suites.iter().any(|s| s == suite);
    let mut found = Vec::new();
    let folder = Path::new("/etc/apt/sources.list.d");
    let mut paths = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir(folder) {
        paths.extend(entries.flatten().map(|entry| entry.path()));
    }
    paths.sort();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if path.extension() == Some(OsStr::new("sources")) {
            for stanza in text.split("\n\n") {
                let field = |name: &str| {
                    stanza.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default()
                };
                let main = field("Components:").split_whitespace().any(|word| word == "main");
                if !main || !field("Types:").split_whitespace().any(|word| word == "deb") {
                    continue;
                }
                for suite in field("Suites:").split_whitespace().filter(|s| ours(s)) {
                    found.extend(
                        field("URIs:")
                            .split_whitespace()
                            .map(|uri| format!("deb {} {suite} main", uri.trim_end_matches('/'))),
                    );
                }
            }
        } else if path.extension() == Some(OsStr::new("list")) {
            for line in text.lines().filter(|line| line.starts_with("deb ")) {
                let plain = line.rsplit(']').next().unwrap_or(line).trim_start_matches("deb ");
                let mut words = plain.split_whitespace();
                if let (Some(uri), Some(suite)) = (words.next(), words.next())
                    && ours(suite)
                    && words.any(|word| word == "main")
                {
                    found.push(format!("deb {} {suite} main", uri.trim_end_matches('/')));
                }
            }
        }
    }
    if found.is_empty() {
        let base = "deb http://deb.debian.org/debian";
        found.push(format!("{base} {RELEASE} main"));
        found.push(format!("{base}-security {RELEASE}-security main"));
    }
    found.dedup();
    Ok(found.join("\n") + "\n")
}

/// The HTTP proxy that apt is told to use on this machine.
fn apt_proxy() -> Option<String> {
    let out = run(Command::new("apt-config").args(["shell", "P", "Acquire::http::Proxy"])).ok()?;
    let proxy = out.trim().strip_prefix("P='")?.strip_suffix('\'')?.to_owned();
    (!proxy.is_empty()).then_some(proxy)
}

/// What GRUB does, in both firmwares: no menu and nothing to wait for.
fn grub_script() -> String {
    format!(
        "search.fs_uuid {ROOT_UUID} root\n\
         linux /vmlinuz root=UUID={ROOT_UUID} ro console=tty0 console=ttyS0,115200\n\
         initrd /initrd.img\n\
         boot\n"
    )
}

fn partition_table() -> String {
    let line = |extent: Extent, kind: &str, uuid: &str| {
        format!("start={}, size={}, type={kind}, uuid={uuid}\n", extent.start, extent.sectors)
    };
    let mut table = format!("label: gpt\nlabel-id: {DISK_UUID}\nunit: sectors\n");
    table += &line(BIOS_BOOT, "21686148-6449-6E6F-744E-656564454649", "3c1f9a52-7e0b-4b64-8a55-000000000001");
    table += &line(ESP, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "3c1f9a52-7e0b-4b64-8a55-000000000002");
    table += &line(ROOT, "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "3c1f9a52-7e0b-4b64-8a55-000000000003");
    table
}

/// The whole disk as a raw file.
fn write_disk(tree: &Path, work: &Path, raw: &Path) -> Result<()> {
    // One sector more than 33 at the end, for the second copy of the partition table.
    File::create(raw)?.set_len((ROOT.start + ROOT.sectors + 2048) * SECTOR)?;
    let table = work.join("table");
    fs::write(&table, partition_table())?;
    run(Command::new("sfdisk").args(["--quiet", "--no-reread", "--no-tell-kernel"]).arg(raw).stdin(File::open(&table)?))?;
    // What the build itself made gets one time, so that two builds differ less. Packaged files keep
    // theirs: Python's compiled modules hold the time of their source, and are made anew at each
    // start if it is another.
    run(Command::new("find").arg(tree).arg("-newer").arg(work.join("started")).args(["-exec", "touch", "-h", "-d", &format!("@{EPOCH}"), "{}", "+"]))?;
    run(Command::new("mke2fs")
        .env("E2FSPROGS_FAKE_TIME", EPOCH)
        .args(["-q", "-F", "-t", "ext4", "-L", "root", "-m", "0", "-U", ROOT_UUID])
        // GRUB 2.06 cannot read the newest features; nothing is left to do for the guest's kernel.
        .args(["-O", "^metadata_csum_seed,^orphan_file"])
        .args(["-E", &format!("offset={},hash_seed={ROOT_UUID},lazy_itable_init=0,lazy_journal_init=0,nodiscard", ROOT.offset())])
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
    ensure!(image.len() > 512 && image.len() as u64 <= BIOS_BOOT.sectors * SECTOR, "GRUB does not fit its partition");
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
    mtools("mformat", &["-T", &sectors, "-h", "16", "-s", "63", "-N", "486f7370", "-v", "ESP", "::"])?;
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

fn sha256(path: &Path) -> Result<String> {
    let out = run(Command::new("sha256sum").arg("--binary").arg(path))?;
    Ok(out.chars().take(64).collect())
}

/// Runs a program to its end and returns what it printed; its error text is the error's.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.env("LC_ALL", "C.UTF-8").output().with_context(|| format!("running {name}"))?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(20)..].join("\n");
        bail!("{name} failed ({}):\n{last}", out.status);
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A folder for one build, removed with what is in it at the end, whatever the end is.
struct WorkFolder(PathBuf);

impl WorkFolder {
    fn new(cache: &Path) -> Result<Self> {
        for entry in fs::read_dir(cache)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(owner) = name.strip_prefix("building-") else { continue };
            if !Path::new("/proc").join(owner).exists() {
                // Left by a build that was killed.
                fs::remove_dir_all(entry.path()).ok();
            }
        }
        let folder = cache.join(format!("building-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(fs::canonicalize(folder)?))
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
