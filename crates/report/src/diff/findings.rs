//! What a check that passed both times saw otherwise, noise left out.

use std::collections::BTreeMap;

use hospitium_model::{CheckId, CheckRecord, Finding, Rule, Value};

use super::{FindingChange, NOISE_FACTOR, NOISE_MS};

/// Part of what a rule accepts that the witnesses' disagreement, or a number between two bounds, may
/// move by and still be the same.
const PART: f64 = 0.25;

/// The findings of a check that differ. Of several of one name the order tells which is which.
pub fn changed(check: &CheckId, old: &CheckRecord, new: &CheckRecord) -> Vec<FindingChange> {
    let (before, after) = (named(old), named(new));
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let keys = after.keys().chain(gone);
    let changes = keys.filter_map(|key| {
        let (old, new) = (before.get(key).copied(), after.get(key).copied());
        let (rule_changed, changed) = match (old, new) {
            (Some(old), Some(new)) => {
                let rule = another_rule(old, new);
                (rule, rule || saw_another(old, new))
            }
            _ => (false, true),
        };
        changed.then(|| FindingChange {
            check: check.clone(),
            what: key.0.to_owned(),
            rule_changed,
            before: old.cloned(),
            after: new.cloned(),
        })
    });
    changes.collect()
}

fn named(check: &CheckRecord) -> BTreeMap<(&str, usize), &Finding> {
    let mut named = BTreeMap::new();
    for finding in &check.observations.findings {
        let free = (0..).find(|n| !named.contains_key(&(finding.what.as_str(), *n)));
        named.insert((finding.what.as_str(), free.unwrap_or_default()), finding);
    }
    named
}

/// Whether two findings are judged otherwise. What a rule expects follows from the machine, as does
/// what is seen; so what is seen tells of it. Bounds are often computed from what was measured.
fn another_rule(old: &Finding, new: &Finding) -> bool {
    let bounds = match (&old.rule, &new.rule) {
        (Rule::Within { tolerance: a }, Rule::Within { tolerance: b }) => vec![(*a, *b)],
        (Rule::GuestBetween { least: a, most: b }, Rule::GuestBetween { least: c, most: d })
        | (Rule::HostBetween { least: a, most: b }, Rule::HostBetween { least: c, most: d }) => {
            vec![(*a, *c), (*b, *d)]
        }
        _ => vec![],
    };
    let kind = |finding: &Finding| std::mem::discriminant(&finding.rule);
    kind(old) != kind(new)
        || old.unit != new.unit
        || bounds.into_iter().any(|(was, is)| by_proportion(was, is, ""))
}

/// Whether the witnesses saw something else.
fn saw_another(old: &Finding, new: &Finding) -> bool {
    if let Rule::Within { tolerance } = &new.rule
        && let (Some(was), Some(is)) = (disagreement(old), disagreement(new))
        && (was - is).abs() > PART * tolerance.abs()
    {
        return true;
    }
    let sides = [(&old.guest, &new.guest), (&old.host, &new.host)];
    sides.into_iter().any(|(was, is)| match (was, is) {
        (None, None) => false,
        (Some(was), Some(is)) => another(new, was, is),
        _ => true,
    })
}

/// By how much the guest's number is above the host's.
fn disagreement(finding: &Finding) -> Option<f64> {
    Some(finding.guest.as_ref()?.as_f64()? - finding.host.as_ref()?.as_f64()?)
}

fn another(of: &Finding, was: &Value, is: &Value) -> bool {
    let numbers = was.as_f64().zip(is.as_f64());
    match (&of.rule, numbers) {
        // Such values are drawn anew each time.
        (Rule::Differ, _) => false,
        (
            Rule::GuestBetween { least, most } | Rule::HostBetween { least, most },
            Some((was, is)),
        ) if (most - least).abs() < 1e9 => (was - is).abs() > PART * (most - least).abs(),
        (
            Rule::Within { .. }
            | Rule::GuestBetween { .. }
            | Rule::HostBetween { .. }
            | Rule::Recorded,
            Some((was, is)),
        ) => by_proportion(was, is, &of.unit),
        (Rule::Recorded, None) => !(was.same(is) || is_drawn(was) && is_drawn(is)),
        _ => !was.same(is),
    }
}

/// Whether one number is more than so many times the other; of times, if they are far enough apart
/// besides.
fn by_proportion(was: f64, is: f64, unit: &str) -> bool {
    let apart = match unit {
        "ns" => 1e6 * NOISE_MS,
        "us" | "µs" => 1e3 * NOISE_MS,
        "ms" => NOISE_MS,
        "s" => NOISE_MS / 1e3,
        _ => 0.0,
    };
    let (least, most) = (was.abs().min(is.abs()), was.abs().max(is.abs()));
    let signs_differ = was * is < 0.0;
    (was - is).abs() > apart && (signs_differ || most > least * NOISE_FACTOR)
}

/// Identifiers, digests and random numbers: 16 hexadecimal digits or more. Where they are recorded
/// and not judged, they are of one run alone.
fn is_drawn(value: &Value) -> bool {
    match value {
        Value::Text(text) => {
            let digits = text.chars().filter(char::is_ascii_hexdigit).count();
            digits >= 16 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        }
        Value::List(list) => !list.is_empty() && list.iter().all(is_drawn),
        _ => false,
    }
}
