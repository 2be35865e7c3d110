//! osinfo-db: systems, platforms, devices and deployments from its XML files.
//!
//! The form is that of `schema/osinfo.rng` in osinfo-db. Files of one entity add up, as those of
//! `os/microsoft.com/win-10.d/` do. What a newer schema adds is passed over.

use std::path::Path;
use std::sync::Arc;

use hospitium_model::{ByteSize, Firmware};
use jiff::civil::Date;

use crate::error::printable;
use crate::{
    Arch, Deployment, Device, DeviceId, DeviceStatement, Fact, FactValue, FirmwareStatement,
    FormError, Link, LinkKind, Product, ProductId, ProductKind, ProductsError, Property, Source,
    SourceKind, Version, file,
};
use hospitium_xml::{self as xml, Element};

/// Largest file that is read; osinfo-db's largest has about 100 KiB.
const LARGEST: u64 = 4 << 20;
/// Longest text of a fact, in characters.
const LONGEST: usize = 300;

/// What one file, or all of them, say.
#[derive(Debug, Clone, Default)]
pub struct Osinfo {
    /// Systems and platforms, one entry for each time that a file speaks of one.
    pub products: Vec<Product>,
    /// Devices, the same.
    pub devices: Vec<Device>,
    /// Deployments.
    pub deployments: Vec<Deployment>,
}

impl Osinfo {
    /// Reads a whole collection: a folder with `os`, `platform`, `device` in it.
    pub fn read(folder: &Path) -> Result<Self, ProductsError> {
        let document = document(folder);
        let mut all = Self::default();
        let mut files = 0;
        for part in ["os", "platform", "device", "deployment"] {
            let part = folder.join(part);
            if !part.is_dir() {
                continue;
            }
            for path in file::below(&part, &["xml"])? {
                let text = file::text(&path, LARGEST)?;
                all.add(&file::within(folder, &path), &text, &document)?;
                files += 1;
            }
        }
        if files == 0 {
            return Err(ProductsError::Nothing {
                path: folder.to_owned(),
                what: "osinfo-db files (os/*/*.xml)",
                next: "install Debian's osinfo-db, or name its folder with --osinfo",
            });
        }
        Ok(all)
    }

