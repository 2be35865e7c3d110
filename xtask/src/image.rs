//! Builds the Debian disk images that tests, benches and the demo use as disk guests.
//!
//! The image is made of Debian's own packages, fetched by apt as this machine is configured to,
//! and boots under BIOS and UEFI alike. No loop device and no kernel mount is needed: mmdebstrap
//! makes the tree, `mke2fs -d` the file system, mtools the EFI system partition, and GRUB's
//! BIOS boot code is written to its partition here.

mod disk;
mod sources;
mod tree;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::disk::{grub_script, partition_table, write_disk};
use self::tree::{MASKED, PASSWORD_HASH, files_after, files_before, make_tree, packages};

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
    /// The same login without systemd: sysvinit, as systems of before about 2014 have it.
    SysV,
}

impl Variant {
    /// Its guest definition's name: `guests/<name>.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CloudInit => "debian-12",
            Self::Login => "debian-12-login",
            Self::SysV => "debian-12-sysvinit",
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
        let found = finished(image, manifest, &sum, None)?;
        say(&found.summary(variant));
        return Ok(found);
    }
    check_tools()?;
    let started = Instant::now();
    let work = WorkFolder::new(cache, variant)?;
    let tree = work.0.join("tree");
    fs::write(work.0.join("started"), "")?;
    say(&format!("{}: fetching and unpacking Debian's packages", variant.name()));
    make_tree(variant, &work.0, &tree)?;
    let listed =
        run(Command::new("dpkg-query").arg("--admindir").arg(tree.join("var/lib/dpkg")).arg("-W"))?;
    fs::write(work.0.join("packages"), listed)?;
    say(&format!("{}: writing the disk", variant.name()));
    let raw = work.0.join("disk.raw");
    write_disk(&tree, &work.0, &raw)?;
    let packed = work.0.join("disk.qcow2");
    run(Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2"])
        .arg(&raw)
        .arg(&packed))?;
    fs::write(work.0.join("sha256"), sha256(&packed)?)?;
    // The image last: it is what says that the entry is whole.
    fs::rename(work.0.join("packages"), &manifest)?;
    fs::rename(work.0.join("sha256"), &sum)?;
    fs::rename(&packed, &image).with_context(|| format!("putting {} in place", image.display()))?;
    let built = finished(image, manifest, &sum, Some(started.elapsed()))?;
    say(&built.summary(variant));
    Ok(built)
}

impl BuiltImage {
    fn summary(&self, variant: Variant) -> String {
        let how = match self.built_in {
            Some(time) => format!("built in {:.0} s", time.as_secs_f64()),
            None => "found in the cache".into(),
        };
        format!(
            "{}: {how}: {} ({} MiB, SHA-256 {}…; its packages are listed in {})",
            variant.name(),
            self.path.display(),
            self.bytes >> 20,
            self.sha256.get(..12).unwrap_or(&self.sha256),
            self.manifest.display(),
        )
    }
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

fn check_tools() -> Result<()> {
    let user = run(Command::new("id").arg("-u"))?;
    if user.trim() != "0" {
        bail!(
            "building a disk image needs root, because its files belong to many users; run it with sudo"
        );
    }
    let tools = [
        "/usr/bin/mmdebstrap",
        "/usr/sbin/mke2fs",
        "/usr/sbin/sfdisk",
        "/usr/bin/mcopy",
        "/usr/lib/grub/i386-pc/boot.img",
        "/usr/lib/grub/x86_64-efi/linux.mod",
        "/usr/bin/qemu-img",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
    ];
    let missing: Vec<&str> = tools
        .iter()
        .zip(PACKAGES)
        .filter(|(tool, _)| !Path::new(tool).exists())
        .map(|(_, (package, _))| *package)
        .collect();
    if !missing.is_empty() {
        bail!(
            "the image builder lacks Debian packages; install them: apt-get install {}",
            missing.join(" ")
        );
    }
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let out = run(Command::new("sha256sum").arg("--binary").arg(path))?;
    Ok(out.chars().take(64).collect())
}

/// Runs a program to its end and returns what it printed; its error text is the error's.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out =
        command.env("LC_ALL", "C.UTF-8").output().with_context(|| format!("running {name}"))?;
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
    fn new(cache: &Path, variant: Variant) -> Result<Self> {
        for entry in fs::read_dir(cache)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix("building-") else {
                continue;
            };
            let owner = rest.split('-').next().unwrap_or(rest);
            if !Path::new("/proc").join(owner).exists() {
                // Left by a build that was killed.
                fs::remove_dir_all(entry.path()).ok();
            }
        }
        let folder = cache.join(format!("building-{}-{}", std::process::id(), variant.name()));
        fs::create_dir_all(&folder)?;
        Ok(Self(fs::canonicalize(folder)?))
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
