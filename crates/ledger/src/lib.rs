//! Signed records, the append-only log, cosignatures, and certificates that verify offline.
mod fault;
mod files;
pub mod dsse;
pub mod key;
pub mod log;
pub mod note;
pub mod party;
pub mod policy;
pub mod proof;
pub mod statement;
mod text;
mod tile;
mod tree;
pub mod validity;
mod vkey;
