//! The Debian system before it becomes a disk: which packages, and what is changed in them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::sources::{apt_proxy, debian_sources};
use super::{EPOCH, RELEASE, ROOT_UUID, Variant, run};

/// In both variants. Without a D-Bus daemon logind fails, and the power button with it.
const BASE: &[&str] = &[
    "systemd-sysv",
    "udev",
    "dbus",
    "kmod",
    "initramfs-tools",
    "lz4",
    "linux-image-amd64",
    "e2fsprogs",
    "iproute2",
];
/// Instead of systemd and what goes with it.
const SYSV: &[&str] = &[
    "sysvinit-core",
    "sysv-rc",
    "initscripts",
    "udev",
    "kmod",
    "initramfs-tools",
    "lz4",
    "linux-image-amd64",
    "e2fsprogs",
    "iproute2",
];
const WITH_CLOUD_INIT: &[&str] = &["cloud-init"];
/// autopkgtest runs a small Python script in the guest.
const WITHOUT_CLOUD_INIT: &[&str] = &["python3-minimal"];

/// What the initial RAM disk holds: the disk buses that a machine can have, and ext4.
const INITRAMFS_MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "ahci",
    "ata_piix",
    "nvme",
    "xhci_pci",
    "usb_storage",
    "uas",
    "ext4",
    "crc32c_generic",
    "crc32c_intel",
];

/// Files that are put into the tree before any package is configured.
pub fn files_before() -> Vec<(&'static str, String)> {
    vec![
        ("etc/initramfs-tools/conf.d/hospitium", "MODULES=list\nCOMPRESS=lz4\n".into()),
        ("etc/initramfs-tools/modules", INITRAMFS_MODULES.join("\n") + "\n"),
        ("etc/kernel-img.conf", "do_symlinks = yes\nlink_in_boot = no\n".into()),
    ]
}

/// Files that are put into the finished tree.
pub fn files_after(variant: Variant) -> Vec<(&'static str, String)> {
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
        Variant::Login => {
            files.push(("etc/systemd/system/autopkgtest@.service", ROOT_SHELL.into()))
        }
        Variant::SysV => {}
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
pub const MASKED: &[&str] = &[
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-networkd-wait-online.service",
];

/// `openssl passwd -6 -salt hospitium hospitium`.
pub const PASSWORD_HASH: &str = "$6$hospitium$sA4eyKRwZbavQHbkubIMM8hDV6myB8QorW52MAjzEDFZyQkmHDHtD5Zqe.wzUk7a9kOMaQZcUXIPqr3zcA0d7/";

pub fn packages(variant: Variant) -> Vec<&'static str> {
    let (base, more) = match variant {
        Variant::CloudInit => (BASE, WITH_CLOUD_INIT),
        Variant::Login => (BASE, WITHOUT_CLOUD_INIT),
        Variant::SysV => (SYSV, [].as_slice()),
    };
    base.iter().chain(more).copied().collect()
}

/// The Debian system, unpacked and configured.
pub fn make_tree(variant: Variant, work: &Path, tree: &Path) -> Result<()> {
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
    fs::write(&sources, debian_sources())?;
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
    if variant == Variant::SysV {
        script += &format!("chroot \"$1\" usermod -p '{PASSWORD_HASH}' root\n");
        script += "echo 'T0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100' >>\"$1\"/etc/inittab\n";
    }
    for unit in MASKED.iter().filter(|_| variant != Variant::SysV) {
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
