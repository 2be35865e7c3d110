//! What may be done to a case, as forms: which fields each has, and what its fields make.

use hospitium_desk::{
    Account, Case, Confirmation, Consent, DeclineReason, Deed, DeedKind, Engineer, Entitled,
    Entitlement, Feedback, Holder, Line, Outcome, ReproductionResult, Role, Shareable, Side, State,
    Text, Visibility, WaitFor, until,
};
use jiff::Timestamp;

use super::fields::Fields;

/// A field of a form.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What a person reads.
    pub label: &'static str,
    /// `line`, `text`, `choice`, `check`.
    pub kind: &'static str,
    /// Has to be filled in.
    pub required: bool,
    /// How it is written.
    pub hint: &'static str,
    /// What stands in it.
    pub value: String,
    /// What can be chosen: the value and its words.
    pub options: Vec<(String, String)>,
}

fn field(name: &'static str, label: &'static str, kind: &'static str) -> Field {
    Field { name, label, kind, required: true, hint: "", value: String::new(), options: Vec::new() }
}

pub fn line(name: &'static str, label: &'static str) -> Field {
    field(name, label, "line")
}

pub fn text(name: &'static str, label: &'static str) -> Field {
    field(name, label, "text")
}

pub fn choice(name: &'static str, label: &'static str, options: &[(&str, &str)]) -> Field {
    let options = options.iter().map(|(value, words)| ((*value).to_owned(), (*words).to_owned()));
    Field { options: options.collect(), ..field(name, label, "choice") }
}

impl Field {
    /// Whether a choice is taken: a field of several has them with spaces between.
    pub fn has(&self, value: &str) -> bool {
        self.value.split(' ').any(|taken| taken == value)
    }

    pub fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    pub fn value(self, value: impl ToString) -> Self {
        Self { value: value.to_string(), ..self }
    }
}

const TIME: &str = "2d, 36h, or 2026-03-02T12:00:00Z";
const HOURS: &str = "working time: 30m, 4h";
pub const GRADES: [(&str, &str); 4] = [
    ("critical", "critical: production stands still"),
    ("high", "high: production is impaired"),
    ("normal", "normal: there is a way around"),
    ("low", "low: a question"),
];
const LAYERS: [(&str, &str); 7] = [
    ("guest", "guest"),
    ("hypervisor", "hypervisor"),
    ("driver", "driver"),
    ("hardware", "hardware"),
    ("application", "application"),
    ("configuration", "configuration"),
    ("unknown", "unknown"),
];
pub const ENTITLED: [(&str, &str); 4] =
    [("yes", "entitled"), ("no", "not entitled"), ("expired", "expired"), ("unknown", "unknown")];
pub const SHARED: [(&str, &str); 4] = [
    ("problem", "the problem"),
    ("configuration", "the configuration"),
    ("evidence", "its files"),
    ("contact", "its contact"),
];
const PUBLIC: &str = "without anything of the customer's";
const WHO: [(&str, &str); 2] = [("us", "this vendor"), ("them", "the other vendor")];

/// Whether a form exists for it: the desk warns of and closes idle cases by itself, files and drafts have pages of
/// their own.
pub const fn has_form(deed: DeedKind) -> bool {
    use DeedKind as D;
    !matches!(deed, D::Opened | D::Amended | D::IdleWarned | D::AutoClosed | D::Attached)
}

/// Whether it moves the case on, so that its form stands first.
pub const fn moves(deed: DeedKind) -> bool {
    use DeedKind as D;
    matches!(
        deed,
        D::Offered
            | D::InfoRequested
            | D::InfoGiven
            | D::Accepted
            | D::Declined
            | D::Started
            | D::Waited
            | D::Answered
            | D::Proposed
            | D::Rejected
            | D::Confirmed
            | D::TransferOffered
            | D::TransferAccepted
            | D::TransferRefused
            | D::Reopened
    )
}

/// Whether a customer does it: it answers what it is asked, and says whether it is well, where this vendor owns it.
pub fn customers(deed: DeedKind, case: &Case, us: Side) -> bool {
    let owned = case.owner == us;
    match deed {
        DeedKind::Noted => true,
        DeedKind::Answered => owned && case.ball() == Holder::Customer,
        DeedKind::Confirmed | DeedKind::Rejected => owned,
        _ => false,
    }
}

