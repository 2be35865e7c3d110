//! The search: products, certificates, and a question that is one.

use askama::Template;

use super::{Context, Frame, Row, Text, name, row};
use crate::Refused;

/// Products that are shown.
const PRODUCTS: usize = 25;
/// Certificates that are shown.
const CERTIFICATES: u32 = 25;
/// Digits of a record's name that are enough to look for it.
const DIGITS: usize = 4;
/// Longest text that is looked for, in bytes.
const LONGEST: usize = 200;

/// The page.
#[derive(Debug, Template)]
#[template(path = "search.html")]
pub struct SearchPage {
    frame: Frame,
    text: String,
    products: Vec<(Text, &'static str, String)>,
    certificates: Vec<Row>,
    question: Option<String>,
    searched: bool,
}

impl SearchPage {
    /// Looks for a text.
    ///
    /// # Errors
    /// If the text is too long, or the database fails.
    pub async fn new(context: Context<'_>, text: &str) -> Result<Self, Refused> {
        let frame = context.frame(0, "search");
        let text = text.trim();
        if text.len() > LONGEST {
            let words = format!("What is looked for has {} bytes; {LONGEST} are read.", text.len());
            return Err(Refused::Bad(words));
        }
        let found = context.products().search(text);
        let candidates = if text.is_empty() { &[][..] } else { &found.candidates };
        let products = candidates.iter().take(PRODUCTS).map(|candidate| {
            let product = candidate.product;
            let kind = match product.kind {
                hospitium_products::ProductKind::Guest => "guest",
                hospitium_products::ProductKind::Host => "host",
            };
            let link = Text::link(name(&product.name), frame.links.product(product.short()));
            (link, kind, name(product.short()))
        });
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut certificates = Vec::new();
        if digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            let catalog = context.site.catalog();
            let found = catalog.records_named(digits, context.view.as_of, CERTIFICATES).await?;
            certificates = found.iter().map(|listed| row(&context, &frame.links, listed)).collect();
        }
        let asks = text.split_whitespace().any(|word| word.eq_ignore_ascii_case("on"));
        Ok(Self {
            products: products.collect(),
            certificates,
            question: asks.then(|| frame.links.question(text)),
            searched: !text.is_empty(),
            text: name(text),
            frame,
        })
    }
}
