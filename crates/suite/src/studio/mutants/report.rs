//! The score as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{BAR, COVERED, Class, Kind, Reasons, Score, Survivor};

/// The score, its survivors by check, and whether it reaches the bar.
pub fn summary(scores: &[Score], reasons: &Reasons, all: bool) -> (String, bool) {
    let mut out = String::new();
    let mut good = true;
    survivors(&mut out, scores, reasons, all, &mut good);
    by_check(&mut out, scores, reasons);
    by_kind(&mut out, scores, reasons);
    findings(&mut out, scores, reasons, &mut good);
    let (noticed, survived, unexplained) = scores.iter().fold((0, 0, 0), |sums, score| {
        let (noticed, survived, unexplained) = sums;
        let all = score.unexplained().count();
        (noticed + score.noticed(), survived + counting(score, reasons).count(), unexplained + all)
    });
    let class = |class| {
        let all = scores.iter().flat_map(|score| &score.survivors);
        all.filter(|(_, survivor)| survivor.class == Some(class)).count()
    };
    let share = share(noticed, survived);
    let sum = |of: fn(&Score) -> usize| scores.iter().map(of).sum::<usize>();
    let _ = writeln!(
        out,
        "{noticed} of {} alterations were noticed: {:.2} %, and {:.0} % are wanted. Beside them {} left the machine as good \
         as it was, by the table ({:.2} % were noticed if these count), {} were within stated tolerances, {} of values that \
         are recorded and not judged, {} of handles that are only handed back, {} made the host contradict itself, which no cell \
         believes, and {} of values that no check reads. {} plays.",
        noticed + survived,
        share * 100.0,
        BAR * 100.0,
        unexplained - survived,
        self::share(noticed, unexplained) * 100.0,
        class(Class::Tolerated),
        class(Class::Recorded),
        sum(|score| score.strays),
        sum(|score| score.disbelieved),
        sum(|score| score.unread),
        sum(|score| score.plays),
    );
    good &= share >= BAR;
    for score in scores {
        for panic in &score.panics {
            let _ = writeln!(out, "{}: its code breaks: {panic}", score.check);
            good = false;
        }
    }
    (out, good)
}

/// The survivors that count: without those after which the machine is as good as it was.
fn counting<'s>(
    score: &'s Score,
    reasons: &'s Reasons,
) -> impl Iterator<Item = &'s (Kind, Survivor)> {
    score.unexplained().filter(|(_, survivor)| {
        reasons.of(survivor).is_none_or(|reason| !reasons.survivor[reason].equivalent)
    })
}

fn share(noticed: usize, survived: usize) -> f64 {
    if noticed + survived == 0 { 1.0 } else { noticed as f64 / (noticed + survived) as f64 }
}

fn survivors(out: &mut String, scores: &[Score], reasons: &Reasons, all: bool, good: &mut bool) {
    let mut explained: BTreeMap<usize, usize> = BTreeMap::new();
    let mut without = 0;
    for score in scores {
        for (_, survivor) in score.unexplained() {
            match reasons.of(survivor) {
                Some(reason) => *explained.entry(reason).or_default() += 1,
                None => {
                    without += 1;
                    let changed = survivor.what_changed();
                    let _ = writeln!(
                        out,
                        "{}  {}  {}  (changed: {changed})",
                        survivor.check, survivor.at, survivor.how
                    );
                }
            }
        }
        for (_, survivor) in score.survivors.iter().filter(|(_, s)| all && s.class.is_some()) {
            let _ = writeln!(
                out,
                "{}  {}  {}  ({:?})",
                survivor.check, survivor.at, survivor.how, survivor.class
            );
        }
    }
    for (n, count) in explained {
        let reason = &reasons.survivor[n];
        let _ = writeln!(
            out,
            "{count:>5}  {}  {}  {}: {}",
            reason.check, reason.at, reason.how, reason.why
        );
    }
    if without > 0 {
        let _ = writeln!(out, "{without} survivors have no reason in survivors.toml");
        *good = false;
    }
}

fn by_check(out: &mut String, scores: &[Score], reasons: &Reasons) {
    let _ = writeln!(
        out,
        "\n{:<34} {:>7} {:>9} {:>8} {:>6}",
        "check", "noticed", "survived", "plays", ""
    );
    for score in scores {
        let survived = counting(score, reasons).count();
        let _ = writeln!(
            out,
            "{:<34} {:>7} {survived:>9} {:>8} {:>5.1} %",
            score.check,
            score.noticed(),
            score.plays,
            share(score.noticed(), survived) * 100.0
        );
    }
}

fn by_kind(out: &mut String, scores: &[Score], reasons: &Reasons) {
    let _ = writeln!(out);
    for kind in [Kind::Value, Kind::Reply, Kind::Event, Kind::Console, Kind::Fact] {
        let noticed: usize = scores.iter().filter_map(|score| score.noticed.get(&kind)).sum();
        let all = scores.iter().flat_map(|score| counting(score, reasons));
        let survived = all.filter(|(of, _)| *of == kind).count();
        let share = share(noticed, survived) * 100.0;
        let _ = writeln!(
            out,
            "{:<46} {noticed:>7} of {:>7} {share:>6.1} %",
            kind.name(),
            noticed + survived
        );
    }
}

fn findings(out: &mut String, scores: &[Score], reasons: &Reasons, good: &mut bool) {
    let (mut all, mut covered, mut without) = (0, 0, 0);
    let _ = writeln!(out);
    for score in scores {
        for what in &score.findings {
            all += 1;
            if score.red.contains(what) {
                covered += 1;
                continue;
            }
            match reasons.of_finding(score.check, what) {
                Some(reason) => {
                    let _ = writeln!(
                        out,
                        "{}: nothing turns red: {what} ({})",
                        score.check, reason.why
                    );
                }
                None => {
                    without += 1;
                    let _ = writeln!(out, "{}: nothing turns red: {what}", score.check);
                }
            }
        }
    }
    let _ = writeln!(
        out,
        "{covered} of {all} judged findings were turned red by a seeded fault or an alteration"
    );
    *good &= without == 0 && (all == 0 || covered as f64 >= COVERED * all as f64);
}
