//! Answers: the page of a question, the page of a pair, and the static site's list of all pairs.

use askama::Template;
use hospitium_catalog::{Answer, Certified, Reply};
use hospitium_model::standing::{Assurance, assurance_words};

use super::{Context, Frame, Text, name, sentence};
use crate::Refused;
use crate::mark::Mark;

/// The page.
#[derive(Debug, Template)]
#[template(path = "answer.html")]
pub struct AnswerPage {
    frame: Frame,
    question: String,
    trouble: String,
    sides: Vec<Unclear>,
    answer: Option<Shown>,
}

#[derive(Debug)]
struct Unclear {
    side: &'static str,
    text: String,
    candidates: Vec<(Text, String)>,
}

#[derive(Debug)]
struct Shown {
    mark: Mark,
    guest: Text,
    host: Text,
    asked: Vec<String>,
    rule: String,
    rule_name: &'static str,
    limits: Vec<String>,
    certificate: Option<Certificate>,
    conflict: Vec<String>,
    reasons: Vec<String>,
    set_aside: Vec<String>,
    nearest: Vec<(Text, String, Text)>,
    support: Vec<(Text, Vec<String>)>,
    warnings: Vec<String>,
    heads: Vec<String>,
    assurance: String,
    assurance_name: &'static str,
    assurance_meaning: &'static str,
    meaning: &'static str,
}

#[derive(Debug)]
struct Certificate {
    words: String,
    href: String,
    short: String,
    tested: Vec<String>,
}

impl AnswerPage {
    /// The form, with nothing asked.
    pub fn empty(context: Context<'_>) -> Self {
        let frame = context.frame(0, "ask");
        let (question, trouble) = (String::new(), String::new());
        Self { frame, question, trouble, sides: Vec::new(), answer: None }
    }

