//! What of a log's verified head is kept: for its row, and to go on from.

use hospitium_ledger::Head;
use hospitium_model::Digest;
use jiff::Timestamp;

use crate::read::{LogSource, Opened};
use crate::summary::LogSummary;

/// What of a head goes into the table of logs.
pub struct LogsRow {
    pub root: String,
    pub cosigners: String,
    pub cosigned: i64,
}

impl LogsRow {
    pub fn of(opened: &Opened) -> Self {
        let word = |(name, at): (&String, &Timestamp)| format!("{name}@{}", at.as_second());
        let cosigners: Vec<String> = opened.cosigners.iter().map(word).collect();
        Self {
            root: hexadecimal(&opened.head),
            cosigners: cosigners.join(" "),
            cosigned: opened.cosigned_at.map_or(0, Timestamp::as_second),
        }
    }
}

/// The root of a head as the table of logs has it.
pub fn hexadecimal(head: &Head) -> String {
    head.root.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which form of rows is kept of entries. It grows where more of an entry is kept, or it is kept otherwise: what an earlier
/// program took in is read again then.
const KEPT: u32 = 2;

/// By what a log's entries are believed: the program that reads them, and the keys of the policy. Where it is another, they
/// are read again.
pub fn believed(source: &LogSource, party: &str) -> String {
    format!("{}.{KEPT} {}", env!("CARGO_PKG_VERSION"), keys(source, party))
}

/// Whether what was noted so is by the keys that this policy has, whatever program read the entries.
pub fn same_keys(noted: &str, source: &LogSource, party: &str) -> bool {
    noted.rsplit(' ').next() == Some(keys(source, party).to_string().as_str())
}

fn keys(source: &LogSource, party: &str) -> Digest {
    let keys: Vec<String> = source
        .policy
        .signers_of(party)
        .iter()
        .map(|span| format!("{} {} {:?}", span.key, span.from, span.until))
        .collect();
    Digest::of(format!("{party} {keys:?}").as_bytes())
}

/// What is known of a log before its entries are read.
pub fn summary_of(opened: &Opened) -> LogSummary {
    LogSummary {
        origin: opened.head.origin.clone(),
        party: opened.party.clone(),
        entries: opened.head.size,
        ahead: opened.ahead.clone(),
        ..LogSummary::default()
    }
}
