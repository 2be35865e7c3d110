//! Set-up: the Debian packages that are needed, two Debian kernels, the Debian disk images.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::image::{self, Variant};
use crate::{i386, show};

/// Debian packages beyond the image builder's, and what each is for.
const PACKAGES: &[(&str, &str)] = &[
    ("gcc", "the linker that Rust calls, and the C parts of zstd and xz"),
    ("libc6-dev", "what a program is linked with"),
    ("qemu-system-x86", "the hypervisor that guests are validated on"),
    ("qemu-utils", "qemu-img makes and reads disk images"),
    ("ovmf", "UEFI firmware for guests"),
    ("swtpm", "TPMs for guests"),
    ("busybox-static", "a system of one program, to be booted with kernel and initrd from outside"),
    ("osinfo-db", "names, dates, limits and devices of guest systems"),
];

/// Debian packages of the driver for libvirt, which only checks and tests of the whole workspace build.
const LIBVIRT: &[(&str, &str)] = &[
    ("pkgconf", "tells where libvirt's library is"),
    ("libvirt-dev", "libvirt's library, for the driver for libvirt"),
    ("libvirt-daemon", "libvirt's daemon; tests start one of their own and end it"),
    ("libvirt-daemon-driver-qemu", "its driver for QEMU"),
];

/// What set-up has made ready.
pub struct Lab {
    /// Debian kernel packages of different releases, newest last.
    pub kernels: Vec<PathBuf>,
    /// A Debian kernel package for 32-bit x86, where one can be had.
    pub kernel_x86: Option<PathBuf>,
    /// The Debian system with cloud-init.
    pub system: PathBuf,
    /// The Debian system with a login on the serial console.
    pub login_system: PathBuf,
}

impl Lab {
    /// Tells a test or bench command where everything is.
    pub fn environment<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let kernels: Vec<OsString> = self.kernels.iter().map(Into::into).collect();
        command
            .env("HOSPITIUM_TEST_KERNELS", kernels.join(&OsString::from(":")))
            .envs(self.kernel_x86.iter().map(|kernel| ("HOSPITIUM_TEST_KERNEL_X86", kernel)))
            .env("HOSPITIUM_TEST_SYSTEM", &self.system)
            .env("HOSPITIUM_TEST_LOGIN_SYSTEM", &self.login_system)
    }
}

/// The cache folder: `$HOSPITIUM_CACHE`, else `$XDG_CACHE_HOME/hospitium`, else `~/.cache/hospitium`.
pub fn cache() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    variable("HOSPITIUM_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|c| c.join("hospitium")))
        .or_else(|| variable("HOME").map(|h| h.join(".cache/hospitium")))
        .context("neither HOSPITIUM_CACHE nor HOME is set; set HOSPITIUM_CACHE to a folder for large files")
}

