//! The end of a run on the terminal: the matrix, what failed, where everything is, what to do next.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use hospitium_model::{CheckRecord, Verdict};
use hospitium_report::words;
use hospitium_run::{CellSummary, RunSummary};

use crate::view::{Paint, safe, time, word, wrapped};

/// Failures that are shown with their reasons; of more, the report tells.
const SHOWN: usize = 20;

/// The text. `folder` is the run's folder as the person would name it.
pub fn text(summary: &RunSummary, folder: &Path, paint: Paint, selected_all: bool) -> String {
    let mut out = String::new();
    matrix(&mut out, summary, paint);
    failures(&mut out, summary, folder, paint);
    repeated(&mut out, summary, paint);
    notes(&mut out, summary, selected_all);
    let _ = writeln!(out);
    let _ = writeln!(out, "Report    {}", folder.join("report.html").display());
    match &summary.archive {
        Ok(_) => {
            let _ = writeln!(out, "Evidence  {}", folder.join("evidence.tar.zst").display());
        }
        Err(why) => {
            let _ = writeln!(
                out,
                "Evidence  {} (not packed: {})",
                folder.join("evidence").display(),
                safe(why)
            );
        }
    }
    let _ = writeln!(out, "Time      {}", time(summary.took_ms));
    out
}

fn matrix(out: &mut String, summary: &RunSummary, paint: Paint) {
    let width = |of: fn(&CellSummary) -> &str| {
        summary.cells.iter().map(|c| of(c).chars().count()).max().unwrap_or(0)
    };
    let guests = width(|cell| &cell.record.guest.name).min(44);
    let hosts = width(|cell| &cell.record.host.name).min(34);
    let _ = writeln!(out);
    for cell in &summary.cells {
        let guest = safe(&cell.record.guest.name).chars().take(guests).collect::<String>();
        let host = safe(&cell.record.host.name).chars().take(hosts).collect::<String>();
        let counts = counts(&cell.checks);
        let mut shown: Vec<String> = Vec::new();
        for word in ["pass", "fail", "flaky", "error", "miss", "skip"] {
            if let Some(count) = counts.get(word) {
                shown.push(paint.verdict(word, &format!("{count} {word}")));
            }
        }
        let boot = match cell.record.timings.boot_ms {
            Some(ms) => format!("boot {}", time(ms)),
            None if cell.record.failure.is_some() && !cell.record.canary_failed => "no boot".into(),
            None => {
                let day = cell.record.booted.map(|at| at.strftime(", of %Y-%m-%d").to_string());
                format!("no boot: from the cache{}", day.unwrap_or_default())
            }
        };
        let void = if cell.record.failure.is_some() {
            format!("  {}", paint.verdict("fail", "not validated"))
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "  {}  {host:<hosts$}  {}{void}  {}",
            paint.bold(&format!("{guest:<guests$}")),
            shown.join("  "),
            paint.dim(&boot),
        );
    }
    for name in &summary.run.not_started {
        let _ = writeln!(out, "  {name}  {}", paint.verdict("miss", "not started"));
    }
}

fn counts(checks: &[CheckRecord]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for check in checks {
        *counts.entry(word(&check.verdict, check.flaky())).or_default() += 1;
    }
    counts
}

fn failures(out: &mut String, summary: &RunSummary, folder: &Path, paint: Paint) {
    let several = summary.cells.len() > 1;
    let mut shown = 0;
    let mut more = 0;
    for cell in &summary.cells {
        if let Some(why) = &cell.record.failure {
            let _ = writeln!(
                out,
                "\n{} {}",
                paint.verdict("fail", "not validated"),
                paint.bold(&cell.record.name)
            );
            let first: Vec<_> = why.lines().take(30).collect();
            let _ = writeln!(
                out,
                "{}",
                wrapped(
                    &first.join(
                        "
"
                    ),
                    "    "
                )
            );
        }
        // A guest that did not come up has been told of above.
        let booted = cell.record.failure.is_none() || cell.record.canary_failed;
        let bad = |check: &&CheckRecord| {
            booted && matches!(check.verdict, Verdict::Fail { .. } | Verdict::Error { .. })
        };
        for check in cell.checks.iter().filter(bad) {
            if shown == SHOWN {
                more += 1;
                continue;
            }
            shown += 1;
            let word = word(&check.verdict, check.flaky());
            let flaky = check
                .flaky()
                .map(|(k, n)| format!(" (failed {k} of {n} times)"))
                .unwrap_or_default();
            let of =
                if several { paint.dim(&format!("  {}", cell.record.name)) } else { String::new() };
            let _ = writeln!(
                out,
                "\n{} {}{flaky}{of}",
                paint.verdict(word, word),
                paint.bold(check.id.as_str())
            );
            let first: Vec<_> = check.verdict.reason().lines().take(12).collect();
            let _ = writeln!(
                out,
                "{}",
                wrapped(
                    &first.join(
                        "
"
                    ),
                    "    "
                )
            );
            let which =
                if several { format!(" --cell {}", cell.record.name) } else { String::new() };
            let command = format!("hospitium replay {} {}{which}", folder.display(), check.id);
            let _ = writeln!(out, "    {}", paint.dim(&command));
        }
    }
    if more > 0 {
        let _ = writeln!(out, "\nand {more} more; the report has them all");
    }
}

/// How often each check passed that was repeated.
fn repeated(out: &mut String, summary: &RunSummary, paint: Paint) {
    let several = summary.cells.len() > 1;
    let all = summary.cells.iter().flat_map(|cell| cell.checks.iter().map(move |c| (cell, c)));
    let all: Vec<_> = all.filter_map(|(cell, c)| Some((cell, c, c.repeats.as_ref()?))).collect();
    let Some((_, _, first)) = all.first() else { return };
    let _ = writeln!(out, "\nRepeated {}", first.asked);
    for (cell, check, repeats) in all.iter().take(3 * SHOWN) {
        let of = if several { format!("  {}", cell.record.name) } else { String::new() };
        let word = if repeats.all_passed() { "pass" } else { check.verdict.word() };
        let words = paint.verdict(word, &words::repeated(repeats));
        let took = paint.dim(&words::repetitions_took(repeats));
        let _ = writeln!(out, "  {}{of}  {words}; {took}", check.id);
    }
    if all.len() > 3 * SHOWN {
        let _ = writeln!(out, "  and {} more; the report has them all", all.len() - 3 * SHOWN);
    }
}

fn notes(out: &mut String, summary: &RunSummary, selected_all: bool) {
    let mut all = Vec::new();
    if let Some(why) = &summary.run.cut_off {
        let checks = summary.cells.iter().flat_map(|cell| &cell.checks);
        let kept = checks.filter(|check| check.verdict.ran()).count();
        all.push(format!(
            "The run was cut off: {why}. What had been finished is kept ({kept} checks); the rest is \
             marked as miss."
        ));
    }
    let emulated = summary.cells.iter().map(|cell| &cell.record.host.accelerator);
    if let Some(proof) = emulated.into_iter().find(|proof| !proof.used.is_hardware()) {
        all.push(format!(
            "Guests ran under emulation, which says nothing about the hardware path. {}",
            proof.how
        ));
    }
    if !selected_all {
        all.push(
            "Only some checks were selected; a run that leaves out a required one cannot certify."
                .into(),
        );
    }
    for note in all {
        let _ = writeln!(out, "\n{}", wrapped(&note, ""));
    }
}
