//! A guest whose answers pass taps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hospitium_model::{ByteSize, Digest, Firmware, OperatingSystem, Pattern};
use hospitium_wire::{ClockReading, CpuidWords, PowerAction};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Misfit, Taps, json};
use crate::ask::{
    Button, ClockSource, Clocks, Counters, Cpus, Debug, Devices, Disks, DriveContent, Endpoint,
    Entropy, Files, Firmwares, GuestDisk, Interrupts, LogLine, LogPosition, Memory, Network,
    PciFunction, PhysicalRange, Power, SmbiosSystem, Span, SystemName, Terminals, Topology,
    UsbDevice, WantedDisk, Write,
};
use crate::forms::{Kept, keep, keep_all};
use crate::{
    BlockInfo, ClockScan, Done, DriverLoad, MemoryScan, PatternDone, System, SystemError, Ticks,
    Told,
};

/// What a system knows of itself without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixed {
    /// [`System::os`].
    pub os: OperatingSystem,
    /// [`Power::shutdown_marks`].
    pub shutdown_marks: Vec<String>,
    /// [`Power::panic_mark`].
    pub panic_mark: String,
}

impl Fixed {
    /// Of this system.
    pub fn of(system: &dyn System) -> Self {
        Self {
            os: system.os(),
            shutdown_marks: system.shutdown_marks().iter().map(|&mark| mark.into()).collect(),
            panic_mark: system.panic_mark().into(),
        }
    }
}

/// A guest whose answers pass taps. There may be no guest behind it: then the taps answer all that is asked.
pub struct TappedSystem {
    inner: Option<Arc<dyn System>>,
    taps: Arc<Taps>,
    machine: u32,
    os: OperatingSystem,
    shutdown_marks: &'static [Kept],
    panic_mark: Kept,
}

impl TappedSystem {
    /// Of a guest, in the check's machine of this number.
    pub fn new(inner: Arc<dyn System>, taps: Arc<Taps>, machine: u32) -> Self {
        let fixed = Fixed::of(&*inner);
        Self { inner: Some(inner), ..Self::absent(&fixed, taps, machine) }
    }

    /// Of no guest.
    pub fn absent(fixed: &Fixed, taps: Arc<Taps>, machine: u32) -> Self {
        Self {
            inner: None,
            taps,
            machine,
            os: fixed.os,
            shutdown_marks: keep_all(&fixed.shutdown_marks),
            panic_mark: keep(&fixed.panic_mark),
        }
    }
}

impl System for TappedSystem {
    fn os(&self) -> OperatingSystem {
        self.os
    }
}

impl From<Misfit> for SystemError {
    fn from(misfit: Misfit) -> Self {
        Self::Unreadable { what: misfit.question, text: misfit.why }
    }
}

/// Has each question pass the taps. What is in `plain` is no question.
macro_rules! tapped {
    ($($subject:ident { $(
        async fn $name:ident(&$this:ident $(, $argument:ident: $type:ty)* $(,)?) -> $told:ty;
    )* $(plain { $($plain:item)* })? })*) => {
        /// Every question, by its name.
        pub const QUESTIONS: &[&str] = &[$($(stringify!($name)),*),*];

        $(#[async_trait]
        impl $subject for TappedSystem {
            $(async fn $name(&$this $(, $argument: $type)*) -> $told {
                let arguments: [(String, Value); _] =
                    [$((stringify!($argument).to_owned(), json(&$argument))),*];
                let arguments = Value::Object(Map::from_iter(arguments));
                let ask = async {
                    match &$this.inner {
                        Some(inner) => inner.$name($($argument),*).await,
                        None => Err(nobody(stringify!($name))),
                    }
                };
                $this.taps.pass($this.machine, stringify!($name), arguments, ask).await
            })*
            $($($plain)*)?
        })*
    };
}

fn nobody(question: &str) -> SystemError {
    let why = "there is no guest, and no tap answers this".into();
    Misfit { question: question.into(), why }.into()
}

