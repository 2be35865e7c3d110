//! All products, devices and deployments that the sources speak of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hospitium_model::Firmware;

use crate::definition::{Implied, Line};
use crate::search::Index;
use crate::{
    Arch, Deployment, Device, DeviceId, DeviceSupport, FirmwareStatement, LinkKind, Product,
    ProductId, ProductKind, Source, Version,
};

/// Where the facts come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Folder of osinfo-db; without it nothing of osinfo-db is known.
    pub osinfo: Option<PathBuf>,
    /// Folder, or `file://`, `http://`, `https://` address, of endoflife.date's products.
    pub endoflife: Option<String>,
    /// Folder of more definitions (`*.toml`) beside those that are built in.
    pub definitions: Option<PathBuf>,
    /// A file in that folder that is passed over: what one is about to write must not be taken for
    /// what was known.
    pub left_out: Option<PathBuf>,
}

impl Sources {
    /// Debian's osinfo-db, or the folder that `OSINFO_SYSTEM_DIR` names, if it is there; built-in
    /// definitions; no endoflife.date.
    pub fn of_this_system() -> Self {
        let folder = std::env::var_os("OSINFO_SYSTEM_DIR")
            .filter(|folder| !folder.is_empty())
            .map_or_else(|| PathBuf::from("/usr/share/osinfo"), PathBuf::from);
        Self { osinfo: folder.is_dir().then_some(folder), ..Self::default() }
    }
}

/// All products. Made by [`Products::load`] or a [`crate::Builder`]; does not change.
#[derive(Debug)]
pub struct Products {
    pub(crate) products: BTreeMap<ProductId, Product>,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) lines: Vec<Line>,
    pub(crate) implied: Vec<(Implied, Source)>,
    pub(crate) index: Index,
}

/// Longest chain of products that derive from each other; osinfo-db's is about sixty.
const LONGEST_CHAIN: usize = 400;

impl Products {
    /// The product of this id.
    pub fn get(&self, id: &ProductId) -> Option<&Product> {
        self.products.get(id)
    }

    /// All products, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Product> {
        self.products.values()
    }

    /// How many products there are.
    pub fn len(&self) -> usize {
        self.products.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
    }

    /// The same products with some changed or left out: those for which nothing is given back.
    pub fn altered(&self, change: impl Fn(&Product) -> Option<Product>) -> Self {
        let products: BTreeMap<ProductId, Product> = self
            .iter()
            .filter_map(|product| Some((product.id.clone(), change(product)?)))
            .collect();
        Self {
            index: Index::new(&products, &self.lines),
            products,
            devices: self.devices.clone(),
            deployments: self.deployments.clone(),
            lines: self.lines.clone(),
            implied: self.implied.clone(),
        }
    }

    /// The products of a line, earliest release first; editions are left out.
    pub fn line(&self, line: &str) -> Vec<&Product> {
        let mut found: Vec<_> =
            self.iter().filter(|p| p.line == line && p.edition.is_none()).collect();
        found.sort_by(|a, b| (&a.release, &a.id).cmp(&(&b.release, &b.id)));
        found
    }

    /// Whether this line of releases is described.
    pub fn has_line(&self, line: &str) -> bool {
        self.lines.iter().any(|known| known.name == line)
    }

    /// The products of the same line and kind that come after this one, in the order of releases.
    pub fn after(&self, product: &Product) -> Vec<&Product> {
        let mut later = self.line(&product.line);
        later.retain(|p| p.kind == product.kind && p.release > product.release);
        later
    }

    /// A version of a line, its code names understood: `bookworm` of `debian` is 12.
    pub fn version_in(&self, line: &str, text: &str) -> Version {
        let word = text.trim().to_lowercase();
        let named = self.lines.iter().find(|l| l.name == line).and_then(|line| {
            line.codenames.iter().find(|codename| codename.name.to_lowercase() == word)
        });
        if let Some(named) = named {
            return Version::new(&named.release);
        }
        let by_fact = self.line(line).into_iter().find(|product| {
            product.said(crate::Property::Codename).iter().any(|fact| {
                let name = fact.value.to_string().to_lowercase();
                name == word || name.split_whitespace().next() == Some(word.as_str())
            })
        });
        by_fact.map_or_else(|| Version::new(text), |product| product.release.clone())
    }

    /// A device's description.
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    /// All described devices.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// Guest, host and devices that were tried together by somebody who published it.
    pub fn deployments(&self) -> &[Deployment] {
        &self.deployments
    }

    /// The product, then what it inherits from, nearest first, each once.
    pub fn ancestry<'a>(&'a self, product: &'a Product) -> Vec<&'a Product> {
        let mut found = vec![product];
        let mut next = 0;
        while let Some(product) = found.get(next).copied() {
            next += 1;
            // osinfo-db tells a platform's devices once; its upgrades have them, too.
            let inherits = |kind: LinkKind| {
                kind.inherits() || (kind == LinkKind::Upgrades && product.kind == ProductKind::Host)
            };
            for link in product.links.iter().filter(|link| inherits(link.kind)) {
                let Some(parent) = self.get(&link.to) else { continue };
                let known = found.iter().any(|p| p.id == parent.id);
                if !known && found.len() < LONGEST_CHAIN {
                    found.push(parent);
                }
            }
        }
        found
    }

    /// The devices of a product on an architecture. The nearest statement decides: what a product
    /// says itself comes before what it inherits, so `supported=false` takes a device away from it
    /// and from all that derive from it.
    pub fn devices_of<'a>(&'a self, product: &'a Product, arch: &Arch) -> Vec<DeviceSupport<'a>> {
        let mut decided: BTreeMap<&DeviceId, Option<DeviceSupport<'a>>> = BTreeMap::new();
        for ancestor in self.ancestry(product) {
            let fits = |own: Option<&Arch>| own.is_none_or(|own| own == arch);
            let said = ancestor.devices.iter().filter(|s| fits(s.arch.as_ref()));
            // Of one product, a driver that comes with it is worth more than one that does not.
            let mut said: Vec<_> = said.collect();
            said.sort_by_key(|statement| statement.with_drivers);
            for statement in said {
                let entry = decided.get(&statement.device);
                // What is inherited in the box wins over an own driver from elsewhere.
                let open = match entry {
                    None => true,
                    Some(Some(found)) => found.with_drivers && !statement.with_drivers,
                    Some(None) => false,
                };
                if open {
                    let support = statement.supported.then(|| DeviceSupport {
                        device: &statement.device,
                        described: self.device(&statement.device),
                        with_drivers: statement.with_drivers,
                        said_by: &ancestor.id,
                        source: &statement.source,
                    });
                    decided.insert(&statement.device, support);
                }
            }
        }
        decided.into_values().flatten().collect()
    }

    /// What is said of a firmware, nearest first; the first decides.
    pub fn firmware_of<'a>(
        &'a self,
        product: &'a Product,
        firmware: Firmware,
        arch: &Arch,
    ) -> Option<&'a FirmwareStatement> {
        self.ancestry(product).into_iter().find_map(|ancestor| {
            ancestor.firmware.iter().find(|statement| {
                statement.firmware == firmware
                    && statement.arch.as_ref().is_none_or(|own| own == arch)
            })
        })
    }

    /// The host products that are delivered in this product.
    pub fn hosts_in(&self, product: &ProductId) -> Vec<&Product> {
        self.iter()
            .filter(|p| p.kind == ProductKind::Host)
            .filter(|p| p.linked(LinkKind::PartOf).any(|id| id == product))
            .collect()
    }
}
