//! What a hypervisor shows of a machine to a person who looks into a hang.

/// What a machine does at this moment, for a person's eyes: nothing of it is a witness of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Its vCPUs, in the hypervisor's order.
    pub vcpus: Vec<VcpuState>,
    /// The rows of the display, if it is in a text mode. Trailing spaces and empty rows at the end are left out.
    pub text: Option<Vec<String>>,
}

/// What a vCPU does. Emulators may show the registers as of a few instructions ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VcpuState {
    /// Address of its next instruction.
    pub instruction: u64,
    /// Ring 0 to 3.
    pub ring: u8,
    /// True if it waits for an interrupt.
    pub halted: bool,
}