tapped! {
    Clocks {
        async fn clock(&self) -> Told<ClockReading>;
        async fn clock_source(&self) -> Told<ClockSource>;
        async fn hardware_clock(&self) -> Told<i64>;
        async fn set_hardware_clock(&self, seconds: i64) -> Done;
        async fn tsc_mhz(&self) -> Told<f64>;
        async fn scan_clocks(&self, time: Duration, cpus: u32) -> Told<ClockScan>;
        async fn ticks(&self, period: Duration, count: u32) -> Told<Ticks>;
    }
    Cpus {
        async fn online(&self) -> Told<Vec<u32>>;
        async fn topology(&self) -> Told<Topology>;
        async fn cpuid(&self, cpu: u32, leaf: u32, subleaf: u32) -> Told<CpuidWords>;
        async fn features(&self) -> Told<Vec<String>>;
        async fn vulnerabilities(&self) -> Told<BTreeMap<String, String>>;
        async fn set_online(&self, cpu: u32, online: bool) -> Done;
        async fn bring_cpus_online(&self) -> Done;
        async fn busy(&self, cpus: u32, time: Duration) -> Done;
    }
    Debug {
        async fn kernel_release(&self) -> Told<String>;
        async fn kernel_notes(&self) -> Told<PhysicalRange>;
    }
    Devices {
        async fn pci(&self) -> Told<Vec<PciFunction>>;
        async fn usb(&self) -> Told<Vec<UsbDevice>>;
        async fn load_driver(&self, device: &str) -> Done<DriverLoad>;
        async fn require_driver(&self, device: &str) -> Done;
        async fn interrupts(&self, of: &Interrupts) -> Told<Vec<u64>>;
        async fn steer(&self, which: &Interrupts, cpu: u32) -> Done;
    }
    Disks {
        async fn disk(&self, wanted: &WantedDisk) -> Told<Option<GuestDisk>>;
        async fn disks_besides(&self, known: &[GuestDisk]) -> Told<Vec<GuestDisk>>;
        async fn drive(&self, serial: &str) -> Told<Option<GuestDisk>>;
        async fn lists(&self, disk: &GuestDisk) -> Told<bool>;
        async fn block(&self, disk: &GuestDisk) -> Told<BlockInfo>;
        async fn write(&self, disk: &GuestDisk, span: Span, pattern: Pattern, how: Write) -> Told<PatternDone>;
        async fn read_back(&self, disk: &GuestDisk, span: Span) -> Told<PatternDone>;
        async fn discard(&self, disk: &GuestDisk, span: Span) -> Done;
        async fn content(&self, drive: &GuestDisk, length: u64) -> Told<DriveContent>;
    }
    Entropy {
        async fn random(&self, count: u32) -> Told<Vec<u8>>;
        async fn hardware_source(&self) -> Told<String>;
        async fn hardware_random(&self, count: u32) -> Told<Vec<u8>>;
        async fn adopt(&self, entropy: [u8; 32]) -> Done;
        async fn reseeds_on_generation(&self) -> Told<bool>;
        async fn reseeds_by_generation(&self) -> Told<u32>;
    }
    Files {
        async fn put(&self, name: &str, content: &[u8]) -> Done;
        async fn get(&self, name: &str) -> Told<Option<Vec<u8>>>;
    }
    Firmwares {
        async fn firmware(&self) -> Told<Firmware>;
        async fn smbios(&self) -> Told<SmbiosSystem>;
        async fn generation_id(&self) -> Told<Option<String>>;
    }
    Memory {
        async fn total(&self) -> Told<ByteSize>;
        async fn firmware_map(&self) -> Told<ByteSize>;
        async fn nodes(&self) -> Told<usize>;
        async fn bring_memory_online(&self) -> Done;
        async fn hold(&self, slot: u8, length: u64, pattern: Pattern) -> Told<Digest>;
        async fn held(&self, slot: u8) -> Told<Digest>;
        async fn scan(&self, needle: [u8; 32]) -> Told<MemoryScan>;
    }
    Network {
        async fn interfaces(&self) -> Told<Vec<String>>;
        async fn local_end(&self, of: Endpoint) -> Told<Option<Endpoint>>;
        async fn interface(&self, mac: &str) -> Told<Option<String>>;
        async fn has_interface(&self, name: &str) -> Told<bool>;
        async fn mac(&self, name: &str) -> Told<String>;
        async fn mtu(&self, name: &str) -> Told<u32>;
        async fn carrier(&self, name: &str) -> Told<bool>;
        async fn counters(&self, name: &str) -> Told<Counters>;
        async fn up(&self, name: &str, address: [u8; 4], prefix: u8, mtu: u32) -> Done;
        async fn down(&self, name: &str) -> Done;
        async fn tcp_send(&self, to: Endpoint, length: u64, pattern: Pattern) -> Told<PatternDone>;
        async fn tcp_receive(&self, from: Endpoint, length: u64) -> Told<PatternDone>;
        async fn tcp_open(&self, slot: u8, to: Endpoint) -> Done;
        async fn tcp_exchange(&self, slot: u8, data: &[u8], limit: Duration) -> Told<Option<Vec<u8>>>;
        async fn udp_echo(&self, to: Endpoint, length: u32, pattern: Pattern, limit: Duration) -> Told<Option<PatternDone>>;
    }
    Power {
        async fn boot_id(&self) -> Told<String>;
        async fn answers(&self, limit: Duration) -> Done;
        async fn state(&self, limit: Duration) -> Told<String>;
        async fn uptime(&self) -> Told<Duration>;
        async fn version(&self) -> Told<String>;
        async fn name(&self) -> Told<SystemName>;
        async fn act(&self, action: PowerAction) -> Done;
        async fn obey_power_button(&self) -> Told<Button>;
        async fn arm_watchdog(&self, seconds: u32) -> Told<u64>;
        async fn log(&self) -> Told<Vec<LogLine>>;
        async fn log_since(&self, position: &LogPosition) -> Told<(Vec<LogLine>, LogPosition)>;
        plain {
            fn shutdown_marks(&self) -> &'static [&'static str] {
                self.shutdown_marks
            }

            fn panic_mark(&self) -> &'static str {
                self.panic_mark
            }
        }
    }
    Terminals {
        async fn say(&self, line: &str) -> Told<usize>;
        async fn listen(&self) -> Done;
        async fn hear(&self, limit: Duration) -> Told<Vec<u8>>;
        async fn stop_listening(&self) -> Done;
        async fn display(&self) -> Told<String>;
        async fn draw(&self, text: &str) -> Told<usize>;
        async fn open_keyboards(&self) -> Told<Vec<String>>;
        async fn keys(&self, count: usize, limit: Duration) -> Told<Vec<u16>>;
    }
}
