//! Libvirt's XML: written from a specification, and read as libvirt gives it back. Pure.
//!
//! Layers, from the ground up: `tree` · `parts` (devices that also come while a machine runs) · `domain` ·
//! `live` · `capabilities`.

pub(crate) mod capabilities;
pub(crate) mod domain;
pub(crate) mod live;
pub(crate) mod parts;
pub(crate) mod tree;