/// The fields of a form.
pub fn fields(deed: DeedKind, case: &Case, account: &Account) -> Vec<Field> {
    use DeedKind as D;
    let customer = account.role == Role::Customer;
    let engineer = || {
        let own = account.engineer().map(|engineer| engineer.to_string()).unwrap_or_default();
        line("engineer", "Engineer").hint("Ann Smith <ann@vendor.example>").value(own)
    };
    let until = || line("until", "Until at the latest").hint(TIME).value("2d");
    let reason = || text("reason", "Why");
    match deed {
        D::Offered => vec![text("facts", "What is new since it was declined")],
        D::InfoRequested => vec![text("question", "Question"), until()],
        D::InfoGiven | D::Answered => vec![text("text", "Answer")],
        D::Accepted => vec![
            line("number", "Our case number"),
            engineer(),
            line("within", "First word within").hint(HOURS).value("4h"),
            text("escalation", "How to escalate here").optional(),
        ],
        D::Declined => vec![
            choice(
                "why",
                "Why",
                &[
                    ("not-validated", "not validated"),
                    ("no-entitlement", "the customer is not entitled"),
                    ("excluded-feature", "the agreement excludes the feature"),
                    ("duplicate", "duplicate of another case"),
                    ("out-of-scope", "out of scope"),
                ],
            ),
            line("feature", "The excluded feature").optional(),
            line("of", "The other case").optional().hint("its whole id"),
            text("next", "What the customer can do now"),
        ],
        D::Waited => vec![
            choice(
                "for",
                "For",
                &[
                    ("customer", "the customer"),
                    ("submitter", "the submitter"),
                    ("receiver", "the receiver"),
                    ("our-reproduction", "a reproduction by us"),
                    ("their-reproduction", "a reproduction by the other vendor"),
                ],
            ),
            reason(),
            until(),
        ],
        D::PauseExtended => vec![reason(), until()],
        D::Proposed => {
            let mut fields = vec![
                choice("layer", "Where the fault lies", &LAYERS),
                text("resolution", "What solves it"),
                line("fixes", "Updates or articles").optional().hint("several with commas between"),
                text("workaround", "What helps until then").optional(),
                text("issue", "Known issue for the catalog").optional().hint(PUBLIC),
            ];
            // Without a certificate there is nothing to suspend.
            let suspend = text("suspend", "Suspend the certificate, and why").optional();
            fields.extend(case.verdict.certificate.as_ref().map(|_| suspend.hint(PUBLIC)));
            fields.push(text("check", "A check that would have found it").optional());
            fields
        }
        D::Rejected => vec![text("comment", "What is still wrong")],
        D::Confirmed if customer => vec![text("text", "In your words").optional()],
        D::Confirmed => vec![
            line("by", "Who at the customer says so"),
            text("text", "In the customer's words").optional(),
        ],
        D::TransferOffered | D::Reopened => vec![reason()],
        D::TransferAccepted => vec![engineer()],
        D::TransferRefused | D::Withdrawn => vec![text("comment", "Why")],
        D::Noted if customer => vec![text("text", "Your words")],
        D::Noted => vec![
            text("text", "Note"),
            choice(
                "visibility",
                "Who reads it",
                &[("both", "both vendors"), ("customer", "both vendors and the customer")],
            ),
        ],
        D::ActionAdded => vec![
            text("what", "What has to be done"),
            choice("by", "By", &WHO),
            line("until", "Due").hint(TIME).value("2d"),
        ],
        D::ActionDone => {
            let open = case.actions.iter().enumerate().filter(|(_, action)| action.done.is_none());
            let options = open.map(|(n, a)| (n.to_string(), crate::model::name(a.what.as_str())));
            vec![Field { options: options.collect(), ..field("action", "Which", "choice") }]
        }
        D::Assigned => {
            vec![engineer(), field("lead", "Leads the work of both vendors", "check").optional()]
        }
        D::Numbered => vec![line("number", "Our case number")],
        D::EntitlementChecked => {
            vec![
                choice("entitled", "The customer is", &ENTITLED),
                line("note", "Contract, or why not").optional(),
            ]
        }
        D::ConsentGiven => vec![
            Field { kind: "checks", ..choice("covers", "What may be shared", &SHARED) },
            line("by", "Who at the customer said so"),
        ],
        D::ConsentWithdrawn => vec![line("by", "Who at the customer said so")],
        D::ReproductionAsked => vec![
            text("what", "What is to be tried"),
            choice("by", "By", &[WHO[1], WHO[0]]),
            choice(
                "place",
                "Where",
                &[
                    ("own-hypervisor", "on its own hypervisor"),
                    ("bare-metal", "without a hypervisor"),
                    ("validated-configuration", "on the nearest validated configuration"),
                ],
            ),
        ],
        D::Reproduced => {
            let open =
                case.reproductions.iter().enumerate().filter(|(_, tried)| tried.result.is_none());
            let options =
                open.map(|(n, tried)| (n.to_string(), crate::model::name(tried.what.as_str())));
            vec![
                Field { options: options.collect(), ..field("reproduction", "Which", "choice") },
                choice(
                    "shown",
                    "What it showed",
                    &[
                        ("reproduced", "the fault is there"),
                        ("not-reproduced", "the fault is not there"),
                        ("inconclusive", "nothing clear"),
                    ],
                ),
                text("text", "In words"),
            ]
        }
        D::Escalated => {
            let from = case.escalations.last().map_or(0, |last| last.level);
            let options = (from + 1..=4).map(|level| (level.to_string(), format!("level {level}")));
            vec![Field { options: options.collect(), ..field("level", "To", "choice") }, reason()]
        }
        D::SeverityChanged | D::PriorityChanged => {
            vec![choice("grade", "To", &GRADES), reason()]
        }
        D::FactsAdded => vec![text("text", "What became known")],
        D::Opened | D::Amended | D::Started | D::IdleWarned | D::AutoClosed | D::Attached => {
            Vec::new()
        }
    }
}

