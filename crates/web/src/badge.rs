//! Badges: a pair or an agreement in one small picture, to be shown on other sites.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hospitium_catalog::{Answer, Reply};
use hospitium_model::Digest;
use hospitium_plan::obligation::State as Stands;
use jiff::civil::Date;

use crate::Refused;
use crate::model::name;
use crate::site::{Site, View};

/// Characters of each half.
const MOST: usize = 60;
/// Width of a character of the typeface that is asked for, in tenths of a pixel at 11 px. Text is set
/// to the width that comes of it (`textLength`), so that another typeface does no harm.
const WIDTH: usize = 66;

/// Where badges are.
pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/badges/pairs/{guest}/{host}", get(pair))
        .route("/badges/agreements/{id}", get(agreement))
        .route("/icon.svg", get(icon))
}

/// The site's own picture: a token in two halves.
const ICON: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M8 1a7 7 0 0 0 0 14l-2-5 3-3z" fill="#1d4f8f"/><path d="M8 1a7 7 0 0 1 0 14l-2-5 3-3z" fill="#8a5200"/></svg>"##;

async fn icon() -> impl IntoResponse {
    let kept = (header::CACHE_CONTROL, "max-age=86400");
    ([(header::CONTENT_TYPE, "image/svg+xml"), kept], ICON)
}

/// A badge.
struct Badge {
    label: String,
    message: String,
    colour: &'static str,
}

/// What is said of what holds and is not certain.
const UNCERTAIN: &str = ", not certain";

const GOOD: &str = "#1b6b3f";
const LIMITED: &str = "#8a5200";
const BAD: &str = "#b11f17";
const OPEN: &str = "#1d4f8f";
const NEUTRAL: &str = "#5a626b";

async fn pair(
    State(site): State<Arc<Site>>,
    Path((guest, host)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let view = site.view().await?;
    let host = host.strip_suffix(".svg").unwrap_or(&host);
    let missing = |what: &str| Refused::NotFound(format!("Nothing here is called {what:?}."));
    let guest = site.named(&view, true, &guest).ok_or_else(|| missing(&guest))?;
    let host = site.named(&view, false, host).ok_or_else(|| missing(host))?;
    let Reply::Answer(answer) = site.desk(&view).ask_pair(&guest, &host).await? else {
        return Err(missing(&format!("{guest} on {host}")));
    };
    use hospitium_catalog::Word::{
        Excluded, Failed, Lapsed, NotValidated, Pending, Planned, Unknown, Validated,
        ValidatedWithLimits,
    };
    let colour = match answer.verdict {
        Validated => GOOD,
        ValidatedWithLimits | Lapsed => LIMITED,
        Failed | NotValidated => BAD,
        Pending | Planned => OPEN,
        Excluded | Unknown => NEUTRAL,
    };
    let mut message = answer.verdict.words().to_owned();
    if answer.verdict.holds()
        && let Some(until) = until(&site, &view, &answer).await?
    {
        let _ = write!(message, " until {:04}-{:02}", until.year(), until.month());
    }
    // Of a log that it rests on something is not known here: no badge is good beside that.
    let doubt = answer.verdict.holds() && !answer.certain;
    if doubt {
        message.push_str(UNCERTAIN);
    }
    let colour = if doubt { LIMITED } else { colour };
    let label = format!("{} on {}", name(&answer.guest), name(&answer.host));
    Ok(answered(&headers, &Badge { label, message, colour }))
}

/// Until when a validation holds: as an agreement has it that is fulfilled by it, else by the
/// certificate's own rule.
async fn until(site: &Site, view: &View, answer: &Answer) -> Result<Option<Date>, Refused> {
    for number in 0..site.agreements().len() {
        let Some(plan) = site.plan(view, number).await? else { continue };
        let of_pair = plan.obligations.iter().filter(|owed| {
            Some(owed.guest.as_str()) == answer.guest_id.as_deref()
                && Some(owed.host.as_str()) == answer.host_id.as_deref()
        });
        for owed in of_pair {
            match owed.state {
                Stands::Fulfilled { until, .. } => return Ok(until),
                Stands::AboutToLapse { until, .. } => return Ok(Some(until)),
                _ => {}
            }
        }
    }
    Ok(answer.certificate.as_ref().map(|certificate| certificate.record.until))
}

async fn agreement(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let id = id.strip_suffix(".svg").unwrap_or(&id);
    let missing = || Refused::NotFound(format!("There is no agreement {id:?} here."));
    let (number, agreement) = site.agreement(id).ok_or_else(missing)?;
    let view = site.view().await?;
    let plan = site.plan(&view, number).await?.ok_or_else(missing)?;
    let sum = |of: fn(&hospitium_plan::obligation::Standing) -> usize| {
        plan.standings.iter().map(of).sum::<usize>()
    };
    let (planned, holding, late) = (sum(|s| s.planned), sum(|s| s.holding), sum(|s| s.late));
    let mut message = format!("{holding} of {planned} validated");
    if late > 0 {
        let _ = write!(message, ", {late} late");
    }
    let uncertain = plan.obligations.iter().filter(|o| o.state.holds() && o.uncertain.is_some());
    let uncertain = uncertain.count();
    if uncertain > 0 {
        let _ = write!(message, ", {uncertain} of them not certain");
    }
    let colour = match (holding, late) {
        (_, 0) if uncertain > 0 => LIMITED,
        (0, 0) => OPEN,
        (_, 0) if holding == planned => GOOD,
        (_, 0) => LIMITED,
        _ => BAD,
    };
    Ok(answered(&headers, &Badge { label: name(&agreement.title), message, colour }))
}

fn answered(headers: &HeaderMap, badge: &Badge) -> Response {
    let svg = badge.svg();
    let mut tag = Digest::of(svg.as_bytes()).to_string();
    tag.truncate(24);
    let tag = format!("\"{tag}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let kept =
        [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "public, max-age=300".to_owned())];
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    let kind = [
        (header::CONTENT_TYPE, "image/svg+xml; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    (kept, kind, svg).into_response()
}

fn cut(text: &str) -> String {
    match text.chars().nth(MOST) {
        Some(_) => text.chars().take(MOST - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

impl Badge {
    /// The picture: 20 pixels high, two halves, its words as its title.
    fn svg(&self) -> String {
        let (label, message) = (cut(&self.label), cut(&self.message));
        let wide = |text: &str| text.chars().count() * WIDTH / 10;
        let (left, right) = (wide(&label) + 12, wide(&message) + 12);
        let (all, at) = (left + right, left + 6);
        let (label_wide, message_wide) = (wide(&label), wide(&message));
        let (label, message, colour) = (escaped(&label), escaped(&message), self.colour);
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{all}" height="20" role="img" aria-label="{label}: {message}"><title>{label}: {message}</title><clipPath id="r"><rect width="{all}" height="20" rx="3"/></clipPath><g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3b4147"/><rect x="{left}" width="{right}" height="20" fill="{colour}"/></g><g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="6" y="14" textLength="{label_wide}" lengthAdjust="spacingAndGlyphs">{label}</text><text x="{at}" y="14" textLength="{message_wide}" lengthAdjust="spacingAndGlyphs">{message}</text></g></svg>
"##
        )
    }
}
