//! Devices of a Linux guest, their drivers and their interrupts.

use async_trait::async_trait;
use hospitium_model::GuestSource::Kernel;
use hospitium_wire::Flags;

use super::{LinuxSystem, read};
use crate::ask::{Devices, Interrupts, PciFunction, UsbDevice};
use crate::{Done, DriverLoad, SystemError, Told};

const PCI: &str = "/sys/bus/pci/devices";
const USB: &str = "/sys/bus/usb/devices";
const INTERRUPTS: &str = "/proc/interrupts";

impl LinuxSystem {
    async fn pci_function(&self, address: String, interrupts: &str) -> Done<PciFunction> {
        let guest = &self.session;
        let at = format!("{PCI}/{address}");
        let number = async |file: &str| read::number(guest, &format!("{at}/{file}")).await;
        let id = |n: i64| u16::try_from(n & 0xFFFF).unwrap_or_default();
        let bound = read::link_name(guest, &format!("{at}/driver")).await?;
        let driver = match &bound {
            // A transport: what makes use of the device is bound to the virtio device behind it.
            Some(transport) if transport == "virtio-pci" => self.behind(&at).await?,
            other => other.clone(),
        };
        let version = match &driver {
            Some(driver) => {
                let file = format!("/sys/module/{}/version", driver.replace('-', "_"));
                read::text_if_there(guest, &file).await?
            }
            None => None,
        };
        // Kernels before 3.2 show the messages only where they count them.
        let by_message = !read::names(guest, &format!("{at}/msi_irqs")).await?.is_empty()
            || match read::text_if_there(guest, &format!("{at}/irq")).await? {
                Some(number) => is_message(interrupts, &number),
                None => false,
            };
        Ok(PciFunction {
            vendor: id(number("vendor").await?),
            device: id(number("device").await?),
            class: id(number("class").await? >> 8),
            by_message,
            address,
            bound,
            driver,
            version,
        })
    }

    /// The driver of the virtio device behind a function.
    async fn behind(&self, at: &str) -> Done<Option<String>> {
        let numbered = |name: &&String| {
            name.strip_prefix("virtio")
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        let names = read::names(&self.session, at).await?;
        match names.iter().find(numbered) {
            Some(name) => read::link_name(&self.session, &format!("{at}/{name}/driver")).await,
            None => Ok(None),
        }
    }

    /// The numbers of a network interface's interrupts: its device's message-signalled ones, else its line.
    async fn interrupt_numbers(&self, interface: &str) -> Done<Vec<u32>> {
        // Behind a virtio device is the PCI function that interrupts.
        let device = format!("/sys/class/net/{interface}/device");
        for at in [format!("{device}/msi_irqs"), format!("{device}/../msi_irqs")] {
            let names = read::names(&self.session, &at).await?;
            let numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
            if !numbers.is_empty() {
                return Ok(numbers);
            }
        }
        for at in [format!("{device}/irq"), format!("{device}/../irq")] {
            if let Some(text) = read::text_if_there(&self.session, &at).await? {
                let number = text.parse().map_err(|_| SystemError::unreadable(at, &text));
                return Ok(vec![number?]);
            }
        }
        Ok(Vec::new())
    }
}

#[async_trait]
impl Devices for LinuxSystem {
    async fn pci(&self) -> Told<Vec<PciFunction>> {
        let interrupts = read::text(&self.session, INTERRUPTS).await?;
        let mut all = Vec::new();
        for address in read::names(&self.session, PCI).await? {
            all.push(self.pci_function(address, &interrupts).await?);
        }
        Ok(Kernel.saw(all))
    }

    async fn usb(&self) -> Told<Vec<UsbDevice>> {
        let mut devices = Vec::new();
        let names = read::names(&self.session, USB).await?;
        for place in &names {
            if place.contains(':') || place.starts_with("usb") {
                continue;
            }
            // One that goes while it is looked at has none.
            let serial =
                read::text_if_there(&self.session, &format!("{USB}/{place}/serial")).await?;
            // Linux probes interfaces and reads a serial number under the same lock
            // (drivers/usb/core/message.c, usb_set_configuration; sysfs.c, usb_string_attr).
            let interfaces = format!("{place}:");
            let taken = names.iter().any(|name| name.starts_with(&interfaces));
            devices.push(UsbDevice {
                place: place.clone(),
                serial: serial.unwrap_or_default(),
                taken,
            });
        }
        Ok(Kernel.saw(devices))
    }

