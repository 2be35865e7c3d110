//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use hospitium_host::Isolation;
use hospitium_model::{Bus, ByteSize, ChannelKind, Chipset, Firmware, NicModel, TpmVersion};
use serde::de::DeserializeOwned;

use crate::json::AsJson;

const EXIT_CODES: &str = "\
Exit codes:
  0  yes: every check that applies passed, the pair is validated, what was looked at is sound
  1  no: a check failed, if only at one of several attempts; or something is wrong with what was looked at
  2  the command cannot be understood or carried out as given
  3  no more can be said: a check or a cell came to no end, the run was cut off, or nothing is known";

/// Validates guest operating systems on hypervisors, with two witnesses for every check.
#[derive(Debug, Parser)]
#[command(name = "hospitium", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Arguments {
    /// Where booted machines and unpacked guests are kept [default: ~/.cache/hospitium]
    #[arg(long, global = true, env = "HOSPITIUM_CACHE", value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Print more detail
    #[arg(long, short, global = true)]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Validate: boot guests on hosts, run the checks, write evidence and report
    #[command(after_help = EXIT_CODES)]
    Run(Box<RunArguments>),
    /// Enter a clone of the machine in the state that a check began in
    Replay(ReplayArguments),
    /// Write the report of a run again, or in one format
    Report(ReportArguments),
    /// Show what changed from one run to another: verdicts, findings, times, inputs
    #[command(after_help = crate::diff::EXIT_CODES)]
    Diff(crate::diff::DiffArguments),
    #[cfg(feature = "deal")]
    /// Sign what a run's evidence shows, log it, write certificates
    Certify(crate::certify::CertifyArguments),
    /// Verify a certificate or a run's evidence offline, and explain it
    Verify(crate::verify::VerifyArguments),
    #[cfg(feature = "deal")]
    /// Ask whether a guest is validated on a host: in words, or with the definition of a virtual machine
    Ask(Box<crate::question::AskArguments>),
    #[cfg(feature = "deal")]
    /// Serve the catalog, live runs, the log, a witness and the desk from one address
    Serve(Box<crate::serve::ServeArguments>),
    /// Guests that are here
    #[command(subcommand)]
    Guest(GuestCommand),
    /// Hosts that are here
    #[command(subcommand)]
    Host(HostCommand),
    /// The checks, each with its requirement
    #[command(subcommand)]
    Suite(SuiteCommand),
    #[cfg(feature = "deal")]
    /// Guest systems and hypervisors: facts, each with its source
    Product(Box<crate::product::ProductArguments>),
    #[cfg(feature = "deal")]
    /// Agreements: who validates which guests on which hosts, what is owed, what to run
    #[command(subcommand)]
    Agreement(crate::agreement::AgreementCommand),
    #[cfg(feature = "deal")]
    /// Parties: your own name and keys, and the other parties that you trust
    #[command(subcommand)]
    Party(crate::party::PartyCommand),
    #[cfg(feature = "deal")]
    /// The append-only log of a party
    #[command(subcommand)]
    Log(crate::log::LogCommand),
    #[cfg(feature = "deal")]
    /// The database, made from logs, that questions are answered from
    #[command(subcommand)]
    Catalog(crate::catalog::CatalogCommand),
    #[cfg(feature = "deal")]
    /// Joint support: cases between two vendors
    #[command(subcommand)]
    Case(crate::case::CaseCommand),
    /// Booted machines that are kept from one run to the next
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Show the configuration that holds, and where each value comes from
    Config {
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Write shell completions to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write man pages into a folder
    Man {
        /// The folder; made if it is not there
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct RunArguments {
    /// The cells of a plan, as `hospitium agreement cells --out` writes them: guests and machines are
    /// taken from it, and of the hosts those that --on names
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["memory", "vcpus", "firmware", "nodes", "chipset", "machine_type", "cpu", "tpm", "disk", "nic", "channel"])]
    pub plan: Option<PathBuf>,
    /// Build the machines as this definition of a virtual machine has it: libvirt XML, .vmx, Proxmox VE and others
    /// (docs/vm-definitions.md). What this host cannot build is told first and stands in the report as a limit; the guest
    /// is still to be named, for nothing that the file names is opened
    #[cfg(feature = "deal")]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "guests",
          conflicts_with_all = ["plan", "again", "memory", "vcpus", "firmware", "nodes", "chipset", "machine_type", "cpu",
                                "tpm", "disk", "nic"])]
    pub vm: Option<PathBuf>,
    /// Repeat what this certificate records: its seed and machine, and only with the guest and the hypervisor that it pins;
    /// ends with whether every check ended the same way (docs/ledger.md)
    #[cfg(feature = "deal")]
    #[arg(long, value_name = "CERTIFICATE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["plan", "check", "skip", "bisect", "seed", "memory", "vcpus", "firmware", "nodes", "chipset",
                                "machine_type", "cpu", "tpm", "disk", "nic", "channel"])]
    pub again: Option<PathBuf>,
    /// With --again: the record's own evidence, which the run is compared with as well
    #[cfg(feature = "deal")]
    #[arg(long, value_name = "BUNDLE", requires = "again", value_hint = ValueHint::AnyPath)]
    pub evidence: Option<PathBuf>,
    /// A guest: a kernel package (.deb), a kernel image, KERNEL+MODULES-FOLDER, a disk image, a disk
    /// image booted by a kernel and an initrd outside of it (KERNEL+INITRD+IMAGE), a definition
    /// (guests/NAME.toml) or its NAME [default: all definitions of ./guests]
    #[arg(value_name = "GUEST")]
    pub guests: Vec<String>,
    #[command(flatten)]
    pub old: OldGuest,
    /// A host: `qemu` for the installed one, /path/to/qemu-system-x86_64, root:FOLDER for one that
    /// is unpacked there, libvirt:URI (`libvirt:qemu:///session`), a definition (hosts/NAME.toml) or its NAME
    #[arg(long, alias = "host", value_name = "HOST", default_value = "qemu")]
    pub on: Vec<String>,
    /// Run only these checks: an id, a subsystem, or a pattern with * and ?
    #[arg(long, short, value_name = "CHECK")]
    pub check: Vec<String>,
    /// Leave these checks out
    #[arg(long, value_name = "CHECK")]
    pub skip: Vec<String>,
    /// Where evidence and report go; must not exist or be empty [default: runs/ID]
    #[arg(long, short, value_hint = ValueHint::DirPath, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Memory of the machines [default: what the guest's definition says, else 512 MiB]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// vCPUs of the machines [default: what the guest's definition says, else 2]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub vcpus: Option<u32>,
    /// Firmware of the machines [default: what the guest's definition says, else bios]
    #[arg(long)]
    pub firmware: Option<FirmwareChoice>,
    /// NUMA nodes of the machines
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=16))]
    pub nodes: Option<u32>,
    /// Chipset of the machines: `modern` has PCI Express and SATA, `legacy` PCI and IDE, as systems
    /// of before about 2008 want it [default: modern]
    #[arg(long, value_parser = word_of::<Chipset>(&["modern", "legacy"]))]
    pub chipset: Option<Chipset>,
    /// Machine type by the hypervisor's own name, such as pc-q35-7.1 [default: its newest of the chipset];
    /// `hospitium host check` lists them
    #[arg(long, value_name = "TYPE")]
    pub machine_type: Option<String>,
    /// CPU model by the hypervisor's own name, such as Haswell [default: all that the host's CPUs can do];
    /// `hospitium host check` lists them
    #[arg(long, value_name = "MODEL")]
    pub cpu: Option<String>,
    /// A TPM of this version [default: none]
    #[arg(long, value_name = "VERSION", value_parser = word_of::<TpmVersion>(&["1.2", "2.0"]))]
    pub tpm: Option<TpmVersion>,
    /// Bus of the disks [default: the best that the guest drives]
    #[arg(long, value_name = "BUS", value_parser = word_of::<Bus>(&["virtio", "virtio-scsi", "sata", "ide", "usb", "nvme"]))]
    pub disk: Option<Bus>,
    /// Network adapter [default: the best that the guest drives]
    #[arg(long, value_name = "MODEL", value_parser = word_of::<NicModel>(&["virtio", "e1000e", "e1000", "rtl8139", "vmxnet3"]))]
    pub nic: Option<NicModel>,
    /// How the guest sees the probe's channel [default: virtio where the guest drives it]
    #[arg(long, value_name = "KIND", value_parser = word_of::<ChannelKind>(&["virtio", "serial"]))]
    pub channel: Option<ChannelKind>,
    /// Words for the end of the kernel's command line, of guests whose kernel is given: "root=/dev/vda2 quiet"
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// Which accelerator: `auto` takes KVM where it really boots something
    #[arg(long, value_enum, default_value_t = AcceleratorArgument::Auto)]
    pub accelerator: AcceleratorArgument,
    /// How each check gets a machine that no other has touched [default: the first that the host can]
    #[arg(long, value_enum, value_name = "HOW")]
    pub isolation: Option<IsolationArgument>,
    /// Machines at once on a host's computer [default: two a CPU, and one more that only waits]
    #[arg(long, short, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
    /// Memory that all machines on a host's computer may take together [default: three quarters of what is free there]
    #[arg(long, value_name = "SIZE")]
    pub memory_budget: Option<ByteSize>,
    /// The longest that a boot may take, in seconds [default: 120 for a kernel, 900 for a disk]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub boot_limit: Option<u64>,
    /// For `git bisect run`: exits with 0 if the revision is good, 1 if it is bad, 125 if nothing can
    /// be said of it, 128 and above if the bisection is to stop; one line says why (docs/runs.md)
    #[arg(long, conflicts_with_all = ["until_failure", "soak"])]
    pub bisect: bool,
    /// Run each check so many times, each time in a clone of its own, whether it passes or fails
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub repeat: Option<u32>,
    /// Repeat each check for so long, such as `90s` or `2h`, counted from the cell's first check
    #[arg(long, value_name = "TIME", conflicts_with = "repeat", value_parser = long_time)]
    pub soak: Option<Duration>,
    /// Repeat until a check fails; with --repeat or --soak no longer than those say
    #[arg(long)]
    pub until_failure: bool,
    /// Begin the checks in a random order that --seed decides; the evidence has it
    #[arg(long, conflicts_with = "order_of")]
    pub shuffle: bool,
    /// Begin the checks in the order in which this run did
    #[arg(long, value_name = "RUN", value_hint = ValueHint::AnyPath)]
    pub order_of: Option<PathBuf>,
    /// One JSON object for each event, on standard output
    #[arg(long)]
    pub json: bool,
    /// Neither take booted machines from the cache nor leave any there
    #[arg(long, conflicts_with = "cache_size")]
    pub no_cache: bool,
    /// Boot anew although a booted machine is in the cache; the new one takes its place
    #[arg(long, conflicts_with = "no_cache")]
    pub fresh_boot: bool,
    /// How much booted machines may take in the cache
    #[arg(long, value_name = "SIZE", default_value = "8 GiB", env = "HOSPITIUM_CACHE_SIZE")]
    pub cache_size: ByteSize,
    /// Seed of all patterns that are written and compared, and of --shuffle
    #[arg(long, default_value_t = 2009)]
    pub seed: u64,
}

