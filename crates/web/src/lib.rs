//! The catalog as a web site.
//!
//! In come a catalog, agreements, products, and folders of logs, evidence and runs. Out come pages
//! that work without scripts, a JSON API with its OpenAPI description, an Atom feed, badges, live runs
//! as server-sent events, and the same site as static files.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
mod badge;
#[cfg(test)]
mod browser;
mod connections;
mod day;
mod desk;
mod error;
mod evidence;
mod export;
mod feed;
mod links;
pub mod live;
mod mark;
mod model;
mod pages;
mod renew;
#[cfg(test)]
mod sample;
pub mod serve;
mod site;
#[cfg(test)]
mod tests;

pub use connections::Connections;
pub use desk::{Counter, Oidc, SetUpError, Troubles};
pub use error::{Refused, SiteError};
pub use export::{Exported, export};
pub use renew::{Heads, renew};
pub use site::{Site, Sources, View};

/// The one style sheet.
const STYLE: &str = include_str!("../templates/style.css");