    async fn load_driver(&self, device: &str) -> Done<DriverLoad> {
        Ok(self.session.load_driver(device).await?)
    }

    async fn require_driver(&self, device: &str) -> Done {
        self.has_driver(device).await
    }

    async fn interrupts(&self, of: &Interrupts) -> Told<Vec<u64>> {
        let table = read::text(&self.session, INTERRUPTS).await?;
        let counted = match of {
            Interrupts::Timer => count(&table, |label| label == "LOC"),
            Interrupts::NonMaskable => count(&table, |label| label == "NMI"),
            Interrupts::Interface(name) => {
                let numbers = self.interrupt_numbers(name).await?;
                count(&table, |label| label.parse().is_ok_and(|number| numbers.contains(&number)))
            }
        };
        Ok(Kernel.saw(counted))
    }

    async fn steer(&self, which: &Interrupts, cpu: u32) -> Done {
        let Interrupts::Interface(name) = which else {
            return Err(SystemError::unreadable("an interrupt to steer", "not a device's"));
        };
        for number in self.interrupt_numbers(name).await? {
            let file = format!("/proc/irq/{number}/smp_affinity");
            self.session.write_file(&file, mask_of(cpu).as_bytes(), Flags::default()).await?;
        }
        Ok(())
    }
}

/// The mask of one processor as the kernel reads masks: 32 bits each, the highest first (lib/bitmap-str.c).
fn mask_of(cpu: u32) -> String {
    let words = ",00000000".repeat(cpu as usize / 32);
    format!("{:08x}{words}", 1_u32 << (cpu % 32))
}

/// Whether the line of an interrupt's number says that it comes by message.
fn is_message(table: &str, number: &str) -> bool {
    let line = table.lines().find_map(|line| {
        let (label, rest) = line.split_once(':')?;
        (label.trim() == number).then_some(rest)
    });
    line.is_some_and(|rest| rest.contains("MSI"))
}

/// Sums, per processor, of the lines of `/proc/interrupts` whose label is wanted.
fn count(table: &str, wanted: impl Fn(&str) -> bool) -> Vec<u64> {
    let cpus = table.lines().next().unwrap_or_default().split_whitespace().count();
    let mut sums = vec![0_u64; cpus];
    for line in table.lines().skip(1) {
        let mut words = line.split_whitespace();
        let label = words.next().unwrap_or_default();
        if !label.strip_suffix(':').is_some_and(&wanted) {
            continue;
        }
        let counts = words.map_while(|word| word.parse::<u64>().ok());
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum = sum.saturating_add(count);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_processors_have_32_bits_a_word() {
        assert_eq!(mask_of(1), "00000002");
        assert_eq!(mask_of(33), "00000002,00000000");
    }

    #[test]
    fn the_interrupts_of_an_old_kernel_tell_messages_from_lines() {
        let table =
            " 10:          3          4   IO-APIC-level  eth0\n 50: 5 6 PCI-MSI-X  virtio0-input\n";
        assert!(is_message(table, "50") && !is_message(table, "10") && !is_message(table, "0"));
    }

    #[test]
    fn interrupts_are_summed_by_label_and_processor() {
        let table = "           CPU0       CPU1\n  1:          3          4   IO-APIC   1-edge\n 24:  5 6 PCI-MSI 24\n 25: 7 8 PCI-MSI\nLOC:  10 20 Local timer interrupts\n";
        assert_eq!(count(table, |l| l == "LOC"), [10, 20]);
        assert_eq!(count(table, |l| l == "24" || l == "25"), [12, 14]);
        assert_eq!(count(table, |l| l == "NMI"), [0, 0]);
        assert_eq!(count("", |_| true), Vec::<u64>::new());
    }
}
