//! Disks and drives of a Linux guest.

use async_trait::async_trait;
use hospitium_model::GuestSource::{Device, Kernel};
use hospitium_model::{Inability, Pattern};
use hospitium_wire::{Node, errno};

use super::{LinuxSystem, read};
use crate::ask::{Disks, DriveContent, GuestDisk, Span, WantedDisk, Write};
use crate::{BlockInfo, Done, PatternDone, Range, SessionError, SystemError, Told};

const FOLDER: &str = "/sys/block";
/// Longest name of a block device that is believed.
const NAME_MAX: usize = 32;
/// A drive with no disc in it (asm-generic/errno.h).
const ENOMEDIUM: i32 = 123;
/// The device knows no such ioctl (asm-generic/errno-base.h).
const ENOTTY: i32 = 25;
/// Sends a SCSI command (include/scsi/scsi_ioctl.h).
const SCSI_IOCTL_SEND_COMMAND: u64 = 1;
/// Gives what an ATA disk says of itself (include/uapi/linux/hdreg.h).
const HDIO_GET_IDENTITY: u64 = 0x030D;

impl LinuxSystem {
    /// The serial number that the kernel shows for a block device.
    async fn serial_number(&self, name: &str) -> Done<Option<String>> {
        let guest = &self.session;
        let folder = format!("{FOLDER}/{name}");
        let text = async |file: String| {
            let bytes = read::bytes_if_there(guest, &file).await?;
            Done::Ok(bytes.as_deref().and_then(filled))
        };
        if name.starts_with("vd") {
            return text(format!("{folder}/serial")).await;
        }
        if name.starts_with("nvme") {
            return text(format!("{folder}/device/serial")).await;
        }
        // SCSI and ATA.
        let page = read::bytes_if_there(guest, &format!("{folder}/device/vpd_pg80")).await?;
        if let Some(number) = page.as_deref().and_then(unit_serial_number) {
            return Ok(Some(number));
        }
        // USB storage is never asked for that page; the number is its USB device's, which is above
        // the SCSI device, target, host and USB interface.
        if let Some(number) = text(format!("{folder}/device/../../../../serial")).await? {
            return Ok(Some(number));
        }
        self.asked_serial_number(name).await
    }

    /// The serial number that the disk itself gives when it is asked. Kernels before 3.15 have no file for it.
    async fn asked_serial_number(&self, name: &str) -> Done<Option<String>> {
        let disk = named(name, None);
        self.make_node(&disk).await?;
        // SPC-4, 6.6 and 7.8.15: INQUIRY for the page "unit serial number", behind the lengths of what
        // goes in (nothing) and comes out.
        let mut inquiry = [0; 8 + PAGE as usize];
        inquiry[4] = PAGE;
        inquiry[8..14].copy_from_slice(&[0x12, 1, 0x80, 0, PAGE, 0]);
        let page = self.ioctl(&disk, SCSI_IOCTL_SEND_COMMAND, &inquiry).await?;
        if let Some(number) = page.as_deref().and_then(|page| unit_serial_number(page.get(8..)?)) {
            return Ok(Some(number));
        }
        // ATA-8, IDENTIFY DEVICE, words 10 to 19; the kernel has put their bytes in order.
        let identity = self.ioctl(&disk, HDIO_GET_IDENTITY, &[0; 512]).await?;
        Ok(identity.as_deref().and_then(|all| filled(all.get(20..40)?)))
    }

