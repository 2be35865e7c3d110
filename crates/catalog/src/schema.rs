//! The read model's tables, in the SQL that SQLite and PostgreSQL share.

/// Version of the tables.
pub const FORM: &str = "7";

/// The tables. Times are seconds since 1970-01-01 UTC; `log` and `entry` are a record's place. `machines`
/// has each machine configuration on which a log says that a pair was tried, on hardware and under
/// emulation: of each its newest records can be read without the others of the pair.
pub const TABLES: [&str; 16] = [
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS logs (id BIGINT PRIMARY KEY, origin TEXT NOT NULL, \
     party TEXT NOT NULL, size BIGINT NOT NULL, root TEXT NOT NULL, damaged BIGINT NOT NULL, \
     refused BIGINT NOT NULL, unread BIGINT NOT NULL, cosigners TEXT NOT NULL, \
     cosigned BIGINT NOT NULL, newest BIGINT NOT NULL, usurped BIGINT NOT NULL, \
     frozen TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS subjects (id BIGINT PRIMARY KEY, kind TEXT NOT NULL, \
     product TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS machines (id BIGINT PRIMARY KEY, log BIGINT NOT NULL, \
     guest BIGINT NOT NULL, host BIGINT NOT NULL, arch TEXT NOT NULL, emulated BIGINT NOT NULL, \
     words TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS records (log BIGINT NOT NULL, entry BIGINT NOT NULL, \
     digest TEXT NOT NULL, machine BIGINT NOT NULL, \
     guest BIGINT NOT NULL, host BIGINT NOT NULL, arch TEXT NOT NULL, \
     result TEXT NOT NULL, ended BIGINT NOT NULL, known BIGINT NOT NULL, until BIGINT NOT NULL, \
     emulated BIGINT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (log, entry))",
    "CREATE TABLE IF NOT EXISTS pairs (guest BIGINT NOT NULL, host BIGINT NOT NULL, \
     PRIMARY KEY (guest, host))",
    "CREATE TABLE IF NOT EXISTS notices (log BIGINT NOT NULL, entry BIGINT NOT NULL, \
     kind TEXT NOT NULL, about TEXT NOT NULL, issued BIGINT NOT NULL, until BIGINT NOT NULL, \
     reason TEXT NOT NULL, PRIMARY KEY (log, entry, about))",
    "CREATE TABLE IF NOT EXISTS waivers (log BIGINT NOT NULL, entry BIGINT NOT NULL, \
     digest TEXT NOT NULL, guest TEXT NOT NULL, check_id TEXT NOT NULL, host TEXT NOT NULL, issued BIGINT NOT NULL, \
     until BIGINT NOT NULL, reason TEXT NOT NULL, decided_by TEXT NOT NULL, \
     PRIMARY KEY (log, entry))",
    "CREATE TABLE IF NOT EXISTS key_changes (log BIGINT NOT NULL, entry BIGINT NOT NULL, \
     role TEXT NOT NULL, issued BIGINT NOT NULL, old_key TEXT NOT NULL, new_key TEXT NOT NULL, \
     reason TEXT NOT NULL, PRIMARY KEY (log, entry))",
    "CREATE TABLE IF NOT EXISTS refused (log BIGINT NOT NULL, entry BIGINT NOT NULL, \
     why TEXT NOT NULL, PRIMARY KEY (log, entry))",
    "CREATE TABLE IF NOT EXISTS fallen (log BIGINT NOT NULL, entry BIGINT NOT NULL, \
     why TEXT NOT NULL, needs TEXT NOT NULL, PRIMARY KEY (log, entry))",
    "CREATE TABLE IF NOT EXISTS endorsements (log BIGINT NOT NULL, entry BIGINT NOT NULL, \
     digest TEXT NOT NULL, about TEXT NOT NULL, of_party TEXT NOT NULL, how TEXT NOT NULL, \
     known BIGINT NOT NULL, signed_with TEXT NOT NULL, run TEXT NOT NULL, reason TEXT NOT NULL, \
     PRIMARY KEY (log, entry))",
    "CREATE TABLE IF NOT EXISTS known_issues (log BIGINT NOT NULL, entry BIGINT NOT NULL, \
     digest TEXT NOT NULL, about TEXT NOT NULL, known BIGINT NOT NULL, words TEXT NOT NULL, \
     workaround TEXT NOT NULL, fixes TEXT NOT NULL, PRIMARY KEY (log, entry))",
    "CREATE TABLE IF NOT EXISTS unknown_kinds (log BIGINT NOT NULL, entry BIGINT NOT NULL, \
     kind TEXT NOT NULL, about TEXT NOT NULL, PRIMARY KEY (log, entry, about))",
    // These two outlive a rebuild: what comes later has to continue what was taken in.
    "CREATE TABLE IF NOT EXISTS heads (origin TEXT PRIMARY KEY, checkpoint TEXT NOT NULL, \
     believed TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS refused_heads (digest TEXT PRIMARY KEY, origin TEXT NOT NULL, \
     seen TEXT NOT NULL, found TEXT NOT NULL)",
];

/// What a rebuild empties, and the columns by which each table's content is put in order.
pub const CONTENT: [(&str, &str, &str); 12] = [
    // By number, which goes by the origins' bytes: databases put letters in orders of their own.
    (
        "logs",
        "id, origin, party, size, root, damaged, refused, unread, cosigners, cosigned, newest, usurped, frozen",
        "id",
    ),
    ("subjects", "id, kind, product, name, version", "id"),
    ("machines", "id, log, guest, host, arch, emulated, words", "id"),
    (
        "records",
        "log, entry, digest, machine, guest, host, arch, result, ended, known, until, emulated, detail",
        "log, entry",
    ),
    ("notices", "log, entry, kind, about, issued, until, reason", "log, entry, about"),
    (
        "waivers",
        "log, entry, digest, guest, check_id, host, issued, until, reason, decided_by",
        "log, entry",
    ),
    ("key_changes", "log, entry, role, issued, old_key, new_key, reason", "log, entry"),
    (
        "endorsements",
        "log, entry, digest, about, of_party, how, known, signed_with, run, reason",
        "log, entry",
    ),
    ("known_issues", "log, entry, digest, about, known, words, workaround, fixes", "log, entry"),
    ("unknown_kinds", "log, entry, kind, about", "log, entry, about"),
    ("refused", "log, entry, why", "log, entry"),
    ("fallen", "log, entry, why, needs", "log, entry"),
];

/// What a catalog holds, without the numbers that join its tables: of each table the statement, and whether its rows come
/// in an order that is the same everywhere.
pub fn content() -> impl Iterator<Item = (&'static str, String, bool)> {
    CONTENT.into_iter().map(|(table, columns, order)| match table {
        "subjects" => (table, "SELECT kind, product, name, version FROM subjects".to_owned(), false),
        "machines" => {
            let sql = format!("SELECT t.log, t.arch, t.emulated, t.words, {SIDES} FROM machines t {JOINED}");
            (table, sql, false)
        }
        "records" => {
            let sql = format!(
                "SELECT t.log, t.entry, t.digest, t.arch, t.result, t.ended, t.known, t.until, t.emulated, t.detail, \
                 m.words, {SIDES} FROM records t {JOINED} JOIN machines m ON m.id = t.machine \
                 ORDER BY t.log, t.entry"
            );
            (table, sql, true)
        }
        _ => (table, format!("SELECT {columns} FROM {table} ORDER BY {order}"), true),
    })
}

/// Both sides of a row that names them by number, and where they are.
const SIDES: &str = "g.kind, g.product, g.name, g.version, h.kind, h.product, h.name, h.version";
const JOINED: &str = "JOIN subjects g ON g.id = t.guest JOIN subjects h ON h.id = t.host";

/// The indexes, dropped before a rebuild and made after it: name, and what it is on.
pub const INDEXES: [(&str, &str); 12] = [
    ("machines_pair", "machines (guest, host)"),
    ("machines_host", "machines (host)"),
    ("records_machine", "records (machine, ended, entry)"),
    ("records_ended", "records (ended, log, entry)"),
    ("records_digest", "records (digest)"),
    ("pairs_host", "pairs (host, guest)"),
    ("subjects_name", "subjects (name)"),
    ("waivers_digest", "waivers (digest)"),
    ("notices_about", "notices (log, about)"),
    ("endorsements_about", "endorsements (about)"),
    ("known_issues_about", "known_issues (about)"),
    ("unknown_kinds_about", "unknown_kinds (log, about)"),
];

/// `INSERT` of so many rows of a table at once. PostgreSQL wants its parameters numbered; SQLite takes
/// a number for a name, and looks through all names to find one.
pub fn insert(table: &str, columns: &str, rows: usize, numbered: bool) -> String {
    let width = columns.split(',').count();
    let mut sql = format!("INSERT INTO {table} ({columns}) VALUES ");
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..width {
            let mark = if column == 0 { "" } else { ", " };
            sql.push_str(mark);
            match numbered {
                true => sql.push_str(&format!("${}", row * width + column + 1)),
                false => sql.push('?'),
            }
        }
        sql.push(')');
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_an_insert_is_a_bound_parameter() {
        assert_eq!(
            insert("pairs", "guest, host", 2, true),
            "INSERT INTO pairs (guest, host) VALUES ($1, $2), ($3, $4)"
        );
        assert_eq!(
            insert("pairs", "guest, host", 2, false),
            "INSERT INTO pairs (guest, host) VALUES (?, ?), (?, ?)"
        );
    }
}
