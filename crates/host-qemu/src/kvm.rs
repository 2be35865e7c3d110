//! Which accelerator is used, and how that is known: KVM counts only after it has booted something.
//!
//! There are machines whose /dev/kvm opens and creates a VM, and on which no 64-bit kernel gets
//! anywhere.

use std::path::Path;
use std::time::Duration;

use hospitium_model::{Accelerator, AcceleratorProof, Boot, ByteSize, Digest, MachineSpec};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use crate::introspect::write_kept;
use crate::options::AcceleratorChoice;
use crate::process::Confinement;
use crate::{Inner, QemuOptions};
use hospitium_host::local::{self, digest_of};
use hospitium_host::{HostError, Machine as _, PowerVerb, WorkDir};
use hospitium_model::escaped;

/// With working KVM a kernel gets to its missing root file system in about a second.
const PATIENCE: Duration = Duration::from_secs(15);
/// A kernel's messages up to there are below 100 KiB.
const MOST_CONSOLE: usize = 1 << 20;

/// What was found out, kept for as long as the physical machine is up.
#[derive(Serialize, Deserialize)]
struct Kept {
    boot: String,
    vmm: Digest,
    kernel: Digest,
    /// Why KVM can't be used; none if it booted.
    failure: Option<String>,
}

/// The group that may use KVM, for a VMM without privileges.
pub(crate) fn group() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata("/dev/kvm").ok()?;
    (meta.mode() & 0o060 == 0o060 && meta.gid() != 0).then_some(meta.gid())
}

/// Finds out which accelerator to use. `with` makes the driver for a trial with KVM.
pub(crate) async fn prove(
    options: &QemuOptions,
    vmm: Digest,
    confinement: Confinement,
    with: impl AsyncFn() -> Result<Inner, HostError>,
) -> Result<AcceleratorProof, HostError> {
    let tcg = |how: String| Ok(AcceleratorProof { used: Accelerator::Tcg, how });
    if options.accelerator == AcceleratorChoice::Tcg {
        return tcg("TCG was asked for".into());
    }
    let failure = match usable(confinement) {
        Err(why) => Some(why),
        Ok(()) => match &options.proving_kernel {
            None => Some("there is no kernel to prove it with".into()),
            Some(kernel) => tried(options.cache.as_deref(), vmm, kernel, with).await?,
        },
    };
    match failure {
        None => {
            let how = "KVM: it booted a 64-bit Linux kernel to its missing root file system".into();
            Ok(AcceleratorProof { used: Accelerator::Kvm, how })
        }
        Some(why) if options.accelerator == AcceleratorChoice::Kvm => {
            Err(HostError::Unsupported { what: "KVM".into(), why })
        }
        Some(why) => tcg(format!("KVM: {why}; TCG is used")),
    }
}

/// Can the VMM's user open /dev/kvm?
fn usable(confinement: Confinement) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata("/dev/kvm").map_err(|_| "/dev/kvm is not there".to_owned())?;
    let opened = std::fs::File::options().read(true).write(true).open("/dev/kvm");
    opened.map_err(|e| format!("/dev/kvm cannot be opened ({e})"))?;
    match confinement.user {
        Some(user) if meta.mode() & 0o006 != 0o006 && confinement.group.is_none() => Err(format!(
            "/dev/kvm is closed to the unprivileged user {user} (make it group kvm, mode 660)"
        )),
        _ => Ok(()),
    }
}

async fn tried(
    cache: Option<&Path>,
    vmm: Digest,
    kernel: &Path,
    with: impl AsyncFn() -> Result<Inner, HostError>,
) -> Result<Option<String>, HostError> {
    let digest = digest_of(kernel)?;
    let boot = local::boot_id();
    let path =
        cache.map(|folder| folder.join(format!("kvm-{}-{}.json", vmm.short(), digest.short())));
    let kept = path.as_deref().and_then(|path| std::fs::read(path).ok());
    let kept = kept.and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
    if let Some(kept) =
        kept.filter(|kept| kept.boot == boot && kept.vmm == vmm && kept.kernel == digest)
    {
        return Ok(kept.failure);
    }
    let failure = boots(std::sync::Arc::new(with().await?), kernel).await?.err();
    if let Some(path) = path {
        // Without the cache it is tried again next time.
        let _ = write_kept(&path, &Kept { boot, vmm, kernel: digest, failure: failure.clone() });
    }
    Ok(failure)
}

/// Boots the kernel, without anything to mount: its panic over that is the proof.
async fn boots(
    host: std::sync::Arc<Inner>,
    kernel: &Path,
) -> Result<Result<(), String>, HostError> {
    let folder = tempfile::tempdir().map_err(HostError::io("making a temporary folder"))?;
    let dir = WorkDir { name: "kvm-proof".into(), folder: folder.path().to_owned() };
    let mut spec = MachineSpec::new(
        ByteSize::mib(256),
        Boot::Kernel {
            kernel: kernel.to_owned(),
            initrd: None,
            command_line: "console=ttyS0 panic=0 root=/dev/none".into(),
        },
    );
    spec.panic_notifier = false;
    let machine =
        match host.build(&spec, &dir, crate::build::Origin::fresh(&spec, Vec::new())).await {
            Ok(machine) => machine,
            Err(HostError::Ended { ended, .. }) => return Ok(Err(ended.to_string())),
            Err(other) => return Err(other),
        };
    let mut console = machine.serial("console").await?;
    let mut seen = String::new();
    let watch = async {
        machine.power(PowerVerb::On).await?;
        let mut buffer = [0; 4096];
        while seen.len() < MOST_CONSOLE {
            match console.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(n) => seen.push_str(&String::from_utf8_lossy(&buffer[..n])),
            }
            if seen.contains("Linux version") && seen.contains("Kernel panic - not syncing: VFS") {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let outcome = tokio::time::timeout(PATIENCE, watch).await;
    let verdict = match outcome {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false) | Err(HostError::Ended { .. })) => {
            let ended = machine.process.ended().await;
            Err(format!("it ended while a kernel booted ({ended})"))
        }
        Ok(Err(error)) => return Err(error),
        Err(_) => {
            let last = seen.lines().rfind(|line| !line.trim().is_empty());
            let last = last.map_or("nothing".into(), |line| format!("{:?}", escaped(line, 80)));
            Err(format!(
                "a 64-bit kernel got nowhere in {PATIENCE:?}; the last that it said was {last}"
            ))
        }
    };
    machine.power(PowerVerb::Off).await?;
    Ok(verdict)
}