/// Does all of it; what is there already is left as it is.
pub fn everything() -> Result<Lab> {
    packages_of_demo()?;
    packages_of_workspace()?;
    i386::rust_target();
    let kernels = kernels()?;
    let kernel_x86 = i386::kernel(&cache()?);
    // Each keeps one CPU busy.
    let (system, login_system) = std::thread::scope(|both| {
        let login = both.spawn(|| image(Variant::Login));
        let system = image(Variant::CloudInit);
        (system, login.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    Ok(Lab { kernels, kernel_x86, system: system?, login_system: login_system? })
}

/// Installs what building, running and the image need.
pub fn packages_of_demo() -> Result<()> {
    install(PACKAGES.iter().chain(image::PACKAGES))
}

/// Installs what building the whole workspace needs besides.
pub fn packages_of_workspace() -> Result<()> {
    install(LIBVIRT.iter())
}

/// The image of a Debian system; built, if it is not there.
pub fn image(variant: Variant) -> Result<PathBuf> {
    let mut say = |line: &str| println!("{line}");
    Ok(image::build_debian(variant, &cache()?.join("images"), &mut say)?.path)
}

/// Installs the packages that are not there yet.
///
/// To install one, apt may remove another that is of a newer release than this Debian's (qemu-utils of backports
/// and qemu-system-x86 of Debian 12 exclude each other), so it is looked twice.
pub fn install<'a>(wanted: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Result<()> {
    let mut seen = BTreeSet::new();
    let wanted: Vec<_> = wanted.filter(|(name, _)| seen.insert(*name)).collect();
    let missing = || wanted.iter().filter(|(name, _)| !is_installed(name)).collect::<Vec<_>>();
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    for again in [false, true] {
        let missing = missing();
        if missing.is_empty() {
            return Ok(());
        }
        if again {
            println!(
                "apt removed these for the others; they are installed as this Debian has them:"
            );
        } else {
            println!("These Debian packages are needed and will be installed:");
        }
        for (name, why) in &missing {
            println!("  {name:<24} {why}");
        }
        if !again {
            show(as_root("apt-get").args(["-q", "update"]).envs(quiet))?;
        }
        show(
            as_root("apt-get")
                .args(["-qq", "-y", "--no-install-recommends", "install"])
                .args(missing.iter().map(|(name, _)| name))
                .envs(quiet)
                .stdout(Stdio::null()),
        )
        .context(
            "installing Debian packages; this set-up is made for Debian 12, as root or with sudo",
        )?;
    }
    let missing: Vec<&str> = missing().iter().map(|(name, _)| *name).collect();
    ensure!(
        missing.is_empty(),
        "apt installs these packages and removes them again for each other's sake: {}; apt-get install {} says why",
        missing.join(", "),
        missing.join(" ")
    );
    Ok(())
}

/// Whether a Debian package is installed.
pub fn is_installed(name: &str) -> bool {
    let out = Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", name]).output();
    out.is_ok_and(|out| out.stdout == b"installed")
}

/// Whether this runs as root.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

/// A command as root: with `sudo`, if need be.
pub fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

/// Two kernel packages of different releases: what `linux-image-amd64` means today, and the newest of
/// another release that this Debian has; the newest last. Fetched, if they are not there.
pub fn kernels() -> Result<Vec<PathBuf>> {
    let folder = &cache()?.join("debs");
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let kept = kept_kernels(folder)?;
    if kept.len() >= 2 {
        return Ok(kept);
    }
    let names = choose(&known_kernels()?)?;
    println!("Fetching the kernel packages {}", names.join(" and "));
    // As root apt would download as another user, who may not write here; it does so after all, and warns.
    let download = ["-qq", "-o", "APT::Sandbox::User=root", "download"];
    show(Command::new("apt-get").args(download).args(&names).current_dir(folder))?;
    let kept = kept_kernels(folder)?;
    ensure!(
        kept.len() >= 2,
        "apt-get download left fewer than two kernel packages in {}",
        folder.display()
    );
    Ok(kept)
}

/// The newest two kept packages of different releases, older first.
fn kept_kernels(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(rest) = name.strip_prefix("linux-image-")
            && name.ends_with("_amd64.deb")
        {
            kept.push((release(rest), version(rest), path));
        }
    }
    kept.sort();
    kept.reverse();
    kept.dedup_by_key(|(release, _, _)| *release);
    kept.truncate(2);
    kept.reverse();
    Ok(kept.into_iter().map(|(_, _, path)| path).collect())
}

/// Names of all signed generic kernels that apt knows.
fn known_kernels() -> Result<Vec<String>> {
    let list = || -> Result<Vec<String>> {
        let out = Command::new("apt-cache")
            .args(["pkgnames", "linux-image-"])
            .output()
            .context("running apt-cache")?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let generic = |name: &&str| {
            name.strip_prefix("linux-image-").is_some_and(|rest| {
                rest.starts_with(|c: char| c.is_ascii_digit())
                    && rest.ends_with("-amd64")
                    && !["cloud", "rt", "unsigned", "dbg"].iter().any(|odd| rest.contains(odd))
                    // `linux-image-6.12-amd64` only names another package.
                    && version(rest).len() > 2
            })
        };
        Ok(text.lines().filter(generic).map(str::to_owned).collect())
    };
    let known = list()?;
    if known.len() >= 2 {
        return Ok(known);
    }
    show(as_root("apt-get").args(["-q", "update"]))?;
    list()
}

/// The newest of the two newest releases, older first.
fn choose(known: &[String]) -> Result<Vec<String>> {
    let rest = |name: &String| name.trim_start_matches("linux-image-").to_owned();
    let mut sorted: Vec<_> =
        known.iter().map(|n| (release(&rest(n)), version(&rest(n)), n.clone())).collect();
    sorted.sort();
    sorted.reverse();
    sorted.dedup_by_key(|(release, _, _)| *release);
    let Some([newer, older]) = sorted.first_chunk::<2>() else {
        bail!(
            "apt knows fewer than two kernel releases; is the machine's package list empty? Try apt-get update"
        );
    };
    Ok(vec![older.2.clone(), newer.2.clone()])
}

/// Major and minor: 6 and 12 of `6.12.117+deb12-amd64`.
fn release(text: &str) -> (u64, u64) {
    let numbers = version(text);
    (numbers.first().copied().unwrap_or(0), numbers.get(1).copied().unwrap_or(0))
}

/// All numbers before the flavour: 6, 1, 0, 50 of `6.1.0-50-amd64`.
fn version(text: &str) -> Vec<u64> {
    let end = text.find("-amd64").or_else(|| text.find('+')).unwrap_or(text.len());
    text[..end].split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_two_releases_are_chosen_by_number_and_not_by_letter() {
        let known = [
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-50-amd64",
            "linux-image-6.12.9+deb12-amd64",
            "linux-image-6.12.117+deb12-amd64",
        ];
        let names = choose(&known.map(str::to_owned)).expect("two releases");
        assert_eq!(names, ["linux-image-6.1.0-50-amd64", "linux-image-6.12.117+deb12-amd64"]);
    }

    #[test]
    fn one_release_is_not_enough() {
        assert!(choose(&["linux-image-6.1.0-9-amd64".to_owned()]).is_err());
    }
}
