//! The same site as static files, with relative links: from a disk, from any web server, under any
//! path.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use askama::Template;

use crate::links::{Links, Written, slug};
use crate::model::Context;
use crate::model::agreement::AgreementPage;
use crate::model::answer::{AnswerPage, PairsPage};
use crate::model::certificate::{self, CertificatePage, CertificatesPage};
use crate::model::home::Home;
use crate::model::hosts::{Differences, HostsPage, neighbours};
use crate::model::logs::LogsPage;
use crate::model::product::{ProductPage, ProductsPage};
use crate::{Refused, Site, SiteError};

/// Certificates that have a page: the newest.
const CERTIFICATES: u32 = 2000;
/// Pairs that have a page: those that are owed, then those of records.
const PAIRS: u32 = 5000;
/// Products that have a page.
const PRODUCTS: usize = 5000;
/// Hosts and their next release that have a page.
const NEIGHBOURS: usize = 500;

/// What was written.
#[derive(Debug, Default)]
pub struct Exported {
    /// Pages and files.
    pub files: usize,
    /// What has no page, for there are too many: a sentence each.
    pub left_out: Vec<String>,
}

/// Where files go.
struct Folder<'a> {
    root: &'a Path,
    exported: Exported,
}

impl Folder<'_> {
    /// `path` is made of slugs and of words of ours; it stays in the folder.
    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), SiteError> {
        let at: PathBuf = self.root.join(path);
        let failed = |source| SiteError::Write { path: at.display().to_string(), source };
        if let Some(parent) = at.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&at, bytes).map_err(failed)?;
        self.exported.files += 1;
        Ok(())
    }

    fn page(&mut self, path: &str, page: &impl Template) -> Result<(), SiteError> {
        self.put(&format!("{path}.html"), page.render()?.as_bytes())
    }
}

/// Within a static site everything that is linked to is known, so that a page is missing only if the
/// database fails.
fn inside(refused: Refused) -> SiteError {
    match refused {
        Refused::Inside(error) => error,
        other => SiteError::Page(other.words()),
    }
}

/// Writes the site into a folder, which is made if it is not there. What is there of an earlier export
/// is written over; pages of what is gone stay.
///
/// # Errors
/// If the database fails or a file cannot be written.
pub async fn export(site: &Site, folder: &Path) -> Result<Exported, SiteError> {
    let view = site.view().await?;
    let desk = site.desk(&view);
    let mut folder = Folder { root: folder, exported: Exported::default() };

    // What there is to be linked to.
    let mut written = Written::default();
    let catalog = site.catalog();
    let (newest, more) = catalog.newest_records(view.as_of, None, CERTIFICATES).await?;
    written.certificates.extend(newest.iter().map(|listed| listed.record.digest.clone()));
    if more.is_some() && view.numbers.records > u64::from(CERTIFICATES) {
        let all = view.numbers.records;
        let words = format!("of {all} records, the newest {CERTIFICATES} have a page");
        folder.exported.left_out.push(words);
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut seen = BTreeSet::new();
    let (of_records, count) = desk.recorded_pairs(PAIRS).await?;
    let owed = desk.owed_pairs();
    let all = owed.len() as u64 + count;
    for pair in owed.into_iter().chain(of_records) {
        if pairs.len() < PAIRS as usize && seen.insert(pair.clone()) {
            pairs.push(pair);
        }
    }
    if pairs.len() == PAIRS as usize && all > u64::from(PAIRS) {
        let words = format!("of about {all} pairs, {PAIRS} have a page");
        folder.exported.left_out.push(words);
    }
    written.pairs.extend(pairs.iter().map(|(guest, host)| (slug(guest), slug(host))));
    let written = Arc::new(written);
    let context = Context { site, view: &view, live: false, written: Some(&written) };

    folder.put("style.css", crate::STYLE.as_bytes())?;
    folder.page("index", &Home::new(context).await?)?;
    folder.page("products", &ProductsPage::new(context)?)?;
    folder.page("hosts", &HostsPage::new(context)?)?;
    folder.page("logs", &LogsPage::new(context).await.map_err(inside)?)?;
    let list = CertificatesPage::listed(context, None, CERTIFICATES).await.map_err(inside)?;
    folder.page("certificates", &list)?;
    for agreement in site.agreements() {
        let id = slug(&agreement.id);
        let page = AgreementPage::new(context, &id).await.map_err(inside)?;
        folder.page(&format!("agreements/{id}"), &page)?;
    }
    let mut told = Vec::new();
    for (guest, host) in &pairs {
        let (guest_slug, host_slug) = (slug(guest), slug(host));
        let page = AnswerPage::pair(context, &guest_slug, &host_slug).await.map_err(inside)?;
        folder.page(&format!("pairs/{guest_slug}/{host_slug}"), &page)?;
        let (mark, guest_name, host_name) = match page.told() {
            Some((mark, guest, host)) => (Some(mark), guest, host),
            None => (None, crate::model::name(guest), crate::model::name(host)),
        };
        let links = Links { written: Some(Arc::clone(&written)), ..Links::new(false, 0) };
        told.push((guest_name, host_name, mark, links.pair(guest, host)));
    }
    let left_out = folder.exported.left_out.join("; ");
    let frame = context.frame(0, "ask");
    folder.page("ask", &PairsPage { frame, pairs: told, left_out })?;
    let mut slugs = BTreeSet::new();
    for product in site.products().iter().take(PRODUCTS) {
        let slug = slug(product.short());
        if slugs.insert(slug.clone()) {
            let page = ProductPage::new(context, &slug).await.map_err(inside)?;
            folder.page(&format!("products/{slug}"), &page)?;
        }
    }
    for (before, after) in neighbours(&context).into_iter().take(NEIGHBOURS) {
        let (before, after) = (slug(before.short()), slug(after.short()));
        for (a, b) in [(&before, &after), (&after, &before)] {
            let page = Differences::new(context, a, b).await.map_err(inside)?;
            folder.page(&format!("hosts/{a}/{b}"), &page)?;
        }
    }
    let mut digests = BTreeSet::new();
    for digest in newest.iter().map(|listed| listed.record.digest.as_str()) {
        if !digests.insert(digest) {
            continue;
        }
        let page = CertificatePage::new(context, digest).await.map_err(inside)?;
        folder.page(&format!("certificates/{digest}"), &page)?;
        if let Ok(bytes) = certificate::file(context, digest).await {
            let name = format!("certificates/{digest}.{}", hospitium_ledger::SUFFIX);
            folder.put(&name, &bytes)?;
        }
    }
    Ok(folder.exported)
}