    /// Adds what one file says. `document` is how its collection is called in sources.
    pub fn add(&mut self, file: &str, text: &str, document: &Arc<str>) -> Result<(), FormError> {
        let root = xml::read(file, text, wanted)?;
        if root.name != "libosinfo" {
            let what = format!("the root is <{}>, not <libosinfo>", root.name);
            return Err(FormError::at(file, text, root.line as usize, 0, what));
        }
        let reading = Reading { file: file.into(), text, document };
        for element in &root.children {
            match element.name.as_str() {
                "os" => self.products.push(reading.product(element, ProductKind::Guest)?),
                "platform" => self.products.push(reading.product(element, ProductKind::Host)?),
                "device" => self.devices.push(reading.device(element)?),
                "deployment" => self.deployments.push(reading.deployment(element)?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// `osinfo-db 20221203`, by its VERSION file.
fn document(folder: &Path) -> Arc<str> {
    let version = file::text(&folder.join("VERSION"), 64).unwrap_or_default();
    match version.trim() {
        "" => "osinfo-db".into(),
        version => format!("osinfo-db {}", printable(version, 40)).into(),
    }
}

/// Translations and what is for installing are of no use here and are most of the text.
fn wanted(name: &str, element: &Element) -> bool {
    !matches!(name, "media" | "tree" | "image" | "installer" | "datamap" | "install-script")
        && element.attribute("xml:lang").is_none()
}

struct Reading<'a> {
    file: Arc<str>,
    text: &'a str,
    document: &'a Arc<str>,
}

impl Reading<'_> {
    fn wrong(&self, element: &Element, what: impl Into<String>) -> FormError {
        FormError::at(&self.file, self.text, element.line as usize, 0, what)
    }

    fn source(&self, element: &Element) -> Source {
        Source {
            kind: SourceKind::Osinfo,
            document: self.document.clone(),
            file: self.file.clone(),
            line: element.line,
        }
    }

    fn id<T: std::str::FromStr<Err = crate::IdError>>(
        &self,
        element: &Element,
    ) -> Result<T, FormError> {
        let id = element
            .attribute("id")
            .ok_or_else(|| self.wrong(element, format!("<{}> has no id", element.name)))?;
        id.parse().map_err(|error: crate::IdError| self.wrong(element, error.to_string()))
    }

    fn flag(&self, element: &Element, name: &str, otherwise: bool) -> Result<bool, FormError> {
        match element.attribute(name) {
            None => Ok(otherwise),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => {
                let what = format!("{name}={:?} is neither true nor false", printable(other, 40));
                Err(self.wrong(element, what))
            }
        }
    }

    fn arch(&self, element: &Element) -> Option<Arch> {
        element.attribute("arch").filter(|arch| *arch != "all").map(Arch::new)
    }

    fn product(&self, element: &Element, kind: ProductKind) -> Result<Product, FormError> {
        let id: ProductId = self.id(element)?;
        let text = |name| {
            element.first(name).map_or_else(String::new, |found| printable(&found.text, LONGEST))
        };
        let (name, version) = (text("name"), text("version"));
        let line = match kind {
            ProductKind::Guest => text("distro"),
            // http://qemu.org/qemu/2.3.0 is of the line `qemu`.
            ProductKind::Host => {
                id.as_str().rsplit('/').nth(1).map_or_else(String::new, str::to_owned)
            }
        };
        let mut product = Product::new(id, kind, name, line, Version::new(&version));
        product.family = text("family");
        for child in &element.children {
            self.take(child, &mut product)?;
        }
        Ok(product)
    }

    fn take(&self, child: &Element, product: &mut Product) -> Result<(), FormError> {
        let textual = |property| {
            let value = FactValue::Text(printable(&child.text, LONGEST));
            Fact { property, value, arch: None, source: self.source(child), note: None }
        };
        match child.name.as_str() {
            "short-id" => product.short_ids.push(printable(&child.text, 60)),
            "name" => product.facts.push(textual(Property::Name)),
            "version" => product.facts.push(textual(Property::Version)),
            "vendor" => product.facts.push(textual(Property::Vendor)),
            "codename" => product.facts.push(textual(Property::Codename)),
            "release-status" => product.facts.push(textual(Property::ReleaseStatus)),
            "release-date" => product.facts.push(self.date(child, Property::ReleaseDate)?),
            "eol-date" => product.facts.push(self.date(child, Property::EndOfLife)?),
            "variant" => {
                let name = child.first("name").map_or("", |name| &name.text);
                let name = if name.is_empty() { child.attribute("id").unwrap_or("") } else { name };
                let value = FactValue::Text(printable(name, LONGEST));
                product.facts.push(Fact { value, ..textual(Property::Variant) });
            }
            "upgrades" => self.link(child, LinkKind::Upgrades, product)?,
            "derives-from" => self.link(child, LinkKind::DerivesFrom, product)?,
            "clones" => self.link(child, LinkKind::Clones, product)?,
            "devices" => product.devices.extend(self.devices(child, false, None)?),
            "driver" => {
                let arch = self.arch(child);
                for devices in child.all("devices") {
                    product.devices.extend(self.devices(devices, true, arch.as_ref())?);
                }
            }
            "drivers" => {
                for driver in child.all("driver") {
                    self.take(driver, product)?;
                }
            }
            "firmware" => {
                let firmware = match child.attribute("type") {
                    Some("efi") => Firmware::Uefi,
                    Some("bios") => Firmware::Bios,
                    // A firmware of other architectures is nothing to a PC.
                    _ => return Ok(()),
                };
                product.firmware.push(FirmwareStatement {
                    firmware,
                    supported: self.flag(child, "supported", true)?,
                    arch: self.arch(child),
                    source: self.source(child),
                });
            }
            "resources" => self.resources(child, product)?,
            _ => {}
        }
        Ok(())
    }

    fn link(
        &self,
        child: &Element,
        kind: LinkKind,
        product: &mut Product,
    ) -> Result<(), FormError> {
        let link = Link { kind, to: self.id(child)?, source: self.source(child) };
        product.links.push(link);
        Ok(())
    }

    fn date(&self, child: &Element, property: Property) -> Result<Fact, FormError> {
        let date: Date = child.text.parse().map_err(|_| {
            let text = printable(&child.text, 40);
            self.wrong(child, format!("{text:?} is not a day; write 2009-01-20"))
        })?;
        let value = FactValue::Date(date);
        Ok(Fact { property, value, arch: None, source: self.source(child), note: None })
    }

    fn devices(
        &self,
        element: &Element,
        with_drivers: bool,
        arch: Option<&Arch>,
    ) -> Result<Vec<DeviceStatement>, FormError> {
        element
            .all("device")
            .map(|child| {
                Ok(DeviceStatement {
                    device: self.id(child)?,
                    supported: self.flag(child, "supported", true)?,
                    with_drivers,
                    arch: arch.cloned(),
                    source: self.source(child),
                })
            })
            .collect()
    }

    fn resources(&self, element: &Element, product: &mut Product) -> Result<(), FormError> {
        let arch = self.arch(element);
        if let Some(arch) = &arch
            && !product.archs.contains(arch)
        {
            product.archs.push(arch.clone());
        }
        if self.flag(element, "inherit", false)? {
            product.inherits_limits = true;
        }
        for level in &element.children {
            for child in &level.children {
                let Some(property) = limit(&level.name, &child.name) else { continue };
                let count: u64 = child.text.parse().map_err(|_| {
                    let text = printable(&child.text, 40);
                    self.wrong(child, format!("{text:?} is not a whole number"))
                })?;
                let value = match child.name.as_str() {
                    // -1 in osinfo means "not known"; it does not parse and is told above.
                    "ram" | "storage" => FactValue::Size(ByteSize::bytes(count)),
                    _ => FactValue::Count(count),
                };
                let source = self.source(child);
                let arch = arch.clone();
                product.facts.push(Fact { property, value, arch, source, note: None });
            }
        }
        Ok(())
    }

    fn device(&self, element: &Element) -> Result<Device, FormError> {
        let text = |name| {
            element.first(name).map_or_else(String::new, |found| printable(&found.text, LONGEST))
        };
        let id: DeviceId = self.id(element)?;
        let bus = text("bus-type");
        // http://pcisig.com/pci/8086/100e tells its bus.
        let bus = if bus.is_empty() {
            id.as_str().split('/').nth(3).unwrap_or_default().to_owned()
        } else {
            bus
        };
        Ok(Device {
            name: text("name"),
            class: text("class"),
            vendor: text("vendor"),
            product: text("product"),
            source: self.source(element),
            id,
            bus,
        })
    }

    fn deployment(&self, element: &Element) -> Result<Deployment, FormError> {
        let side = |name: &str| {
            let child = element
                .first(name)
                .ok_or_else(|| self.wrong(element, format!("the deployment has no <{name}>")))?;
            self.id::<ProductId>(child)
        };
        let mut devices = Vec::new();
        for child in element.all("devices").flat_map(|devices| devices.all("device")) {
            let driver = child.first("driver").map(|driver| printable(&driver.text, LONGEST));
            devices.push((self.id(child)?, driver));
        }
        Ok(Deployment {
            id: printable(element.attribute("id").unwrap_or(""), LONGEST),
            guest: side("os")?,
            host: side("platform")?,
            devices,
            source: self.source(element),
        })
    }
}

fn limit(level: &str, what: &str) -> Option<Property> {
    Some(match (level, what) {
        ("minimum", "ram") => Property::MinimumMemory,
        ("recommended", "ram") => Property::RecommendedMemory,
        ("maximum", "ram") => Property::MaximumMemory,
        ("minimum", "n-cpus") => Property::MinimumCpus,
        ("recommended", "n-cpus") => Property::RecommendedCpus,
        ("maximum", "n-cpus") => Property::MaximumCpus,
        ("minimum", "cpu") => Property::MinimumClock,
        ("recommended", "cpu") => Property::RecommendedClock,
        ("maximum", "cpu") => Property::MaximumClock,
        ("minimum", "storage") => Property::MinimumStorage,
        ("recommended", "storage") => Property::RecommendedStorage,
        ("maximum", "storage") => Property::MaximumStorage,
        _ => return None,
    })
}
