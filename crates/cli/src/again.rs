//! `hospitium run --again`: another party's run from the inputs that its record pins, and what comes of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hospitium_ledger::Certificate;
use hospitium_ledger::Statement;
use hospitium_ledger::statement::{Record, Validation};
use hospitium_model::{Digest, Firmware};
use hospitium_run::{PlannedGuest, PlannedHost};
use jiff::Timestamp;

use crate::args::{FirmwareChoice, RunArguments};
use crate::diff;
use crate::endorse::{alike, of_run};
use crate::failure::Usage;
use crate::out::out;
use crate::view::safe;

/// The record that is repeated.
pub struct Again {
    path: PathBuf,
    record: Validation,
    /// Its own evidence, if that is at hand.
    evidence: Option<PathBuf>,
}

impl Again {
    /// Reads the certificate that the arguments name, if they name one, and fills in what its record says of seed and
    /// machine. The certificate is not verified: `log endorse` does that.
    pub fn of(arguments: &mut RunArguments) -> Result<Option<Self>> {
        let Some(path) = arguments.again.clone() else { return Ok(None) };
        let certificate = Certificate::read(&path)
            .with_context(|| format!("{} is not accepted", path.display()))?;
        let statement = Statement::parse(certificate.envelope().payload())?;
        let Record::Validation(record) = statement.record else {
            return Err(Usage::error(
                format!("{} is the certificate of no validation", path.display()),
                "name one that `hospitium certify` wrote",
            ));
        };
        arguments.seed = record.hospitium.run.seed;
        let envelope = &record.hospitium.envelope;
        arguments.machine_type.clone_from(&envelope.machine_type);
        arguments.cpu.clone_from(&envelope.cpu_model);
        let firmware = |firmware| match firmware {
            Firmware::Bios => FirmwareChoice::Bios,
            Firmware::Uefi => FirmwareChoice::Uefi,
        };
        match record.row() {
            Some(row) => {
                arguments.memory = Some(row.memory);
                arguments.vcpus = Some(row.vcpus);
                arguments.firmware = Some(firmware(row.firmware));
                arguments.nodes = Some(if row.nodes > 1 { row.nodes } else { 0 });
                arguments.chipset = Some(row.chipset);
                arguments.disk = Some(row.disk);
                arguments.nic = Some(row.nic);
                arguments.channel = Some(row.channel);
            }
            // An older record tells no more than this of it.
            None => {
                arguments.memory = Some(envelope.memory);
                arguments.vcpus = Some(envelope.vcpus);
                arguments.firmware = Some(firmware(envelope.firmware));
                arguments.nodes = Some(envelope.nodes);
            }
        }
        Ok(Some(Self { path, record: *record, evidence: arguments.evidence.clone() }))
    }

    /// Whether the guest and the host that were opened are those of the record, told before anything is started.
    pub fn fits(&self, guests: &[PlannedGuest], hosts: &[PlannedHost]) -> Result<()> {
        let pinned = &self.record.hospitium.guest;
        let (Some(guest), [_]) = (guests.first(), guests) else {
            return Err(Usage::error(
                "a record is of one guest",
                format!("name it: hospitium run GUEST --again … ({})", safe(&pinned.name)),
            ));
        };
        self.same("guest", pinned.digest, guest.guest.facts().digest)?;
        let vmm = self.record.vmm();
        for host in hosts {
            if let Some(vmm) = vmm {
                self.same("hypervisor", vmm, host.host.facts().vmm)?;
            }
        }
        Ok(())
    }

    fn same(&self, what: &str, theirs: Digest, ours: Digest) -> Result<()> {
        if theirs == ours {
            return Ok(());
        }
        Err(Usage::error(
            format!(
                "the {what} is another than the record's: {} here, {} there",
                ours.short(),
                theirs.short()
            ),
            format!("get the one that {} pins", self.path.display()),
        ))
    }

    /// Compares the run with the record, check by check, and with the record's own evidence where that is given; says
    /// whether it was repeated.
    pub fn tell(&self, folder: &Path) -> Result<bool> {
        let bundle = diff::open(folder)?;
        let compared = || {
            if let Some(evidence) = &self.evidence {
                alike(&diff::open(evidence)?, &bundle)?;
            }
            // Whose record it would be is of no weight for a comparison.
            let party = &self.record.hospitium.party;
            of_run(&bundle, None, party, &self.record, Timestamp::now())
        };
        match compared() {
            Ok(repeated) => {
                out!(
                    "repeated  {} checks ended as in the record, from {} inputs that are the same",
                    repeated.compared,
                    repeated.inputs
                );
                out!(
                    "endorse   hospitium log endorse {} --run {} --party DIR --reason WHY",
                    self.path.display(),
                    folder.display()
                );
                Ok(true)
            }
            Err(error) => {
                let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
                out!("not repeated: {}", safe(&causes.join(": ")));
                Ok(false)
            }
        }
    }
}