    /// The answer to a question; one that cannot be understood is told why on the page.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ask(context: Context<'_>, question: &str) -> Result<Self, Refused> {
        let mut page = Self::empty(context);
        page.question = hospitium_report::words::visible(question, 500);
        match context.site.desk(context.view).ask(question).await {
            Ok(reply) => page.take(context, reply),
            Err(hospitium_catalog::CatalogError::Question(why)) => {
                page.trouble = sentence(&why.to_string());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(page)
    }

    /// The answer for a pair, each side by the end of its address.
    ///
    /// # Errors
    /// If a side is not known, or the database fails.
    pub async fn pair(context: Context<'_>, guest: &str, host: &str) -> Result<Self, Refused> {
        let Context { site, view, .. } = context;
        let side = |slug, of_guest: bool| {
            site.named(view, of_guest, slug).ok_or_else(|| {
                let side = if of_guest { "guest" } else { "host" };
                Refused::NotFound(format!(
                    "No product and no record here has a {side} of this name: {slug}"
                ))
            })
        };
        let (guest, host) = (side(guest, true)?, side(host, false)?);
        let mut page = Self::empty(context);
        page.frame = context.frame(2, "ask");
        page.question = name(&format!("{guest} on {host}"));
        let reply = site.desk(view).ask_pair(&guest, &host).await?;
        page.take(context, reply);
        Ok(page)
    }

    /// The answer's word, if there is one, and the names of both sides.
    pub fn told(&self) -> Option<(Mark, String, String)> {
        let answer = self.answer.as_ref()?;
        Some((answer.mark, answer.guest.text.clone(), answer.host.text.clone()))
    }

    fn take(&mut self, context: Context<'_>, reply: Reply) {
        match reply {
            Reply::Answer(answer) => self.answer = Some(shown(&context, &self.frame, &answer)),
            Reply::Unclear { sides, .. } => {
                self.sides = sides
                    .iter()
                    .map(|side| Unclear {
                        side: side.side,
                        text: name(&side.text),
                        candidates: side
                            .candidates
                            .iter()
                            .map(|(short, title)| {
                                let asked = replaced(&self.question, &side.text, short);
                                let href = self.frame.links.question(&asked);
                                (Text::link(name(title), href), name(short))
                            })
                            .collect(),
                    })
                    .collect();
            }
        }
    }
}

/// The question with one side said clearly.
fn replaced(question: &str, unclear: &str, clear: &str) -> String {
    let at = question.to_lowercase().find(&unclear.to_lowercase());
    let parts = at.and_then(|at| Some((question.get(..at)?, question.get(at + unclear.len()..)?)));
    match parts {
        Some((before, after)) => format!("{before}{clear}{after}"),
        None => clear.to_owned(),
    }
}

fn shown(context: &Context<'_>, frame: &Frame, answer: &Answer) -> Shown {
    let links = &frame.links;
    let side =
        |id: &Option<String>, own: &str| match id.as_deref().and_then(|id| context.product(id)) {
            Some(product) => Text::link(name(own), links.product(product.short())),
            None => Text::plain(name(own)),
        };
    let lines = |lines: &[String]| lines.iter().map(|line| sentence(line)).collect();
    let certificate = |certified: &Certified| Certificate {
        words: sentence(&certified.words()),
        href: links.certificate(&certified.record.digest),
        short: certified.record.digest.chars().take(12).collect(),
        tested: certified.tested.iter().map(|line| name(line)).collect(),
    };
    let nearest = answer.nearest.iter().map(|near| {
        let title = format!("{} on {}", near.guest, near.host);
        let record = &near.certificate.record;
        let short: String = record.digest.chars().take(12).collect();
        let asked = format!("{} on {}", near.guest, near.host);
        let pair = match context.live {
            true => links.question(&asked),
            false => links.certificate(&record.digest),
        };
        (
            Text::link(name(&title), pair),
            sentence(&near.why),
            Text::link(short, links.certificate(&record.digest)),
        )
    });
    let support = answer.support.iter().map(|support| {
        let agreement =
            context.site.agreements().iter().find(|agreement| agreement.title == support.agreement);
        let title = name(&support.agreement);
        let title = match agreement {
            Some(agreement) => Text::link(title, links.agreement(&agreement.id)),
            None => Text::plain(title),
        };
        (title, lines(&support.words))
    });
    Shown {
        mark: answer.verdict.into(),
        guest: side(&answer.guest_id, &answer.guest),
        host: side(&answer.host_id, &answer.host),
        asked: answer.asked.words().iter().map(|word| name(word)).collect(),
        rule: sentence(&answer.rule_words),
        rule_name: answer.rule.name(),
        limits: lines(&answer.limits),
        certificate: answer.certificate.as_ref().map(certificate),
        conflict: answer
            .conflict
            .iter()
            .map(|said| {
                let (party, place) = (name(&said.party), name(&said.place));
                format!("{party} says that it {} on {} ({place})", said.says, said.on)
            })
            .collect(),
        reasons: lines(&answer.reasons),
        set_aside: lines(&answer.set_aside),
        nearest: nearest.collect(),
        support: support.collect(),
        warnings: lines(&answer.warnings),
        heads: lines(&answer.heads),
        assurance: answer
            .assurance
            .map(|_| sentence(&assurance_words(&answer.assured_by)))
            .unwrap_or_default(),
        assurance_name: answer.assurance.map_or("", Assurance::words),
        assurance_meaning: answer.assurance.map_or("", Assurance::meaning),
        meaning: answer.verdict.meaning(),
    }
}

/// The static site's list of pairs.
#[derive(Debug, Template)]
#[template(path = "pairs.html")]
pub struct PairsPage {
    /// What every page has.
    pub frame: Frame,
    /// Guest, host, the answer's word, and where the answer is.
    pub pairs: Vec<(String, String, Option<Mark>, String)>,
    /// What was left out, in a sentence.
    pub left_out: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_takes_the_place_of_what_was_unclear() {
        assert_eq!(
            replaced("Rhel on qemu 7.2, 4 vcpu", "rhel", "rhel5.3"),
            "rhel5.3 on qemu 7.2, 4 vcpu"
        );
        assert_eq!(replaced("İ on x", "nothing", "osa"), "osa");
    }
}
