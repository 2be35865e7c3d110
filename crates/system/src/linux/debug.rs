//! What a Linux kernel tells a debugger.

use async_trait::async_trait;
use hospitium_model::GuestSource::Kernel;
use hospitium_model::Inability;

use super::{LinuxSystem, read};
use crate::ask::{Debug, PhysicalRange};
use crate::{SystemError, Told};

/// Address and length, hexadecimal (Linux kernel/ksysfs.c, `vmcoreinfo_show`); since 2.6.24.
const NOTES: &str = "/sys/kernel/vmcoreinfo";

#[async_trait]
impl Debug for LinuxSystem {
    async fn kernel_release(&self) -> Told<String> {
        Ok(Kernel.saw(read::text(&self.session, "/proc/sys/kernel/osrelease").await?))
    }

    async fn kernel_notes(&self) -> Told<PhysicalRange> {
        let Some(text) = read::text_if_there(&self.session, NOTES).await? else {
            let why = "this kernel keeps no notes for a debugger (Linux does since 2.6.24, where it has kexec)";
            return Err(Inability::of_guest(why).into());
        };
        let range = range(&text).ok_or_else(|| SystemError::unreadable(NOTES, &text))?;
        Ok(Kernel.saw(range))
    }
}

fn range(text: &str) -> Option<PhysicalRange> {
    let (address, length) = text.split_once(' ')?;
    let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok();
    Some(PhysicalRange { address: hex(address)?, length: hex(length)? })
}

#[cfg(test)]
mod tests {
    use super::{PhysicalRange, range};

    #[test]
    fn the_place_of_the_notes_is_read_in_the_forms_of_old_and_new_kernels() {
        let at = |address, length| Some(PhysicalRange { address, length });
        assert_eq!(range("0x000000000ffc4000 1024"), at(0x0FFC_4000, 0x1024));
        assert_eq!(range("1b7a000 1000"), at(0x01B7_A000, 0x1000));
        for bad in ["", "0x1", "x 1", "10000000000000000 1"] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}
