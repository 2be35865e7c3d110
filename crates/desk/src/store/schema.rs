//! The tables, in the SQL that SQLite and PostgreSQL share. Rows of `messages` and `asides` are only ever added.

/// Version of the tables.
pub const FORM: &str = "1";

/// The tables. `side` is the one that this desk is of a case, or whose message it is. A message is kept as its
/// envelope; everything else of a case is replayed from that.
pub const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS desk_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_drafts (id TEXT PRIMARY KEY, body TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_cases (id TEXT PRIMARY KEY, side TEXT NOT NULL, \
     peer TEXT NOT NULL, acked BIGINT NOT NULL, receipt_at TEXT NOT NULL, wants TEXT NOT NULL, \
     tries BIGINT NOT NULL, next_try BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_vouched (case_id TEXT PRIMARY KEY, mine BIGINT NOT NULL, \
     have BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_messages (case_id TEXT NOT NULL, side TEXT NOT NULL, \
     seq BIGINT NOT NULL, envelope TEXT NOT NULL, PRIMARY KEY (case_id, side, seq))",
    "CREATE TABLE IF NOT EXISTS desk_asides (case_id TEXT NOT NULL, seq BIGINT NOT NULL, \
     body TEXT NOT NULL, PRIMARY KEY (case_id, seq))",
    "CREATE TABLE IF NOT EXISTS desk_divergences (case_id TEXT NOT NULL, seq BIGINT NOT NULL, \
     body TEXT NOT NULL, PRIMARY KEY (case_id, seq))",
    // Forms that were carried out, and requests of other desks that were answered: neither counts twice.
    "CREATE TABLE IF NOT EXISTS desk_once (id TEXT PRIMARY KEY, until BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_people (login TEXT PRIMARY KEY, role TEXT NOT NULL, \
     name TEXT NOT NULL, address TEXT NOT NULL, customer TEXT NOT NULL, secret TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_identities (issuer TEXT NOT NULL, claim TEXT NOT NULL, \
     value TEXT NOT NULL, login TEXT NOT NULL, PRIMARY KEY (issuer, claim, value))",
    "CREATE TABLE IF NOT EXISTS desk_sessions (id TEXT PRIMARY KEY, login TEXT NOT NULL, \
     made BIGINT NOT NULL, seen BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_tokens (id TEXT PRIMARY KEY, login TEXT NOT NULL, \
     made BIGINT NOT NULL, until BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_audit (id TEXT PRIMARY KEY, at TEXT NOT NULL, \
     login TEXT NOT NULL, what TEXT NOT NULL, about TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_noticed (case_id TEXT PRIMARY KEY, \
     submitter BIGINT NOT NULL, receiver BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_notices (id TEXT PRIMARY KEY, sink TEXT NOT NULL, \
     body TEXT NOT NULL, made BIGINT NOT NULL, tries BIGINT NOT NULL, next_try BIGINT NOT NULL, \
     done BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS desk_refused (digest TEXT PRIMARY KEY, case_id TEXT NOT NULL, \
     sender TEXT NOT NULL, seen TEXT NOT NULL, why TEXT NOT NULL)",
];
