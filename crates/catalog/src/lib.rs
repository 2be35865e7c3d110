//! The catalog: a place to ask whether a guest is validated on a host.
//!
//! In come logs with the policies under which they are believed; every record is verified, and what
//! verifies goes into a read model in a database ([`Catalog`]). Nothing else goes in, so that it can
//! be deleted and comes back the same. Out come answers with their reasons ([`Desk::ask`]) and
//! exports ([`export`]).
//!
//! docs/catalog.md says what each word of an answer means and by which rule it is given.

mod answer;
mod beside;
mod browse;
mod contradicts;
mod database;
mod decide;
mod desk;
mod differences;
mod doubt;
mod error;
mod exclude;
pub mod export;
mod fallen;
mod filling;
mod freeze;
mod machine;
mod nearest;
mod newest;
mod notices;
mod outcomes;
mod page;
mod pair;
mod plans;
mod question;
mod read;
mod rebuild;
mod record;
mod resume;
mod row;
pub mod sample;
mod schema;
mod side;
mod store;
mod summary;
mod support;
mod taken;
mod tell;
mod values;
mod verify;

pub use answer::{Answer, Certified, Nearest, Reply, Said, SupportedBy, Unclear, tested};
pub use browse::{Cursor, Listed, PairNow};
pub use database::{connect, database_url};
pub use desk::{Desk, Ready};
pub use differences::{Becomes, Change};
pub use error::CatalogError;
pub use hospitium_model::standing::{Rule, Ruling, Word};
pub use machine::{Missing, Untold, question_of, question_with};
pub use page::{Notice, RecordFilter, RecordPage};
pub use pair::Stands;
pub use question::{Asked, Limits, Question, QuestionError};
pub use read::{Given, LogSource, Opened};
pub use record::{Detail, IssueOf, Stored};
pub use store::Catalog;
pub use summary::{Frozen, LogSummary, Rebuilt, Refusal};
pub use support::support;
pub use tell::{LogRow, Numbers, RefusedHead};

#[cfg(test)]
mod tests;
