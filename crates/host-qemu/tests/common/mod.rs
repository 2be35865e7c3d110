//! A machine with a 512-byte guest that needs nothing but QEMU.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use hospitium_host::{ByteStream, Host as _, Machine, PowerVerb, Sight, WorkDir};
use hospitium_host_qemu::{AcceleratorChoice, Qemu, QemuOptions};
use hospitium_model::{Boot, Bus, ByteSize, Disk, DiskRole, MachineSpec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The guest, a boot sector. It says `>` on the first serial port, then answers each byte:
/// `r` resets through the keyboard controller, `p` powers off through ACPI (Q35's PM1a_CNT at
/// 0x604), `w` writes the boot sector to the second sector of the first disk and says `!`, and any other
/// byte counts up the character `0` in memory and says it.
///
/// ```text
/// cli; xor ax,ax; mov ds,ax; mov ss,ax; mov sp,0x7c00; mov byte [0x500],'0'; mov dx,0x3f8
/// mov al,'>'; out dx,al
/// next: mov dx,0x3fd; in al,dx; test al,1; jz next; mov dx,0x3f8; in al,dx
/// cmp al,'r'; jne 1f; mov al,0xfe; out 0x64,al
/// 1: cmp al,'p'; jne 2f; mov dx,0x604; mov ax,0x2000; out dx,ax
/// 2: cmp al,'w'; jne 3f; mov ax,0x0301; mov bx,ds; mov es,bx; mov bx,0x7c00; mov cx,2; mov dx,0x80
///    int 0x13; mov al,'!'; jnc 4f; mov al,'?'; jmp 4f
/// 3: inc byte [0x500]; mov al,[0x500]
/// 4: mov dx,0x3f8; out dx,al; jmp next
/// ```
const BOOT_SECTOR: [u8; 95] = [
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xc6, 0x06, 0x00, 0x05, 0x30, 0xba,
    0xf8, 0x03, 0xb0, 0x3e, 0xee, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf8, 0xba, 0xf8, 0x03,
    0xec, 0x3c, 0x72, 0x75, 0x04, 0xb0, 0xfe, 0xe6, 0x64, 0x3c, 0x70, 0x75, 0x07, 0xba, 0x04, 0x06,
    0xb8, 0x00, 0x20, 0xef, 0x3c, 0x77, 0x75, 0x1a, 0xb8, 0x01, 0x03, 0x8c, 0xdb, 0x8e, 0xc3, 0xbb,
    0x00, 0x7c, 0xb9, 0x02, 0x00, 0xba, 0x80, 0x00, 0xcd, 0x13, 0xb0, 0x21, 0x73, 0x0b, 0xb0, 0x3f,
    0xeb, 0x07, 0xfe, 0x06, 0x00, 0x05, 0xa0, 0x00, 0x05, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xb6,
];

/// Longest that anything here takes under emulation on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A folder for one test, with the guest's disk image in it.
pub struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut image = vec![0; 1 << 20];
        image[..BOOT_SECTOR.len()].copy_from_slice(&BOOT_SECTOR);
        image[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(folder.path().join("guest.raw"), image).expect("the guest's image");
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn work_dir(&self, name: &str) -> WorkDir {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).expect("a folder for the machine");
        WorkDir { name: name.into(), folder }
    }

    /// A machine that boots the guest from a virtio disk.
    pub fn spec(&self) -> MachineSpec {
        let boot = Boot::Devices { order: vec!["system".into()] };
        let mut spec = MachineSpec::new(ByteSize::mib(64), boot);
        spec.disks.push(disk("system", DiskRole::System, Bus::Virtio));
        spec.disks[0].image = Some(self.folder.path().join("guest.raw"));
        spec.disks[0].format = Some("raw".into());
        spec.cpus.cores = 1;
        spec
    }
}

pub fn disk(id: &str, role: DiskRole, bus: Bus) -> Disk {
    Disk {
        id: id.into(),
        role,
        bus,
        image: None,
        format: None,
        size: ByteSize::mib(16),
        serial: String::new(),
        logical_sector: 0,
        physical_sector: 0,
        read_only: false,
        power_loss_log: false,
        room: None,
    }
}

pub fn options() -> QemuOptions {
    let mut options = QemuOptions::new("qemu-system-x86_64");
    options.accelerator = AcceleratorChoice::Tcg;
    options.cache = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("qemu"));
    options
}

pub async fn qemu() -> Qemu {
    Qemu::open(options())
        .await
        .expect("QEMU is installed (Debian: apt install qemu-system-x86 qemu-utils)")
}

/// The guest at its serial port.
pub struct Guest(Box<dyn ByteStream>);

impl Guest {
    pub async fn of(machine: &dyn Machine) -> Self {
        Self(machine.serial("console").await.expect("the console"))
    }

    /// Waits for one byte.
    pub async fn hear(&mut self) -> char {
        let heard = tokio::time::timeout(LIMIT, self.0.read_u8()).await;
        heard.expect("the guest says something in time").expect("the console is open").into()
    }

    /// Waits for the guest to have booted. The firmware may say something before.
    pub async fn boots(&mut self) {
        while self.hear().await != '>' {}
    }

    pub async fn say(&mut self, byte: u8) {
        self.0.write_all(&[byte]).await.expect("the console takes it");
    }

    pub async fn ask(&mut self, byte: u8) -> char {
        self.say(byte).await;
        self.hear().await
    }
}

/// A machine that has booted the guest.
pub async fn booted(host: &Qemu, lab: &Lab, name: &str) -> (Box<dyn Machine>, Guest) {
    let machine = host.define(&lab.spec(), &lab.work_dir(name)).await.expect("defined");
    let mut guest = Guest::of(&*machine).await;
    machine.power(PowerVerb::On).await.expect("started");
    guest.boots().await;
    (machine, guest)
}

/// What is seen; every QEMU that we test shows it.
pub fn saw<T>(sight: Sight<T>) -> T {
    sight.expect("it is seen").value
}

/// The process id of a machine's VMM.
pub async fn pid_of(machine: &dyn Machine) -> u32 {
    let confinement = machine.confinement().expect("a process");
    saw(confinement.process().await.expect("it runs").pid)
}
