//! Products: the search, and one with everything that is said of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum_extra::extract::WithRejection;
use hospitium_products::{LinkKind, Product, ProductId, ProductKind, Property, Source};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use crate::site::Site;

/// Products in one answer, at most.
const MOST: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// What people write: a name, a short id, part of it; misspelt words are found too. Without it,
    /// all are listed.
    #[serde(default)]
    #[param(example = "debian 12")]
    q: String,
    /// Guests or hosts only.
    kind: Option<ProductKind>,
    /// Of one line of releases only: `rhel`, `qemu`.
    line: Option<String>,
    /// How many to leave out, for a list in several parts.
    #[serde(default)]
    skip: usize,
}

/// A product in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductListed {
    /// Its id, osinfo-db's where it has one.
    id: ProductId,
    /// The id by which it is asked for here.
    short: String,
    /// Its name.
    name: String,
    /// Guest or host.
    kind: ProductKind,
    /// Its line of releases.
    line: String,
    /// Why it was found, and what does not fit; empty in a list of all.
    reasons: Vec<String>,
}

/// Products that were found.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductsFound {
    /// Whether the first is what was meant, without doubt.
    decided: bool,
    /// The best first; in a list of all, by line and release. At most 100.
    products: Vec<ProductListed>,
    /// Whether there are more: ask again with a larger `skip`.
    more: bool,
}

fn listed(product: &Product, reasons: Vec<String>) -> ProductListed {
    ProductListed {
        id: product.id.clone(),
        short: product.short().to_owned(),
        name: product.name.clone(),
        kind: product.kind,
        line: product.line.clone(),
        reasons,
    }
}

/// Finds products, or lists them.
#[utoipa::path(get, path = "/products", tag = "Products", params(Wanted), responses(
    (status = 200, description = "What was found", body = ProductsFound),
    (status = 400, description = "Not understood", body = Problem, content_type = "application/problem+json"),
))]
pub async fn search(
    State(site): State<Arc<Site>>,
    WithRejection(Query(wanted), _): WithRejection<Query<Wanted>, Problem>,
) -> Result<Json<ProductsFound>, Problem> {
    let Wanted { q, kind, line, skip } = wanted;
    let fits = |product: &Product| {
        kind.is_none_or(|kind| kind == product.kind)
            && line.as_ref().is_none_or(|line| *line == product.line)
    };
    let (all, decided) = match q.trim() {
        "" => {
            let mut all: Vec<&Product> = site.products().iter().filter(|p| fits(p)).collect();
            all.sort_by(|a, b| (&a.line, &a.release, &a.id).cmp(&(&b.line, &b.release, &b.id)));
            (all.into_iter().map(|product| (product, Vec::new())).collect::<Vec<_>>(), false)
        }
        text if text.len() > 500 => return Err(Problem::bad("A name has at most 500 bytes.")),
        text => {
            let found = site.products().search_kind(text, kind);
            let fitting = found.candidates.into_iter().filter(|found| fits(found.product));
            (fitting.map(|found| (found.product, found.reasons)).collect(), found.decided)
        }
    };
    let more = all.len() > skip.saturating_add(MOST);
    let products = all.into_iter().skip(skip).take(MOST);
    let products = products.map(|(product, reasons)| listed(product, reasons)).collect();
    Ok(Json(ProductsFound { decided, products, more }))
}

/// Who says something.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactSource {
    /// The document: osinfo-db, endoflife.date, or the name of a definition's own source.
    document: String,
    /// The file of it.
    file: String,
    /// The line there; 0 if that is not known.
    line: u32,
}

impl From<&Source> for FactSource {
    fn from(source: &Source) -> Self {
        let Source { document, file, line, .. } = source;
        Self { document: document.to_string(), file: file.to_string(), line: *line }
    }
}

/// What somebody says of a product.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductFact {
    /// What it is about.
    property: Property,
    /// The same, in words.
    words: &'static str,
    /// The value, as text.
    value: String,
    /// The architecture that it holds for; all if none.
    arch: Option<String>,
    /// Whether others say otherwise.
    disputed: bool,
    /// Who says so.
    source: FactSource,
    /// What has to be said with it.
    note: Option<String>,
}

/// Another name.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductAlias {
    /// The name.
    name: String,
    /// Who uses it.
    source: FactSource,
}

/// A tie to another product.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductLink {
    /// How they stand to each other.
    kind: LinkKind,
    /// The other.
    to: ProductId,
    /// Who says so.
    source: FactSource,
}

/// A product and everything that is said of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductTold {
    #[serde(flatten)]
    product: ProductListed,
    /// All short ids.
    short_ids: Vec<String>,
    /// Other names.
    aliases: Vec<ProductAlias>,
    /// Which release of its line it is.
    release: String,
    /// Its edition, if it is one.
    edition: Option<String>,
    /// Architectures that it exists for, as far as told.
    archs: Vec<String>,
    /// All facts, those that contradict each other too; of a property, the most to be believed first.
    facts: Vec<ProductFact>,
    /// Ties to other products.
    links: Vec<ProductLink>,
}

/// A product with all its facts, and who says each.
#[utoipa::path(get, path = "/products/{product}", tag = "Products",
    params(("product" = String, Path, description = "Its short id, or a name that means just it",
        example = "debian12")),
    responses(
    (status = 200, description = "The product", body = ProductTold),
    (status = 404, description = "No such product, or several", body = Problem,
        content_type = "application/problem+json"),
))]
pub async fn product(
    State(site): State<Arc<Site>>,
    WithRejection(Path(name), _): WithRejection<Path<String>, Problem>,
) -> Result<Json<ProductTold>, Problem> {
    if name.len() > 500 {
        return Err(Problem::bad("A name has at most 500 bytes."));
    }
    let product = site.products().resolve(&name).map_err(|e| Problem::not_found(e.to_string()))?;
    let conflicts = product.conflicts();
    let disputed = |property: Property| conflicts.iter().any(|c| c.property == property);
    let mut properties: Vec<Property> = product.facts.iter().map(|fact| fact.property).collect();
    properties.sort();
    properties.dedup();
    let facts = properties.into_iter().flat_map(|property| product.said(property));
    Ok(Json(ProductTold {
        product: listed(product, Vec::new()),
        short_ids: product.short_ids.clone(),
        aliases: product
            .aliases
            .iter()
            .map(|alias| ProductAlias { name: alias.text.clone(), source: (&alias.source).into() })
            .collect(),
        release: product.release.as_str().to_owned(),
        edition: product.edition.clone(),
        archs: product.archs.iter().map(ToString::to_string).collect(),
        facts: facts
            .map(|fact| ProductFact {
                property: fact.property,
                words: fact.property.words(),
                value: fact.value.to_string(),
                arch: fact.arch.as_ref().map(ToString::to_string),
                disputed: disputed(fact.property),
                source: (&fact.source).into(),
                note: fact.note.as_ref().map(ToString::to_string),
            })
            .collect(),
        links: product
            .links
            .iter()
            .map(|link| ProductLink {
                kind: link.kind,
                to: link.to.clone(),
                source: (&link.source).into(),
            })
            .collect(),
    }))
}
