//! What a machine's command line is made of: what was opened for it, and the arguments as they come together.

use std::time::Duration;

use hospitium_model::{Accelerator, MachineSpec};
use serde_json::Value;

use crate::disks::{DiskPlan, Handed};
use crate::plugged::Plugged;

/// What has been opened or made for the machine, and how it comes into being.
pub(crate) struct Setup<'a> {
    pub spec: &'a MachineSpec,
    pub name: &'a str,
    /// The machine type that its state was taken on, if it was on another QEMU.
    pub machine_type: Option<&'a str>,
    /// vCPUs there from the start.
    pub vcpus: u32,
    /// How far the hardware clock is ahead.
    pub clock_ahead: Duration,
    pub accelerator: Accelerator,
    /// Device types that this QEMU has.
    pub has: &'a dyn Fn(&str) -> bool,
    /// Disks with what the VMM is handed of each.
    pub disks: &'a [(DiskPlan, Handed)],
    /// Descriptors that go into sets.
    pub sets: &'a [(i32, u32)],
    /// Descriptor of the control connection.
    pub qmp: i32,
    /// Descriptors of the channels, in the order of the specification.
    pub channels: &'a [i32],
    /// Descriptors of the cables that end in the harness, by interface.
    pub cables: &'a [(String, i32)],
    /// Kernel and initial RAM disk as the VMM can open them.
    pub kernel: Option<(String, Option<String>)>,
    /// Descriptor set of the UEFI code; its variables are in `uefi-vars.fd`.
    pub uefi: Option<u32>,
    /// Files of the memory, one a NUMA node.
    pub memory: &'a [String],
    pub memory_mapping: Mapping,
    /// Descriptor of the TPM emulator's control channel.
    pub tpm: Option<i32>,
    /// VM generation id of this very machine.
    pub generation_id: Option<&'a str>,
    /// Whether its state comes in from elsewhere.
    pub incoming: bool,
    /// Devices that were plugged in before its state was taken.
    pub plugged: &'a [Plugged],
    /// Ids of devices that were removed before.
    pub removed: &'a [String],
}

/// The memory's file, and how it is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mapping {
    /// Writes go to the file.
    Shared,
    /// There is no file: its state, memory included, comes by a stream. To tell whether a page is zero already, QEMU
    /// reads it, and of a file with holes the kernel would make a page for each.
    None,
    /// Writes stay in the process. `read_only` opens the file so, where QEMU can.
    Private {
        /// Whether this QEMU can map a file privately that it opened for reading only.
        read_only: bool,
    },
    /// Writes go to the file, which is a copy of a snapshot's: its state comes without memory. Mapped privately, QEMU
    /// from 8.1 on would warn of what a balloon does to the file (system/physmem.c, `ram_block_discard_range`).
    Copied,
}

/// Arguments as they come together.
#[derive(Default)]
pub(crate) struct Arguments(pub Vec<String>);

impl Arguments {
    /// An option without one.
    pub(crate) fn one(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    /// An option with its value.
    pub(crate) fn two(&mut self, name: &str, value: impl Into<String>) {
        self.0.extend([name.to_owned(), value.into()]);
    }

    /// A device, unless it was removed before the state was taken.
    pub(crate) fn device(&mut self, setup: &Setup<'_>, device: Value) {
        let id = device.get("id").and_then(Value::as_str).unwrap_or_default();
        if !setup.removed.iter().any(|removed| removed == id) {
            self.two("-device", device.to_string());
        }
    }
}
