//! A machine's TPM: an emulator's process (swtpm) beside its VMM.
//!
//! It speaks with the VMM over a socket that both inherit (QEMU docs/specs/tpm.rst, "The QEMU TPM emulator device"). Its state
//! lies in a folder of the machine's own. What the TPM of a saved or moved machine holds is part of the machine's state: the
//! VMM asks the emulator for it, so that each machine that goes on has an emulator of its own.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hospitium_host::{Ended, HostError};
use hospitium_model::{Answer, TpmVersion};

use crate::options::on_path;
use crate::process::{Confinement, Launch, Process, wait_ended};

/// The emulator's program.
const PROGRAM: &str = "swtpm";
/// Folder of its state, in the machine's own.
const FOLDER: &str = "tpm";
/// File of what it says on standard error.
const LOG: &str = "tpm.log";
/// How long after its VMM an emulator ends, or before.
const TOGETHER: Duration = Duration::from_secs(2);

/// Whether there is one on PATH.
pub(crate) fn offered() -> Answer {
    match on_path(Path::new(PROGRAM)) {
        Some(_) => Answer::Yes,
        None => Answer::No("swtpm is not installed (Debian: apt install swtpm)".into()),
    }
}

/// Starts an emulator with an empty TPM for the machine in `outside`. The descriptor is the VMM's end.
///
/// # Errors
/// [`HostError::Unsupported`] if there is none.
pub(crate) async fn start(
    version: TpmVersion,
    outside: &Path,
    confinement: Confinement,
) -> Result<(Process, OwnedFd), HostError> {
    let unsupported = |why| HostError::Unsupported { what: "a TPM".into(), why };
    let program = on_path(Path::new(PROGRAM));
    let program: PathBuf = match (program, offered()) {
        (Some(program), _) => program,
        (None, Answer::No(why)) => return Err(unsupported(why)),
        (None, Answer::Yes) => return Err(unsupported("swtpm has just gone".into())),
    };
    let folder = outside.join(FOLDER);
    let doing = format!("making {}", folder.display());
    std::fs::create_dir(&folder).map_err(HostError::io(&doing))?;
    if let Some(id) = confinement.user {
        let given = std::os::unix::fs::chown(&folder, Some(id), Some(id));
        given.map_err(HostError::io(&doing))?;
    }
    let sockets = std::os::unix::net::UnixStream::pair();
    let (ours, theirs) = sockets.map_err(HostError::io("making a socket pair"))?;
    let (vmm, emulator): (OwnedFd, OwnedFd) = (ours.into(), theirs.into());
    let control = format!("type=unixio,clientfd={}", emulator.as_raw_fd());
    let mut argv = vec![program.into_os_string()];
    // The state's folder is where it works, which it keeps when that is renamed.
    argv.extend(
        ["socket", "--ctrl", &control, "--tpmstate", "dir=.", "--terminate"].map(Into::into),
    );
    if version == TpmVersion::V2_0 {
        argv.push("--tpm2".into());
    }
    let launch = Launch {
        argv,
        environment: Vec::new(),
        folder,
        inherited: vec![emulator],
        confinement: Confinement { group: None, ..confinement },
    };
    Ok((launch.start(&outside.join(LOG)).await?, vmm))
}

/// Ends a machine whose emulator ends before it: its guest would see a TPM that fails.
pub(crate) fn watch(emulator: &Process, vmm: &Process) {
    let (emulator, machine) = (emulator.watch(), vmm.watch());
    let (prospect, kill) = (vmm.prospect().clone(), vmm.killer());
    tokio::spawn(async move {
        let how = wait_ended(emulator).await;
        let gone = tokio::time::timeout(TOGETHER, wait_ended(machine)).await;
        if gone.is_err() {
            prospect.add(Ended::Lost { why: format!("its TPM emulator ended: {how}") });
            kill();
        }
    });
}
