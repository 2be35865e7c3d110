//! Puts what the sources say together: merges, maps cycles to products, spreads what is inherited.

mod cycles;
mod define;
mod merge;

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{Definitions, Implied, Line};
use crate::endoflife::EndoflifeProduct;
use crate::osinfo::Osinfo;
use crate::search::Index;
use crate::{
    Deployment, Device, DeviceId, FormError, Product, ProductId, Products, ProductsError, Source,
    Sources, file,
};

/// Largest definition file that is read.
const LARGEST: u64 = 1 << 20;

/// The definitions that are built in: file name and text.
const BUILT_IN: [(&str, &str); 16] = [
    ("products/lines.toml", include_str!("../../../products/lines.toml")),
    ("products/windows.toml", include_str!("../../../products/windows.toml")),
    ("products/linux.toml", include_str!("../../../products/linux.toml")),
    ("products/hosts.toml", include_str!("../../../products/hosts.toml")),
    ("products/qemu.toml", include_str!("../../../products/qemu.toml")),
    ("products/releases-rhel.toml", include_str!("../../../products/releases-rhel.toml")),
    ("products/releases-linux.toml", include_str!("../../../products/releases-linux.toml")),
    ("products/releases-freebsd.toml", include_str!("../../../products/releases-freebsd.toml")),
    ("products/releases-windows.toml", include_str!("../../../products/releases-windows.toml")),
    ("products/hosts-kvm.toml", include_str!("../../../products/hosts-kvm.toml")),
    ("products/hosts-bhyve.toml", include_str!("../../../products/hosts-bhyve.toml")),
    ("products/hosts-hyper-v.toml", include_str!("../../../products/hosts-hyper-v.toml")),
    ("products/hosts-vmware.toml", include_str!("../../../products/hosts-vmware.toml")),
    ("products/hosts-xen.toml", include_str!("../../../products/hosts-xen.toml")),
    ("products/hosts-platforms.toml", include_str!("../../../products/hosts-platforms.toml")),
    ("products/devices.toml", include_str!("../../../products/devices.toml")),
];

/// Collects what sources say, in any order, and makes [`Products`] of it.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    products: BTreeMap<ProductId, Product>,
    devices: BTreeMap<DeviceId, Device>,
    deployments: Vec<Deployment>,
    definitions: Vec<Definitions>,
    endoflife: Vec<EndoflifeProduct>,
}

impl Products {
    /// Reads all sources, the built-in definitions among them.
    pub fn load(sources: &Sources) -> Result<Self, ProductsError> {
        Ok(Builder::load(sources)?.finish()?)
    }
}

impl Builder {
    /// One that knows what all sources say, the built-in definitions among them.
    pub fn load(sources: &Sources) -> Result<Self, ProductsError> {
        let mut builder = Self::with_built_in()?;
        if let Some(folder) = &sources.osinfo {
            builder.add_osinfo(Osinfo::read(folder)?);
        }
        if let Some(folder) = &sources.definitions {
            let whole = |path: &std::path::Path| path.canonicalize().ok();
            let left_out = sources.left_out.as_deref().and_then(whole);
            for path in file::below(folder, &["toml"])? {
                if left_out.is_some() && whole(&path) == left_out {
                    continue;
                }
                let text = file::text(&path, LARGEST)?;
                builder.add_definitions(Definitions::read(&path.to_string_lossy(), &text)?);
            }
        }
        if let Some(place) = &sources.endoflife {
            for product in crate::fetch::endoflife(place)? {
                builder.add_endoflife(product);
            }
        }
        Ok(builder)
    }

    /// One that knows nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// One that knows what is built in.
    pub fn with_built_in() -> Result<Self, FormError> {
        let mut builder = Self::default();
        for (name, text) in BUILT_IN {
            builder.add_definitions(Definitions::read(name, text)?);
        }
        Ok(builder)
    }

    /// Adds what osinfo-db says.
    pub fn add_osinfo(&mut self, osinfo: Osinfo) {
        for product in osinfo.products {
            merge::merge(&mut self.products, product);
        }
        for device in osinfo.devices {
            let known = self.devices.entry(device.id.clone()).or_insert_with(|| device.clone());
            for (known, new) in [
                (&mut known.name, &device.name),
                (&mut known.class, &device.class),
                (&mut known.vendor, &device.vendor),
                (&mut known.product, &device.product),
            ] {
                if known.is_empty() {
                    known.clone_from(new);
                }
            }
        }
        self.deployments.extend(osinfo.deployments);
    }

    /// Adds definitions.
    pub fn add_definitions(&mut self, definitions: Definitions) {
        self.definitions.push(definitions);
    }

    /// Adds a product of endoflife.date.
    pub fn add_endoflife(&mut self, product: EndoflifeProduct) {
        self.endoflife.push(product);
    }

    /// Puts it all together.
    ///
    /// # Errors
    /// A definition that contradicts its own form: an unknown line, a new product without a name.
    pub fn finish(mut self) -> Result<Products, FormError> {
        let definitions = std::mem::take(&mut self.definitions);
        let lines: Vec<Line> = definitions.iter().flat_map(|d| d.line.clone()).collect();
        for product in self.products.values_mut() {
            merge::place_in_line(product, &lines);
        }
        let mut implied: Vec<(Implied, Source)> = Vec::new();
        for definitions in &definitions {
            for definition in &definitions.product {
                self.define(definitions, definition, &lines)?;
            }
            for device in &definitions.device {
                let source = definitions.source(&device.get_ref().source, device);
                let device = device.get_ref().clone();
                self.devices.entry(device.id.clone()).or_insert(Device {
                    id: device.id,
                    name: device.name,
                    class: device.class,
                    bus: device.bus,
                    vendor: device.vendor,
                    product: device.product,
                    source,
                });
            }
            for entry in &definitions.implied {
                let source = definitions.source(&entry.get_ref().source, entry);
                implied.push((entry.get_ref().clone(), source));
            }
        }
        let before: BTreeSet<ProductId> = self.products.keys().cloned().collect();
        for product in std::mem::take(&mut self.endoflife) {
            self.date(product, &lines);
        }
        self.follow(&before);
        merge::spread(&mut self.products);
        for product in self.products.values_mut() {
            merge::name_by_line(product, &lines);
        }
        let index = Index::new(&self.products, &lines);
        Ok(Products {
            products: self.products,
            devices: self.devices,
            deployments: self.deployments,
            lines,
            implied,
            index,
        })
    }
}
