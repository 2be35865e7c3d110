//! The words of validation as types.
//!
//! Nothing here does I/O. What comes in are the facts that other rooms observe;
//! what goes out are plain data types that can be written to a file and read back:
//! a [`MachineSpec`], a [`Finding`] with what each witness saw, the [`Verdict`] that
//! follows from the findings by rule, and the records of an evidence bundle.

mod agreement;
mod asked;
mod chain;
mod check;
mod digest;
mod expect;
mod facts;
mod finding;
mod form;
pub mod io_form;
mod machine;
mod pattern;
mod record;
mod repeat;
#[cfg(feature = "schema")]
mod schema;
mod size;
mod source;
mod space;
mod span;
pub mod standing;
mod text;
mod text_form;
mod verdict;

pub use agreement::{
    AGREEMENT_FORMAT, Agreement, Call, CarryForward, CatalogOf, Clause, Day, Days, Exclusion,
    Formula, FormulaError, LARGEST_AGREEMENT, Later, Needs, Owner, PROFILES, Party, Reach,
    STANDARD, Support, Term, Trigger, USUAL_VALIDITY, Until, Validation, Validity, read_agreement,
};
pub use asked::asked_day;
pub use chain::chain;
pub use check::{CheckId, CheckIdError, Subsystem, Tier};
pub use digest::{Digest, DigestError};
pub use expect::{Expectation, ExpectationError, Expectations};
pub use facts::{
    Accelerator, AcceleratorProof, Answer, Capability, GuestFacts, GuestKind, HostFacts, Inability,
    OperatingSystem, UNDECLARED, Unable,
};
pub use finding::{Finding, Holds, Observations, Rule, Sighted, Value};
pub use form::FormError;
pub use machine::{
    Boot, Bus, Channel, ChannelKind, Chipset, CpuTopology, CrashAction, Disk, DiskRole, Firmware,
    MachineSpec, Memory, Network, Nic, NicModel, Smbios, SpecError, TpmVersion, Watchdog,
    WatchdogAction, names_a_model,
};
pub use pattern::Pattern;
pub use record::{
    BOOT_WITHIN, BootOf, CellRecord, CheckRecord, DefinitionPin, EVIDENCE_FORMAT, InputPin,
    Manifest, ManifestEntry, PlannedCheck, RunRecord, TimelineEvent, TimelineSource, Timings,
};
pub use repeat::{Growth, Repeats, median, wilson};
pub use size::{ByteSize, ByteSizeError};
pub use source::{GuestSource, HostSource, Inside, Outside, Seen};
pub use space::{
    MACHINE_PARAMETERS, MOST_MACHINE_VALUES, MachineRow, MachineSpace, MachineValues,
    SpaceParameter, SpaceRule,
};
pub use span::span;
pub use text::{escaped, is_invisible, is_unsafe, printable, push_escaped};
pub use verdict::{SkipReason, Verdict, VerdictWord};