/// `--guest`, as guests to boot were named in the release before.
#[derive(Debug, Clone, Default, Args)]
pub struct OldGuest {
    #[arg(long, short, value_name = "GUEST", hide = true)]
    pub guest: Vec<String>,
}

impl OldGuest {
    /// The guests that are named, in either way.
    pub fn with(&self, named: &[String]) -> Vec<String> {
        named.iter().chain(&self.guest).cloned().collect()
    }
}

/// `90s`, `1h 30m`, as jiff's friendly format has it.
fn long_time(text: &str) -> Result<Duration, String> {
    let time: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    let good = (1..=30 * 24 * 3_600).contains(&time.as_secs());
    let time = Duration::try_from(time).ok().filter(|_| good);
    time.ok_or_else(|| "it has to be between 1s and 30 days (720h)".into())
}

/// A value by the word that it has in files.
fn word_of<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    words: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words)
        .try_map(|word| serde_json::from_value(serde_json::Value::String(word)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FirmwareChoice {
    Bios,
    Uefi,
}

impl From<FirmwareChoice> for Firmware {
    fn from(choice: FirmwareChoice) -> Self {
        match choice {
            FirmwareChoice::Bios => Self::Bios,
            FirmwareChoice::Uefi => Self::Uefi,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AcceleratorArgument {
    Auto,
    Tcg,
    Kvm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IsolationArgument {
    /// A clone of the booted machine for each check
    Fork,
    /// One machine, which goes back to its booted state for each check
    Revert,
    /// A boot for each check
    Reboot,
}

impl From<IsolationArgument> for Isolation {
    fn from(argument: IsolationArgument) -> Self {
        match argument {
            IsolationArgument::Fork => Self::Fork,
            IsolationArgument::Revert => Self::Revert,
            IsolationArgument::Reboot => Self::Reboot,
        }
    }
}

#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The run's folder, such as runs/latest
    #[arg(value_hint = ValueHint::DirPath)]
    pub run: PathBuf,
    /// The check's id
    pub check: String,
    /// The cell, if the run has several
    #[arg(long, value_name = "NAME")]
    pub cell: Option<String>,
    /// The guest, if the run was made elsewhere; must be the same
    #[arg(value_name = "GUEST")]
    pub guest: Option<String>,
    /// As guests were named in the release before
    #[arg(long = "guest", value_name = "GUEST", hide = true, conflicts_with = "guest")]
    pub old_guest: Option<String>,
    /// The host, if the run was made elsewhere; must be the same
    #[arg(long, alias = "host", value_name = "HOST")]
    pub on: Option<String>,
    /// Begin at the machine's console instead of the prompt
    #[arg(long)]
    pub console: bool,
}

#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The run's folder, its evidence folder, or a packed bundle (.tar.zst)
    #[arg(value_hint = ValueHint::AnyPath)]
    pub run: PathBuf,
    /// Tell first what changed since this run: its folder, its evidence folder, or a packed bundle
    #[arg(long, value_name = "RUN", value_hint = ValueHint::AnyPath)]
    pub against: Option<PathBuf>,
    /// Only this format
    #[arg(long)]
    pub format: Option<ReportFormat>,
    /// The folder to write to, or with --format the file; `-` is standard output
    #[arg(long, short, value_hint = ValueHint::AnyPath)]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Html,
    Junit,
    Json,
    Md,
}

#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// Give a host a short name: try it and write hosts/NAME.toml
    Add {
        /// The name
        name: String,
        /// The host, as with `run --on`
        #[arg(value_name = "HOST")]
        host: String,
        #[command(flatten)]
        json: AsJson,
    },
    /// List the hypervisors found here, and those of ./hosts
    List {
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Try a host and say what it can do and what is missing
    Check {
        /// As with `run --on`
        #[arg(default_value = "qemu", value_name = "HOST")]
        host: Vec<String>,
        /// Which accelerator
        #[arg(long, value_enum, default_value_t = AcceleratorArgument::Auto)]
        accelerator: AcceleratorArgument,
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum GuestCommand {
    /// Give a guest a short name: look it over and write guests/NAME.toml, which pins it by its digest
    Add {
        /// The name
        name: String,
        /// The guest, as with `run`
        #[arg(value_name = "GUEST")]
        guest: String,
        /// What product it is: an osinfo-db id [default: what the guest itself says]
        #[arg(long, value_name = "ID")]
        product: Option<String>,
        #[command(flatten)]
        json: AsJson,
    },
    /// List the guests of ./guests and the packages in the cache
    List {
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Look a guest over without booting it
    Check {
        /// As with `run` [default: all definitions of ./guests]
        #[arg(value_name = "GUEST")]
        guest: Vec<String>,
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum SuiteCommand {
    /// List all checks, or those that are named
    List {
        /// An id, a subsystem, or a pattern with * and ?
        #[arg(value_name = "CHECK")]
        check: Vec<String>,
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Show a check: its requirement, needs, tier and limit
    Show {
        /// Its id
        #[arg(value_name = "CHECK")]
        id: String,
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// List the profiles: which checks a certificate requires
    Profiles {
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// List what is kept, and how much room it takes
    List {
        /// One JSON object (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Remove everything that can be made again and is not in use: booted machines, unpacked kernels,
    /// converted images
    #[command(alias = "clear")]
    Clean {
        #[command(flatten)]
        json: AsJson,
    },
}

/// The whole command line: with an example in front of each help text, and with the defaults of `hospitium.toml`.
pub fn command(config: Option<&'static crate::config::Config>) -> clap::Command {
    crate::config::defaults(crate::examples::shown(Arguments::command()), config)
}
