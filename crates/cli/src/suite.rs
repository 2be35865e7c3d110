//! `hospitium suite`: the checks, and which of them a certificate requires.

use anyhow::Result;
use hospitium_model::{PROFILES, STANDARD};
use hospitium_run::Selection;
use hospitium_suite::Check;
use serde_json::{Value, json};

use crate::args::SuiteCommand;
use crate::failure::End;
use crate::out::out;
use crate::view::{Paint, time};

/// `hospitium suite …`.
pub fn suite(command: &SuiteCommand) -> Result<End> {
    match command {
        SuiteCommand::List { check, json } => {
            let checks = Selection { only: check.clone(), without: vec![] }.of_suite()?;
            if *json { print(&checks) } else { list(&checks) }
        }
        SuiteCommand::Show { id, json } => {
            let checks = Selection { only: vec![id.clone()], without: vec![] }.of_suite()?;
            if *json { print(&checks) } else { checks.iter().for_each(|check| show(check)) }
        }
        SuiteCommand::Profiles { json } => profiles(*json)?,
    }
    Ok(End::Good)
}

fn print(checks: &[&'static Check]) {
    let checks: Vec<_> = checks.iter().map(|check| value(check)).collect();
    out!("{}", json!({ "schema": "hospitium-suite/1", "checks": checks }));
}

fn value(check: &Check) -> Value {
    let needs: Vec<_> = check.needs.iter().map(|need| format!("{need:?}")).collect();
    json!({
        "id": check.id,
        "subsystem": check.id().subsystem().title(),
        "requirement": check.requirement.trim(),
        "tier": check.tier.number(),
        "limit_seconds": check.limit.as_secs_f64(),
        "needs": needs,
    })
}

fn list(checks: &[&'static Check]) {
    let paint = Paint::stdout();
    let width = checks.iter().map(|check| check.id.len()).max().unwrap_or(0);
    let mut subsystem = None;
    for check in checks {
        let of = check.id().subsystem();
        if subsystem.replace(of) != Some(of) {
            out!("\n{}", paint.bold(of.title()));
        }
        out!("  {:<width$}  {}  {}", check.id, check.tier.number(), check.requirement.trim());
    }
    out!(
        "\n{} checks; the number is the tier: 0 reads only, 1 reversible, 2 disruptive, 3 needs a second host",
        checks.len()
    );
}

fn show(check: &Check) {
    out!("{}", Paint::stdout().bold(check.id));
    out!("  requirement  {}", check.requirement.trim());
    out!("  subsystem    {}", check.id().subsystem().title());
    out!("  tier         {} ({:?})", check.tier.number(), check.tier);
    out!("  limit        {}", time(check.limit.as_secs_f64() * 1e3));
    for need in check.needs {
        out!("  needs        {need:?}");
    }
}

/// The profiles that agreements can ask for.
fn profiles(as_json: bool) -> Result<()> {
    let every = Selection { only: vec![], without: vec![] }.of_suite()?;
    let of = |profile: &str| if profile == STANDARD { every.clone() } else { Vec::new() };
    if as_json {
        let profiles: Vec<_> = PROFILES
            .iter()
            .map(|profile| {
                let checks: Vec<_> = of(profile).iter().map(|check| check.id).collect();
                json!({ "name": profile, "checks": checks })
            })
            .collect();
        out!("{}", json!({ "schema": "hospitium-profiles/1", "profiles": profiles }));
        return Ok(());
    }
    for profile in PROFILES {
        out!(
            "{profile:<12} {} checks: every check of the suite that applies to the pair",
            of(profile).len()
        );
    }
    Ok(())
}