    /// What an ioctl left in its buffer; none if it is refused.
    async fn ioctl(&self, disk: &GuestDisk, number: u64, buffer: &[u8]) -> Done<Option<Vec<u8>>> {
        match self.session.ioctl(&disk.path, number, buffer).await {
            Ok((0, buffer)) => Ok(Some(buffer)),
            Ok(_) | Err(SessionError::Guest { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Why blocks can't be given back here, if the refusal says that the guest's kernel doesn't know how to.
    async fn no_discard(
        &self,
        disk: &GuestDisk,
        refusal: &SessionError,
    ) -> Done<Option<Inability>> {
        let release = read::text(&self.session, "/proc/sys/kernel/osrelease").await?;
        let before = |major, minor, patch| release_before(&release, [major, minor, patch]);
        let why = match refusal.errno() {
            Some(ENOTTY) => "this kernel has no discard of blocks (Linux has it since 2.6.28)",
            // Of an ioctl that they don't know, SCSI disks said so.
            Some(errno::EINVAL) if before(2, 6, 28) => {
                "this kernel has no discard of blocks (Linux has it since 2.6.28)"
            }
            Some(errno::EOPNOTSUPP) if disk.name.starts_with("vd") && before(5, 0, 0) => {
                "this kernel's virtio-blk cannot give blocks back (Linux's can since 5.0)"
            }
            _ => return Ok(None),
        };
        Ok(Some(Inability::of_guest(why)))
    }

    /// Makes the device node if the guest has not made it by itself.
    async fn make_node(&self, disk: &GuestDisk) -> Done {
        match self.session.block_info(&disk.path).await {
            Err(refused) if refused.errno() == Some(errno::ENOENT) => {}
            // Whatever else is wrong with it shows when it is used.
            _ => return Ok(()),
        }
        let file = format!("{FOLDER}/{}/dev", disk.name);
        let text = read::text_if_there(&self.session, &file).await?.unwrap_or_default();
        let (major, minor) = text
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
            .ok_or_else(|| SystemError::unreadable(&file, &text))?;
        self.session.make_node(&disk.path, Node::Block, major, minor).await?;
        Ok(())
    }

    /// True if the guest opens the disk, whose node is made if need be. Linux lists a disk a moment before
    /// it can be opened: `device_add_disk` (block/genhd.c) makes the entry in sysfs first and the block
    /// device after, and answers ENXIO in between.
    async fn opens(&self, disk: &GuestDisk) -> Done<bool> {
        self.make_node(disk).await?;
        let opened = self.session.block_info(&disk.path).await;
        Ok(!opened.is_err_and(|refused| refused.errno() == Some(errno::ENXIO)))
    }

    async fn look(&self, wanted: &WantedDisk) -> Done<Option<GuestDisk>> {
        let mut nameless = Vec::new();
        let names = read::names(&self.session, FOLDER).await?;
        for name in names.into_iter().filter(|n| is_disk(n)) {
            match self.serial_number(&name).await? {
                Some(serial) if serial == wanted.serial => {
                    return Ok(Some(named(&name, Some(serial))));
                }
                Some(_) => {}
                None => {
                    let file = format!("{FOLDER}/{name}/size");
                    let sectors = read::text_if_there(&self.session, &file).await?;
                    if sectors.and_then(|s| s.parse().ok()) == Some(wanted.size / 512) {
                        nameless.push(named(&name, None));
                    }
                }
            }
        }
        Ok(if nameless.len() == 1 { nameless.pop() } else { None })
    }
}

#[async_trait]
impl Disks for LinuxSystem {
    async fn disk(&self, wanted: &WantedDisk) -> Told<Option<GuestDisk>> {
        let found = match self.look(wanted).await? {
            Some(found) if self.opens(&found).await? => Some(found),
            _ => None,
        };
        Ok(Kernel.saw(found))
    }

    async fn disks_besides(&self, known: &[GuestDisk]) -> Told<Vec<GuestDisk>> {
        let mut others = Vec::new();
        let names = read::names(&self.session, FOLDER).await?;
        let is_known = |name: &String| known.iter().any(|disk| disk.name == *name);
        for name in names.into_iter().filter(|n| is_disk(n) && !is_known(n)) {
            let disk = named(&name, None);
            if self.opens(&disk).await? {
                let serial = self.serial_number(&name).await?;
                others.push(GuestDisk { serial, ..disk });
            }
        }
        Ok(Kernel.saw(others))
    }

    async fn drive(&self, serial: &str) -> Told<Option<GuestDisk>> {
        let mut drives = Vec::new();
        let names = read::names(&self.session, FOLDER).await?;
        for name in names.into_iter().filter(|n| is_drive(n)) {
            let page = format!("{FOLDER}/{name}/device/vpd_pg83");
            let page = read::bytes_if_there(&self.session, &page).await?.unwrap_or_default();
            let page = String::from_utf8_lossy(&page).into_owned();
            drives.push((page.contains(serial), named(&name, None)));
        }
        let named = drives.iter().position(|(named, _)| *named);
        let Some(at) = named.or((drives.len() == 1).then_some(0)) else {
            return Ok(Kernel.saw(None));
        };
        let (_, found) = drives.swap_remove(at);
        self.make_node(&found).await?;
        Ok(Kernel.saw(Some(found)))
    }

    async fn lists(&self, disk: &GuestDisk) -> Told<bool> {
        let names = read::names(&self.session, FOLDER).await?;
        Ok(Kernel.saw(names.contains(&disk.name)))
    }

    async fn block(&self, disk: &GuestDisk) -> Told<BlockInfo> {
        Ok(Kernel.saw(self.session.block_info(&disk.path).await?))
    }

    async fn write(
        &self,
        disk: &GuestDisk,
        span: Span,
        pattern: Pattern,
        how: Write,
    ) -> Told<PatternDone> {
        let at = range(disk, span, how == Write::Unflushed);
        let done = self.session.pattern_write(at, pattern.seed(), how == Write::Flushed).await?;
        Ok(Device.saw(done))
    }

    async fn read_back(&self, disk: &GuestDisk, span: Span) -> Told<PatternDone> {
        Ok(Device.saw(self.session.pattern_read(range(disk, span, true)).await?))
    }

    async fn discard(&self, disk: &GuestDisk, span: Span) -> Done {
        match self.session.block_discard(&disk.path, span.offset, span.length).await {
            Ok(()) => Ok(()),
            Err(refusal) => match self.no_discard(disk, &refusal).await? {
                Some(inability) => Err(inability.into()),
                None => Err(refusal.into()),
            },
        }
    }

    async fn content(&self, drive: &GuestDisk, length: u64) -> Told<DriveContent> {
        let all = range(drive, Span { offset: 0, length }, true);
        match self.session.pattern_read(all).await {
            Ok(done) => Ok(Device.saw(DriveContent::Disc(done.digest))),
            Err(refused) if refused.errno() == Some(ENOMEDIUM) => {
                Ok(Device.saw(DriveContent::Empty))
            }
            Err(other) => Err(other.into()),
        }
    }
}

fn range(disk: &GuestDisk, span: Span, direct: bool) -> Range<'_> {
    Range { path: &disk.path, offset: span.offset, length: span.length, direct }
}

/// Bytes of the page with a serial number that are asked for: its header and more than any number has.
const PAGE: u8 = 96;

/// The number in the page "unit serial number" (SPC-4, 7.8.15), behind four bytes that say how long it is.
fn unit_serial_number(page: &[u8]) -> Option<String> {
    let length = usize::from(*page.get(3)?);
    let number = page.get(4..)?;
    (page[1] == 0x80).then(|| filled(&number[..length.min(number.len())]))?
}

/// Text with something in it besides white space and zeros.
fn filled(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether a kernel's release (`2.6.18-194.el5`) is before another.
fn release_before(release: &str, than: [u32; 3]) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    let own: [u32; 3] = std::array::from_fn(|_| numbers.next().unwrap_or(0));
    own < than
}

fn named(name: &str, serial: Option<String>) -> GuestDisk {
    GuestDisk { name: name.to_owned(), path: format!("/dev/{name}"), serial }
}

/// True for the name of a real block device.
fn is_disk(name: &str) -> bool {
    let known = ["vd", "sd", "hd", "nvme", "xvd"].iter().any(|prefix| name.starts_with(prefix));
    known && name.len() <= NAME_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_drive(name: &str) -> bool {
    name.len() <= 8
        && name
            .strip_prefix("sr")
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()) && !n.is_empty())
}

#[cfg(test)]
mod tests {
    use hospitium_model::{Bus, GuestKind};
    use hospitium_wire::{Domain, LinuxRequest, Reply, Request, errno};

    use super::*;
    use crate::linux::stand_in::{Folders, system};

    #[test]
    fn only_names_of_real_disks_are_followed() {
        for good in ["vda", "sdaa", "nvme0n1"] {
            assert!(is_disk(good), "{good}");
        }
        for bad in ["loop0", "sr0", "vd/../..", "sda\n", "zram0", "", &"v".repeat(64)] {
            assert!(!is_disk(bad), "{bad:?}");
        }
        assert!(is_drive("sr0") && !is_drive("sr") && !is_drive("sra"));
    }

    #[test]
    fn a_serial_number_is_read_from_its_page_and_nothing_else_is_taken_for_one() {
        assert_eq!(unit_serial_number(b"\0\x80\0\x06HOSP-1junk").as_deref(), Some("HOSP-1"));
        assert_eq!(unit_serial_number(b"\0\x80\0\xffX").as_deref(), Some("X"));
        for bad in [&b""[..], b"\0\x80\0", b"\0\x80\0\0X", b"\0\x83\0\x02XY", b"\0\x80\0\x04    "] {
            assert_eq!(unit_serial_number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn releases_are_ordered_by_their_numbers() {
        assert!(release_before("2.6.18-194.el5", [2, 6, 28]));
        assert!(!release_before("2.6.32", [2, 6, 28]));
        assert!(release_before("4.19.0-5-amd64", [5, 0, 0]));
        assert!(!release_before("6.1", [5, 0, 0]));
        assert!(release_before("?", [2, 6, 28]));
    }

    /// A kernel as old as 2.6.18, which has neither files for serial numbers of disks nor a discard.
    async fn old(request: impl AsyncFn(LinuxSystem)) {
        let folders: Folders = &[
            ("/sys/block", &["sda", "hda", "vda", "ram0"]),
            ("/sys/block/vda", &["size=131072"]),
            ("/proc/sys/kernel", &["osrelease=2.6.18-194.el5"]),
        ];
        request(system(GuestKind::Kernel, folders, |asked| {
            Some(match *asked {
                Request::BlockInfo { .. } => {
                    Reply::Block { size: 67_108_864, logical: 512, physical: 0, read_only: false }
                }
                Request::Linux(LinuxRequest::Ioctl {
                    path: "/dev/sda",
                    request: SCSI_IOCTL_SEND_COMMAND,
                    ..
                }) => {
                    let argument = b"\0\0\0\0\x60\0\0\0\0\x80\0\x08HOSP-SCSI";
                    Reply::Ioctl { result: 0, argument }
                }
                Request::Linux(LinuxRequest::Ioctl {
                    path: "/dev/hda",
                    request: HDIO_GET_IDENTITY,
                    ..
                }) => {
                    let argument = b"01234567890123456789HOSP-IDE            more";
                    Reply::Ioctl { result: 0, argument }
                }
                Request::Linux(LinuxRequest::Ioctl { .. }) => {
                    Reply::Failed { domain: Domain::Errno, code: ENOTTY, call: "ioctl" }
                }
                Request::BlockDiscard { path: "/dev/sda", .. } => {
                    Reply::Failed { domain: Domain::Errno, code: errno::EINVAL, call: "ioctl" }
                }
                Request::BlockDiscard { .. } => {
                    Reply::Failed { domain: Domain::Errno, code: ENOTTY, call: "ioctl" }
                }
                _ => return None,
            })
        }))
        .await;
    }

    #[tokio::test]
    async fn an_old_kernel_tells_serial_numbers_when_the_disks_are_asked() {
        old(async |system| {
            let wanted =
                |serial: &str, bus| WantedDisk { serial: serial.into(), size: 67_108_864, bus };
            for (serial, bus, name) in [
                ("HOSP-SCS", Bus::Sata, "sda"),
                ("HOSP-IDE", Bus::Ide, "hda"),
                ("HOSP-VIRTIO", Bus::Virtio, "vda"),
            ] {
                let found = system.disk(&wanted(serial, bus)).await.expect("answers").value;
                assert_eq!(found.expect("is there").name, name);
            }
            let known = [named("sda", None), named("vda", None)];
            let new = system.disks_besides(&known).await.expect("answers").value;
            assert_eq!(new, [named("hda", Some("HOSP-IDE".into()))]);
        })
        .await;
    }

    #[tokio::test]
    async fn an_old_kernel_without_discard_is_unable_and_no_failure() {
        old(async |system| {
            for name in ["sda", "vda"] {
                let span = Span { offset: 0, length: 4096 };
                let refused = system.discard(&named(name, None), span).await.expect_err("unknown");
                assert!(matches!(&refused, SystemError::Unable(_)), "{refused}");
            }
        })
        .await;
    }
}
