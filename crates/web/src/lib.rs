//! The catalog as a web site.
//!
//! In come a catalog, agreements, products, and folders of logs, evidence and runs. Out come pages
//! that work without scripts, a JSON API with its OpenAPI description, an Atom feed, badges, live runs
//! as server-sent events, and the same site as static files.
