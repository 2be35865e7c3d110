//! What every kind of guest can do: say what it is, get ready to boot, let the probe answer.

mod error;
mod restarts;
mod screen;
mod signs;
mod trouble;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hospitium_host::Machine;
use hospitium_model::{Answer, GuestFacts, InputPin, MachineSpec};
use hospitium_system::text::short;
use hospitium_system::{Console, Platform, Session, SessionError, Trace};

use crate::direct::DirectGuest;
use crate::disk::{Definition, DiskError, DiskGuest};
use crate::image::{ImageError, Wrong};
use crate::kernel::KernelGuest;

pub use self::error::{GuestError, Seen};
use self::trouble::{Kind, Sign};

/// Something bootable made ready for validation.
#[async_trait]
pub trait Guest: Send + Sync {
    /// What it is.
    fn facts(&self) -> &GuestFacts;

    /// Everything of it that goes into a machine, by digest.
    fn inputs(&self) -> Vec<InputPin>;

    /// Can the guest drive this device? The names are those of `guests/linux-modules.toml`.
    /// A guest that manages its devices itself is taken at its word: yes.
    fn driver(&self, device: &str) -> Answer {
        let _ = device;
        Answer::Yes
    }

    /// Puts the boot media into a machine; files that must be made for it go to `folder`, which
    /// lives as long as the machine. The guest itself is never written to.
    fn prepare(&self, folder: &Path, spec: MachineSpec) -> Result<MachineSpec, GuestError>;

    /// Gets in: waits, at most `limit`, until the probe has answered in a machine that runs.
    async fn enter(
        &self,
        machine: &dyn Machine,
        console: &Console,
        trace: Option<Trace>,
        limit: Duration,
    ) -> Result<Session, GuestError>;

    /// Does what there is to do so that the probe comes back after a restart of the guest, whose
    /// next boot is on the console from line `from` on. It ends with an error, or never: race it
    /// against the probe's answer. Where the probe starts at every boot, there is nothing to do.
    async fn come_back(&self, console: &Console, from: u64, limit: Duration) -> GuestError {
        let _ = (console, from, limit);
        std::future::pending().await
    }
}

/// Makes a guest ready from what a person names: a kernel package (`.deb`), a kernel image, a
/// kernel image and its modules' folder joined by `+`, a kernel image, an initrd and a disk image joined by `+`,
/// or a disk image. The bytes say which it is, not the name. What has to be unpacked is kept in
/// `cache`, by digest.
pub fn open(what: &Path, cache: &Path) -> Result<Box<dyn Guest>, GuestError> {
    open_with(what, None, cache)
}

/// The same with words for the end of the kernel's command line, which guests that have a boot loader of
/// their own cannot be given.
pub fn open_with(
    what: &Path,
    append: Option<&str>,
    cache: &Path,
) -> Result<Box<dyn Guest>, GuestError> {
    let words = append.map(str::to_owned);
    let kernel = |kernel: KernelGuest| Ok(Box::new(kernel.with_append(words.clone())) as Box<_>);
    let disk = |disk: DiskGuest| match append {
        Some(_) => Err(GuestError::NoAppend { path: what.to_owned() }),
        None => Ok(Box::new(disk) as Box<_>),
    };
    if let Some(found) = DiskGuest::open(what, cache) {
        return disk(found?);
    }
    if let Some([image, initrd, system]) = files_joined(what) {
        let three = (&*image, &*initrd, &*system);
        return Ok(Box::new(DirectGuest::new(three, words, cache)?));
    }
    if let Some((image, modules)) = kernel_and_modules(what) {
        return kernel(KernelGuest::from_folder(&image, &modules)?);
    }
    let head = read_head(what)
        .map_err(|source| GuestError::Unreadable { path: what.to_owned(), source })?;
    if head.starts_with(b"!<arch>\n") {
        return kernel(KernelGuest::from_package(what, cache)?);
    }
    if crate::kernel::is_bzimage(&head) {
        return kernel(KernelGuest::bare(what)?);
    }
    match DiskGuest::new(what, Definition::default(), cache) {
        Ok(found) => disk(found),
        Err(DiskError::Image(ImageError::Wrong { wrong: Wrong::Unknown, .. })) => {
            Err(GuestError::Unrecognised { path: what.to_owned() })
        }
        Err(other) => Err(other.into()),
    }
}

/// The three files of `vmlinuz+initrd+image`, cut at whichever of the `+` leave files.
fn files_joined(what: &Path) -> Option<[PathBuf; 3]> {
    let text = what.to_str()?;
    if what.exists() {
        return None;
    }
    let cuts: Vec<usize> = text.match_indices('+').map(|(at, _)| at).collect();
    let pairs =
        cuts.iter().enumerate().flat_map(|(n, a)| cuts[n + 1..].iter().map(move |b| (*a, *b)));
    pairs.take(1000).find_map(|(a, b)| {
        let parts = [&text[..a], &text[a + 1..b], &text[b + 1..]].map(PathBuf::from);
        parts.iter().all(|part| part.is_file()).then_some(parts)
    })
}

