//! What a case has and TSANet Connect has no field for: as custom fields, and in a line behind the description.

use crate::case::{Case, State};
use crate::people::Shareable;
use crate::text::Line;

/// The mark of the line behind a description.
const MARK: &str = "\n\n[Hospitium] ";

/// The names of our custom fields that are read back.
pub const CASE: &str = "Case";
pub const CUSTOMER: &str = "Customer";
pub const CUSTOMER_REFERENCE: &str = "Customer's reference";
pub const SEVERITY: &str = "Severity";
pub const GUEST: &str = "Guest";
pub const HOST: &str = "Host";
pub const CHANGED: &str = "What changed before it began";
pub const TRIED: &str = "Tried already";
pub const VERDICT: &str = "Verdict at opening";

/// A custom field of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub value: String,
}

/// What has no published field, by names that a person reads. The consent for problem and configuration is there.
pub fn custom_fields(case: &Case) -> Vec<Field> {
    let mut all = Vec::new();
    let mut add = |name, value: String| {
        if !value.is_empty() {
            all.push(Field { name, value });
        }
    };
    let lines = |lines: &[Line]| lines.iter().map(Line::as_str).collect::<Vec<_>>().join("\n");
    let (configuration, verdict) = (&case.configuration, &case.verdict);
    add(CASE, case.id.to_string());
    add(CUSTOMER, case.customer.name.to_string());
    add(CUSTOMER_REFERENCE, text(case.customer.reference.as_ref()));
    if case.not_allowed(&[Shareable::Contact]).is_empty() {
        add("Customer's contact", text(case.customer.contact.as_ref()));
    }
    add(SEVERITY, case.problem.severity.to_string());
    add(CHANGED, text(case.problem.changed.as_ref()));
    add(TRIED, lines(&case.problem.steps));
    add(GUEST, configuration.guest.to_string());
    add(HOST, configuration.host.to_string());
    add("vCPUs", text(configuration.vcpus.as_ref()));
    add("Memory in bytes", text(configuration.memory.as_ref()));
    add("Machine", lines(&configuration.machine));
    add("Buses", lines(&configuration.buses));
    let drivers = configuration.drivers.iter();
    let drivers = drivers.map(|driver| format!("{} {}", driver.name, driver.version));
    add("Drivers", drivers.collect::<Vec<_>>().join("\n"));
    add("Features in use", lines(&configuration.features));
    add("Configuration's SHA-256", case.fingerprint.to_string());
    add(VERDICT, format!("{} (as of {})", verdict.word, verdict.as_of));
    add("Deciding rule", verdict.rule.words.to_string());
    add("Certificate", text(verdict.certificate.as_ref()));
    add("Nearest validated configurations", lines(&verdict.nearest));
    add("Who answers by the agreement", lines(&verdict.answers));
    if let State::ResolutionProposed { outcome, .. } | State::Closed { outcome, .. } = &case.state {
        add("Layer at fault", outcome.layer.to_string());
        add("Resolution", outcome.resolution.to_string());
        add("Fixes", lines(&outcome.fixes));
        add("Workaround", text(outcome.workaround.as_ref()));
    }
    all
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// The description, and behind it in short what a reader needs where custom fields are not shown.
pub fn described(case: &Case) -> String {
    let (configuration, verdict) = (&case.configuration, &case.verdict);
    let rule = verdict.rule.words.as_str().lines().next().unwrap_or_default();
    format!(
        "{}{MARK}{} on {}: {} (as of {}), decided by: {rule}. Severity {}. {}",
        case.problem.description,
        configuration.guest,
        configuration.host,
        verdict.word,
        verdict.as_of,
        case.problem.severity,
        case.id
    )
}

/// A description without the line that [`described`] puts behind it.
pub fn undescribed(description: &str) -> &str {
    match description.rsplit_once(MARK) {
        Some((before, behind)) if !behind.contains('\n') => before,
        _ => description,
    }
}
