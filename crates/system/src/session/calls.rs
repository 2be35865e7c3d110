//! One method for each request. Paths are of the guest; slots are numbers below 8.

use std::collections::BTreeSet;
use std::time::Duration;

use hospitium_wire::{
    CpuidWords, Flags, LinuxRequest, MAX_DATA, Node, PowerAction, Request, errno,
};

use super::describe::describe;
use super::reply::{OwnedReply, nul_separated};
use super::values::{DriverLoad, LogPart, PatternDone, Ran};
use super::{Session, SessionError};

type Result<T> = std::result::Result<T, SessionError>;

/// The most that [`Session::read_text`] takes.
const MOST_TEXT: u64 = 4 << 20;
/// The most names of a folder.
const MOST_NAMES: usize = 1 << 16;
/// The most of a kernel log.
const MOST_LOG: u64 = 16 << 20;

const NO_TIME: Duration = Duration::ZERO;

fn ms(limit: Duration) -> u32 {
    u32::try_from(limit.as_millis()).unwrap_or(u32::MAX)
}

/// Calls a request and takes the one kind of answer that fits.
macro_rules! ask {
    ($session:expr, $request:expr, $own:expr, $pattern:pat => $value:expr) => {{
        let request = $request;
        match $session.call(&request, $own).await? {
            $pattern => Ok($value),
            other => Err(unexpected(&request, &other)),
        }
    }};
}

mod devices;

fn unexpected(request: &Request<'_>, got: &OwnedReply) -> SessionError {
    SessionError::Unexpected { doing: describe(request), got: got.kind() }
}

/// Files.
impl Session {
    /// Gives the guest fresh entropy; the first thing to do after a clone.
    pub async fn adopt(&self, entropy: [u8; 32]) -> Result<()> {
        self.done(Request::Adopt { entropy }, NO_TIME).await
    }

    /// Sends bytes (at most [`MAX_DATA`]) and gets them back.
    pub async fn echo(&self, data: &[u8]) -> Result<Vec<u8>> {
        self.data(Request::Echo { data }, NO_TIME).await
    }

    /// A whole file, at most `most` bytes; a longer one is an error.
    pub async fn read_file(&self, path: &str, most: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let offset = all.len() as u64;
            let request = Request::ReadFile { path, offset, max: MAX_DATA as u32 };
            let part = self.data(request, NO_TIME).await?;
            let last = part.len() < MAX_DATA;
            all.extend(part);
            if all.len() as u64 > most {
                return Err(SessionError::TooLarge {
                    doing: format!("reading {}", crate::text::short(path, 120)),
                    most,
                });
            }
            if last {
                return Ok(all);
            }
        }
    }

    /// A whole text file of at most 4 MiB without the white space at its end. What is not UTF-8
    /// is replaced; the text is not escaped.
    pub async fn read_text(&self, path: &str) -> Result<String> {
        let bytes = self.read_file(path, MOST_TEXT).await?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Part of a file: at most [`MAX_DATA`] bytes from `offset` on.
    pub async fn read_at(&self, path: &str, offset: u64, max: u32) -> Result<Vec<u8>> {
        self.data(Request::ReadFile { path, offset, max: max.min(MAX_DATA as u32) }, NO_TIME).await
    }

    /// Writes all of `data`, in messages of at most 4096 bytes: at the beginning of the file, or
    /// at its end where `flags` say so.
    pub async fn write_file(&self, path: &str, data: &[u8], flags: Flags) -> Result<()> {
        let mut written = 0;
        let mut flags = flags;
        loop {
            let part = &data[written..data.len().min(written + MAX_DATA)];
            let request = Request::WriteFile { path, offset: written as u64, data: part, flags };
            let doing = describe(&request);
            let count = ask!(self, request, NO_TIME, OwnedReply::Count(count) => count)?;
            let moved = usize::try_from(count).ok().filter(|&n| n <= part.len());
            match moved {
                Some(n) if n > 0 || part.is_empty() => written += n,
                _ => {
                    return Err(SessionError::Unexpected { doing, got: "an impossible count" });
                }
            }
            if written == data.len() {
                return Ok(());
            }
            flags.truncate = false;
        }
    }

    /// All names in a folder, unsorted.
    pub async fn list(&self, path: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        loop {
            let request = Request::List { path, skip: names.len() as u32 };
            let page = nul_separated(&self.data(request, NO_TIME).await?);
            if page.is_empty() {
                return Ok(names);
            }
            names.extend(page);
            if names.len() > MOST_NAMES {
                let doing = format!("listing {}", crate::text::short(path, 120));
                return Err(SessionError::TooLarge { doing, most: MOST_NAMES as u64 });
            }
        }
    }

    /// Target of a symbolic link.
    pub async fn read_link(&self, path: &str) -> Result<String> {
        let target = self.data(Request::ReadLink { path }, NO_TIME).await?;
        Ok(String::from_utf8_lossy(&target).into_owned())
    }

    /// Makes a folder, unless it is there.
    pub async fn make_dir(&self, path: &str) -> Result<()> {
        self.done(Request::MakeDir { path }, NO_TIME).await
    }

    /// Removes a file or an empty folder.
    pub async fn remove(&self, path: &str) -> Result<()> {
        self.done(Request::Remove { path }, NO_TIME).await
    }

    /// Makes a device node, unless it is there.
    pub async fn make_node(&self, path: &str, node: Node, major: u32, minor: u32) -> Result<()> {
        self.done(Request::Linux(LinuxRequest::MakeNode { path, node, major, minor }), NO_TIME)
            .await
    }

    /// Mounts a file system; `flags` are `MS_*`.
    pub async fn mount(
        &self,
        source: &str,
        target: &str,
        kind: &str,
        flags: u64,
        data: &str,
    ) -> Result<()> {
        self.done(
            Request::Linux(LinuxRequest::Mount { source, target, kind, flags, data }),
            NO_TIME,
        )
        .await
    }

    /// Unmounts.
    pub async fn unmount(&self, target: &str) -> Result<()> {
        self.done(Request::Linux(LinuxRequest::Unmount { target }), NO_TIME).await
    }

    /// Flushes all file systems.
    pub async fn sync(&self) -> Result<()> {
        self.done(Request::Sync, NO_TIME).await
    }
}