/// The two halves of `vmlinuz+modules`. Kernel versions hold `+` themselves, so every one is
/// tried, and a file that is there as a whole is not cut.
fn kernel_and_modules(what: &Path) -> Option<(PathBuf, PathBuf)> {
    let text = what.to_str()?;
    if what.exists() {
        return None;
    }
    text.match_indices('+').find_map(|(at, _)| {
        let (kernel, modules) = (Path::new(&text[..at]), Path::new(&text[at + 1..]));
        (kernel.is_file() && modules.is_dir()).then(|| (kernel.to_owned(), modules.to_owned()))
    })
}

fn read_head(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;

    let mut head = Vec::new();
    std::fs::File::open(path)?.take(1024).read_to_end(&mut head)?;
    Ok(head)
}

/// Takes the machine's `probe` channel and waits, at most `limit`, for the first answer of a probe for one of
/// these platforms, racing everything that can go wrong before it. For all guests whose probe starts by itself,
/// and for the others once they have started it.
pub async fn await_probe(
    machine: &dyn Machine,
    console: &Console,
    trace: Option<Trace>,
    platforms: &[Platform],
    limit: Duration,
) -> Result<Session, GuestError> {
    let stream = machine.serial("probe").await?;
    let session = Session::attach(stream, trace);
    raced(machine, console, session.greet_as(platforms, limit)).await?;
    Ok(session)
}

/// What is asked of the probe before the guest counts as entered, raced against everything that can go
/// wrong meanwhile: a hang becomes an error that names its cause.
pub async fn raced<T>(
    machine: &dyn Machine,
    console: &Console,
    asked: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, GuestError> {
    let begun = Instant::now();
    let failed = tokio::select! {
        biased;
        answer = asked => match answer {
            Ok(answer) => return Ok(answer),
            Err(SessionError::NoAnswer { .. }) => GuestError::NoProbe {
                waited: begun.elapsed(),
                silent: console.silent_for(),
                last: console.last_lines(LAST),
            },
            Err(SessionError::Closed { .. }) => match ended_soon(machine).await {
                Some(how) => GuestError::Ended {
                    waited: begun.elapsed(),
                    how,
                    last: console.last_lines(LAST),
                },
                None => GuestError::ChannelClosed { last: console.last_lines(LAST) },
            },
            // Who answers what it is asked with too much else may be a firmware or a boot loader.
            Err(flood @ SessionError::Flood { .. }) => match signs::on_console(console) {
                Some(ending) => ending.into_error(begun, console),
                None => flood.into(),
            },
            Err(other) => other.into(),
        },
        error = ends_badly(machine, console, begun) => error,
        ending = signs::until_one(machine, console) => ending.into_error(begun, console),
        ended = machine.ended() => GuestError::Ended {
            waited: begun.elapsed(),
            how: short(&ended.to_string(), 400),
            last: console.last_lines(LAST),
        },
    };
    Err(failed)
}

/// Lines of the console that an error shows.
const LAST: usize = 12;

/// When a channel closes, the machine's end is a moment away.
async fn ended_soon(machine: &dyn Machine) -> Option<String> {
    let ended = tokio::time::timeout(Duration::from_secs(5), machine.ended()).await.ok()?;
    Some(short(&ended.to_string(), 400))
}

/// Ends with what went wrong, if anything does that the console or the machine's events show.
async fn ends_badly(machine: &dyn Machine, console: &Console, begun: Instant) -> GuestError {
    let panicked = |line: &str| line.contains("Kernel panic - not syncing");
    tokio::select! {
        () = until_flooded(console) => GuestError::Flooded {
            waited: begun.elapsed(),
            bytes: console.total(),
            last: console.last_lines(LAST),
        },
        (n, line) = until_line(console, panicked) => {
            // The rest of the panic is what a person needs to see.
            let rest = Duration::from_secs(3);
            let _ = console.wait_line("", n + 1, rest, |l| l.contains("end Kernel panic")).await;
            // The line had perhaps not come whole when it was noticed.
            let whole = console.lines_since(n).into_iter().find(|(number, _)| *number == n);
            let panic = short(whole.as_ref().map_or(&line, |(_, line)| line), 300);
            let last = console.last_lines(LAST);
            match trouble::recognise(&panic) {
                Some(&Sign { kind: Kind::NoRoot, means, .. }) => {
                    GuestError::NeedsInitrd { said: panic, place: Seen::Console, means, last }
                }
                _ => GuestError::Panicked { waited: begun.elapsed(), panic, last },
            }
        }
        count = restarts::too_many(machine) => GuestError::Rebooting {
            waited: begun.elapsed(),
            count,
            last: console.last_lines(LAST),
        },
    }
}

async fn until_flooded(console: &Console) {
    let mut seen = 0;
    while !console.flooded() {
        if console.changed(seen).await.is_err() {
            std::future::pending::<()>().await;
        }
        seen = console.total();
    }
}

async fn until_line(console: &Console, wanted: impl Fn(&str) -> bool) -> (u64, String) {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    match console.wait_line("", 0, YEAR, wanted).await {
        Ok(found) => found,
        Err(_) => std::future::pending().await,
    }
}