/// What the fields of a form make.
///
/// # Errors
/// What is wrong with which field.
pub fn deed(
    kind: DeedKind,
    given: &Fields,
    case: &Case,
    us: Side,
    account: &Account,
    now: Timestamp,
) -> Result<Deed, String> {
    use DeedKind as D;
    let words = |name: &'static str, label: &str| given.must::<Text>(name, label);
    let reason = || words("reason", "Why");
    let time = || {
        let text = given.get("until").ok_or("Until when is missing.")?;
        until(text, now).map_err(|why| format!("{why}."))
    };
    let engineer = || given.must::<Engineer>("engineer", "Engineer");
    let number = |name: &'static str, label: &str| given.must::<u32>(name, label);
    let side = |name: &str| match given.get(name) {
        Some("us") => Ok(us),
        Some("them") => Ok(us.other()),
        _ => Err("By whom is missing.".to_owned()),
    };
    Ok(match kind {
        D::Offered => Deed::Offered { new_facts: given.may("facts", "What is new")? },
        D::InfoRequested => {
            Deed::InfoRequested { question: words("question", "Question")?, until: time()? }
        }
        D::InfoGiven => Deed::InfoGiven { answer: words("text", "Answer")? },
        D::Answered => Deed::Answered { text: words("text", "Answer")? },
        D::Accepted => Deed::Accepted {
            number: given.must("number", "Our case number")?,
            engineer: engineer()?,
            respond_within: given.must("within", "First word within")?,
            escalation: given.may("escalation", "How to escalate")?,
        },
        D::Declined => {
            let next_step = words("next", "What the customer can do now")?;
            let reason = match given.get("why") {
                Some("no-entitlement") => DeclineReason::NoEntitlement,
                Some("not-validated") => DeclineReason::NotValidated,
                Some("excluded-feature") => DeclineReason::ExcludedFeature {
                    feature: given.must("feature", "The excluded feature")?,
                },
                Some("duplicate") => {
                    DeclineReason::Duplicate { case: given.must("of", "The other case")? }
                }
                Some("out-of-scope") => DeclineReason::OutOfScope,
                _ => return Err("Why is missing.".to_owned()),
            };
            Deed::Declined { reason, next_step }
        }
        D::Started => Deed::Started {},
        D::Waited => {
            let wait = match given.get("for") {
                Some("customer") => WaitFor::Customer,
                Some("submitter") => WaitFor::Submitter,
                Some("receiver") => WaitFor::Receiver,
                Some("our-reproduction") => WaitFor::Reproduction { by: us },
                Some("their-reproduction") => WaitFor::Reproduction { by: us.other() },
                _ => return Err("For whom is missing.".to_owned()),
            };
            Deed::Waited { wait, reason: reason()?, until: time()? }
        }
        D::PauseExtended => Deed::PauseExtended { reason: reason()?, until: time()? },
        D::Proposed => {
            let certificate = case.verdict.certificate.clone();
            let issue = given.may::<Text>("issue", "Known issue")?;
            let mut feedback = Vec::new();
            let known = certificate.clone();
            feedback.extend(issue.map(|text| Feedback::KnownIssue { certificate: known, text }));
            match (given.may::<Text>("suspend", "Why it is suspended")?, certificate) {
                (Some(reason), Some(certificate)) => {
                    feedback.push(Feedback::Suspend { certificate, reason });
                }
                (Some(_), None) => {
                    return Err(
                        "No certificate bore the verdict out, so none can be suspended.".to_owned()
                    );
                }
                (None, _) => {}
            }
            let check = given.may::<Text>("check", "The check")?;
            feedback.extend(check.map(|requirement| Feedback::NewCheck { requirement }));
            let fixes = given.get("fixes").unwrap_or_default().split(',').map(str::trim);
            let fixes: Result<Vec<Line>, _> =
                fixes.filter(|fix| !fix.is_empty()).map(str::parse).collect();
            let outcome = Outcome {
                layer: given.word("layer", "Where the fault lies")?,
                resolution: words("resolution", "What solves it")?,
                fixes: fixes.map_err(|error| format!("Updates: {error}."))?,
                workaround: given.may("workaround", "What helps until then")?,
                feedback,
            };
            Deed::Proposed { outcome: Box::new(outcome) }
        }
        D::Rejected => Deed::Rejected { comment: words("comment", "What is still wrong")? },
        D::Confirmed => {
            let by = match account.role {
                // A customer confirms in its own name, if that may go out; else in its organisation's.
                Role::Customer => {
                    let named = case.not_allowed(&[Shareable::Contact]).is_empty();
                    let own = account.customer.as_ref().filter(|_| !named);
                    own.unwrap_or(&account.name).clone()
                }
                _ => given.must("by", "Who says so")?,
            };
            let text = given.may("text", "The customer's words")?;
            Deed::Confirmed { confirmation: Confirmation { by, text } }
        }
        D::TransferOffered => Deed::TransferOffered { reason: reason()? },
        D::TransferAccepted => Deed::TransferAccepted { engineer: engineer()? },
        D::TransferRefused => Deed::TransferRefused { comment: words("comment", "Why")? },
        D::Withdrawn => Deed::Withdrawn { comment: words("comment", "Why")? },
        D::Reopened => Deed::Reopened { reason: reason()? },
        D::Noted => {
            let visibility = match account.role {
                Role::Customer => Visibility::Customer,
                _ => given.word("visibility", "Who reads it")?,
            };
            Deed::Noted { visibility, text: words("text", "Note")? }
        }
        D::ActionAdded => Deed::ActionAdded {
            what: words("what", "What has to be done")?,
            by: side("by")?,
            due: time()?,
        },
        D::ActionDone => Deed::ActionDone { action: number("action", "Which")? },
        D::Assigned => Deed::Assigned { engineer: engineer()?, lead: given.get("lead").is_some() },
        D::Numbered => Deed::Numbered { number: given.must("number", "Our case number")? },
        D::EntitlementChecked => {
            let entitled: Entitled = given.word("entitled", "The customer is")?;
            let note = given.may("note", "Contract")?;
            Deed::EntitlementChecked { entitlement: Entitlement { entitled, checked: now, note } }
        }
        D::ConsentGiven => {
            let by = given.must("by", "Who said so")?;
            Deed::ConsentGiven { consent: Consent { by, at: now, covers: covers(given)? } }
        }
        D::ConsentWithdrawn => Deed::ConsentWithdrawn { by: given.must("by", "Who said so")? },
        D::ReproductionAsked => Deed::ReproductionAsked {
            by: side("by")?,
            place: given.word("place", "Where")?,
            what: words("what", "What is to be tried")?,
        },
        D::Reproduced => Deed::Reproduced {
            reproduction: number("reproduction", "Which")?,
            result: ReproductionResult {
                shown: given.word("shown", "What it showed")?,
                text: words("text", "In words")?,
                machine: None,
            },
        },
        D::Escalated => {
            Deed::Escalated { level: given.must("level", "To which level")?, reason: reason()? }
        }
        D::SeverityChanged => {
            Deed::SeverityChanged { severity: given.word("grade", "To")?, reason: reason()? }
        }
        D::PriorityChanged => {
            Deed::PriorityChanged { priority: given.word("grade", "To")?, reason: reason()? }
        }
        D::FactsAdded => {
            Deed::FactsAdded { text: words("text", "What became known")?, configuration: None }
        }
        D::Opened | D::Amended | D::IdleWarned | D::AutoClosed | D::Attached => {
            return Err("There is no such form.".to_owned());
        }
    })
}

/// What a customer allows, of the boxes that are ticked.
pub fn covers(given: &Fields) -> Result<std::collections::BTreeSet<Shareable>, String> {
    let read = |word| super::fields::word(word).ok_or("What may be shared is none of the choices.");
    Ok(given.all("covers").map(read).collect::<Result<_, _>>()?)
}

/// Whether a case is one in which this vendor acts next.
pub fn is_ours(case: &Case, us: Side) -> bool {
    // Who owns the customer passes on what it says.
    case.state.is_open()
        && !matches!(case.state, State::Draft {})
        && (case.ball() == Holder::from(us) || case.ball() == Holder::Customer && case.owner == us)
}