/// Kernel and programs.
impl Session {
    /// Loads a kernel module, unless it is loaded.
    pub async fn load_module(&self, path: &str, parameters: &str) -> Result<()> {
        self.done(Request::Linux(LinuxRequest::LoadModule { path, parameters }), NO_TIME).await
    }

    /// Loads the driver for a device that is to be plugged in, by its name in
    /// `guests/linux-modules.toml`. A kernel guest carries its modules and a table of them; a whole
    /// system loads its drivers itself.
    pub async fn load_driver(&self, device: &str) -> Result<DriverLoad> {
        let Some(table) = self.text_of_ours(crate::DRIVER_TABLE).await? else {
            return Ok(DriverLoad::Unmanaged);
        };
        let mut loaded = self.loaded_modules().await?;
        self.load_row(&table, device, &mut loaded).await
    }

    /// Loads the drivers of the devices that a kernel guest's machine has from the start. A module that
    /// does not load is left to the checks of its device.
    pub async fn load_boot_drivers(&self) -> Result<()> {
        let Some(config) = self.text_of_ours(crate::CONFIG).await? else { return Ok(()) };
        let Some(table) = self.text_of_ours(crate::DRIVER_TABLE).await? else {
            return Ok(());
        };
        let mut loaded = self.loaded_modules().await?;
        for device in config.lines().filter_map(|line| line.strip_prefix("driver ")) {
            match self.load_row(&table, device, &mut loaded).await {
                Ok(_) => {}
                Err(error @ SessionError::Guest { .. }) => {
                    tracing::warn!(device, %error, "a driver does not load");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A file of our initramfs; none in a guest that is not started from one.
    pub(super) async fn text_of_ours(&self, path: &str) -> Result<Option<String>> {
        match self.read_text(path).await {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.errno() == Some(hospitium_wire::errno::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Names of the loaded modules, as the kernel writes them.
    async fn loaded_modules(&self) -> Result<BTreeSet<String>> {
        let modules = self.text_of_ours("/proc/modules").await?.unwrap_or_default();
        Ok(modules.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
    }

    /// Loads what a row of the table names and is not loaded: the kernel would refuse those too, but
    /// only after it has checked their signatures, which takes an emulated CPU a tenth of a second.
    async fn load_row(
        &self,
        table: &str,
        device: &str,
        loaded: &mut BTreeSet<String>,
    ) -> Result<DriverLoad> {
        let mut rows = table.lines().map(|line| line.split(' '));
        let Some(row) = rows.find_map(|mut r| (r.next() == Some(device)).then_some(r)) else {
            return Ok(DriverLoad::Absent);
        };
        let mut count = 0;
        for path in row {
            let file = path.rsplit('/').next().unwrap_or(path);
            let name = file.split('.').next().unwrap_or(file).replace('-', "_");
            if !loaded.contains(&name) {
                self.load_module(path, "").await?;
                loaded.insert(name);
            }
            count += 1;
        }
        Ok(DriverLoad::Loaded(count))
    }

    /// Unloads a kernel module.
    pub async fn unload_module(&self, name: &str) -> Result<()> {
        self.done(Request::Linux(LinuxRequest::UnloadModule { name }), NO_TIME).await
    }

    /// Has the probe act as this release of the kernel does, such as 2.6.18; an empty one ends that. What came
    /// later is refused as that release would refuse it. For trying checks against old interfaces.
    pub async fn act_as(&self, release: &str) -> Result<()> {
        self.done(Request::Linux(LinuxRequest::ActAs { release }), NO_TIME).await
    }

    /// Runs a program with its arguments, without a shell, at most for `limit`.
    pub async fn run(&self, arguments: &[&str], limit: Duration) -> Result<Ran> {
        let mut joined = Vec::new();
        for argument in arguments {
            joined.extend_from_slice(argument.as_bytes());
            joined.push(0);
        }
        let request = Request::Run { arguments: &joined, limit_ms: ms(limit) };
        ask!(self, request, limit, OwnedReply::Exit { code, output } => Ran { code, output })
    }

    /// The kernel's log.
    pub async fn kernel_log(&self) -> Result<Vec<u8>> {
        Ok(self.kernel_log_from(0).await?.text)
    }

    /// The same from this byte on; empty if it is no longer than that.
    pub async fn kernel_log_from(&self, start: u32) -> Result<LogPart> {
        let mut log = LogPart::default();
        loop {
            let offset = start.saturating_add(log.text.len() as u32);
            let asked = Request::Linux(LinuxRequest::KernelLog { offset });
            let part = match self.data(asked, NO_TIME).await {
                Err(refused) if refused.errno() == Some(errno::EPIPE) => {
                    log.moved = true;
                    return Ok(log);
                }
                part => part?,
            };
            if part.is_empty() {
                return Ok(log);
            }
            log.text.extend(part);
            if log.text.len() as u64 > MOST_LOG {
                let doing = "reading the kernel's log".to_owned();
                return Err(SessionError::TooLarge { doing, most: MOST_LOG });
            }
        }
    }

    /// CPUID as seen on one vCPU.
    pub async fn cpuid(&self, cpu: u32, leaf: u32, subleaf: u32) -> Result<CpuidWords> {
        let request = Request::Cpuid { cpu, leaf, subleaf };
        ask!(self, request, NO_TIME, OwnedReply::Cpuid(words) => words)
    }

    /// Random bytes from the kernel, at most 256.
    pub async fn random(&self, count: u32) -> Result<Vec<u8>> {
        self.data(Request::Random { count }, NO_TIME).await
    }

    /// Powers off, reboots, crashes …: returns before it is done.
    pub async fn power(&self, action: PowerAction) -> Result<()> {
        self.done(Request::Power { action }, NO_TIME).await
    }

    /// From now on, powers off when the power button is pressed; `path` is its input device.
    pub async fn obey_power_button(&self, path: &str) -> Result<()> {
        self.done(Request::Linux(LinuxRequest::ObeyPowerButton { path }), NO_TIME).await
    }

    /// Starts load in child processes that end by themselves after `time`.
    pub async fn load(&self, cpu: u32, io_path: &str, time: Duration) -> Result<()> {
        self.done(Request::Load { cpu, io_path, milliseconds: ms(time) }, NO_TIME).await
    }
}

impl Session {
    async fn done(&self, request: Request<'_>, own: Duration) -> Result<()> {
        ask!(self, request, own, OwnedReply::Done => ())
    }

    async fn data(&self, request: Request<'_>, own: Duration) -> Result<Vec<u8>> {
        ask!(self, request, own, OwnedReply::Data(data) => data)
    }

    async fn digest(&self, request: Request<'_>, own: Duration) -> Result<PatternDone> {
        ask!(self, request, own, OwnedReply::Digest(done) => done)
    }
}
