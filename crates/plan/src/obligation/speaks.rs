//! Which of several outcomes of a pair speak: of each machine configuration, those of its newest run.
//!
//! The same rule decides in a plan and in a catalog. It looks at days and at places in logs, never at
//! the order in which outcomes come.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Which machine was tried in which run, and where that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Trial {
    /// The machine configuration in words: alike are those of the same words.
    pub machine: String,
    /// The run.
    pub run: String,
    /// The run's cell.
    pub cell: String,
    /// The log.
    pub log: String,
    /// The place in it.
    pub entry: u64,
}

/// What of an outcome decides whether it speaks.
#[derive(Debug, Clone, Copy)]
pub struct Voice<'a> {
    /// Who says it.
    pub party: &'a str,
    /// The architecture.
    pub arch: &'a str,
    /// The day on which the run ended.
    pub validated: Date,
    /// Whether the guest ran under emulation.
    pub emulated: bool,
    /// The machine, the run, and where it is recorded.
    pub trial: &'a Trial,
}

impl Voice<'_> {
    /// Whether both speak of the same machine, for the same party.
    pub fn is_of_machine_of(&self, other: &Self) -> bool {
        (self.party, self.arch, &self.trial.machine)
            == (other.party, other.arch, &other.trial.machine)
    }

    /// Whether this was said later: on a later day, or on the same day and further on in the same
    /// log. Of two logs nobody knows that.
    pub fn is_newer(&self, other: &Self) -> bool {
        (self.validated > other.validated)
            || (self.validated == other.validated
                && self.trial.log == other.trial.log
                && self.trial.entry > other.trial.entry)
    }
}

/// The places of those that speak, in ascending order. All are of one pair, and count.
///
/// Of each party, architecture and machine configuration, the newest run speaks, and in it what was
/// said last of each cell. So only the same machine heals a failure, and one that was run beside
/// another hides nothing of it. What was run under emulation says nothing of the hardware's path, so
/// it takes the word from no run on hardware.
pub fn speaking(voices: &[Voice<'_>]) -> Vec<usize> {
    let mut machines: BTreeMap<_, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (place, voice) in voices.iter().enumerate() {
        let machine = (voice.party, voice.arch, voice.trial.machine.as_str());
        let (hardware, emulated) = machines.entry(machine).or_default();
        if voice.emulated { emulated } else { hardware }.push(place);
    }
    let mut speak = Vec::new();
    for (hardware, emulated) in machines.into_values() {
        let hardware = newest_run(voices, &hardware);
        let newer = |one: usize, other: usize| {
            voices.get(one).zip(voices.get(other)).is_some_and(|(one, other)| one.is_newer(other))
        };
        let mut emulated = newest_run(voices, &emulated);
        emulated.retain(|emulated| !hardware.iter().any(|place| newer(*place, *emulated)));
        speak.extend(hardware.into_iter().chain(emulated));
    }
    speak.sort_unstable();
    speak
}

/// Those of the newest run, of each cell what was said last. Of two runs of one day in a log, the one
/// that was recorded later is the newer; of two logs, both stand.
pub fn newest_run(voices: &[Voice<'_>], among: &[usize]) -> Vec<usize> {
    let all = || among.iter().filter_map(|place| Some((*place, voices.get(*place)?)));
    let Some(day) = all().map(|(_, voice)| voice.validated).max() else { return Vec::new() };
    let mut runs: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for (_, voice) in all().filter(|(_, voice)| voice.validated == day) {
        let Trial { log, entry, run, .. } = voice.trial;
        let newest = runs.entry(log).or_insert((*entry, run));
        *newest = (*newest).max((*entry, run));
    }
    let is_newer = |one: usize, other: usize| {
        voices.get(one).zip(voices.get(other)).is_some_and(|(one, other)| one.is_newer(other))
    };
    let mut cells: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, voice) in all() {
        let Trial { log, run, cell, machine, .. } = voice.trial;
        if runs.get(log.as_str()).is_none_or(|(_, newest)| newest != run) {
            continue;
        }
        let said = cells.entry((log, cell, machine)).or_default();
        if said.iter().any(|known| is_newer(*known, place)) {
            continue;
        }
        said.retain(|known| !is_newer(place, *known));
        said.push(place);
    }
    cells.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// What is said: the day of a month, the machine, run, cell, entry, and whether it was emulated.
    type Said = (i8, &'static str, &'static str, &'static str, u64, bool);

    fn speaks_in(log: &str, said: &[Said]) -> Vec<u64> {
        let trials: Vec<Trial> = said
            .iter()
            .map(|(_, machine, run, cell, entry, _)| Trial {
                machine: (*machine).into(),
                run: (*run).into(),
                cell: (*cell).into(),
                log: log.into(),
                entry: *entry,
            })
            .collect();
        let day = |said: &Said| date(2022, 5, said.0);
        let all: Vec<_> =
            said.iter().zip(&trials).map(|(said, trial)| (day(said), said.5, trial)).collect();
        let mut found: Vec<Vec<u64>> = Vec::new();
        // Whatever the order in which they come.
        for turn in 0..all.len() {
            for backwards in [false, true] {
                let mut order: Vec<_> = all.iter().cycle().skip(turn).take(all.len()).collect();
                if backwards {
                    order.reverse();
                }
                let voices: Vec<_> = order
                    .iter()
                    .map(|(validated, emulated, trial)| Voice {
                        party: "b.example",
                        arch: "x86_64",
                        validated: *validated,
                        emulated: *emulated,
                        trial,
                    })
                    .collect();
                let speak = speaking(&voices);
                let mut entries: Vec<u64> =
                    speak.iter().map(|place| voices[*place].trial.entry).collect();
                entries.sort_unstable();
                found.push(entries);
            }
        }
        found.dedup();
        assert_eq!(found.len(), 1, "the order decides: {found:?}");
        found.remove(0)
    }

    fn speak(said: &[Said]) -> Vec<u64> {
        speaks_in("b.example/log", said)
    }

    #[test]
    fn every_machine_of_a_run_speaks_for_itself() {
        let run = [(1, "m1", "r", "a", 0, false), (1, "m2", "r", "b", 1, false)];
        assert_eq!(speak(&run), [0, 1]);
    }

    #[test]
    fn only_a_later_run_of_the_same_machine_takes_the_word() {
        let first = [(1, "m1", "r", "a", 0, false), (1, "m2", "r", "b", 1, false)];
        let with = |more: Said| speak(&[first[0], first[1], more]);
        assert_eq!(with((2, "m1", "s", "a", 2, false)), [1, 2]);
        assert_eq!(with((2, "m3", "s", "a", 2, false)), [0, 1, 2]);
        assert_eq!(with((1, "m1", "s", "a", 2, false)), [1, 2], "the same day, a later entry");
    }

    #[test]
    fn the_day_goes_before_the_place_in_the_log() {
        assert_eq!(speak(&[(2, "m1", "r", "a", 0, false), (1, "m1", "s", "a", 1, false)]), [0]);
    }

    #[test]
    fn two_cells_of_a_run_with_one_machine_both_speak_and_what_is_said_again_once() {
        let run = [(1, "m1", "r", "a", 0, false), (1, "m1", "r", "b", 1, false)];
        assert_eq!(speak(&run), [0, 1], "two images of one product, say");
        assert_eq!(speak(&[run[0], run[1], (1, "m1", "r", "a", 2, false)]), [1, 2]);
    }

    #[test]
    fn an_emulated_run_takes_the_word_from_none_on_hardware() {
        let hardware = (1, "m1", "r", "a", 0, false);
        assert_eq!(speak(&[hardware, (2, "m1", "s", "a", 1, true)]), [0, 1]);
        assert_eq!(speak(&[(1, "m1", "r", "a", 0, true), (2, "m1", "s", "a", 1, false)]), [1]);
        assert_eq!(speak(&[(1, "m1", "r", "a", 0, true), (2, "m1", "s", "a", 1, true)]), [1]);
    }

    #[test]
    fn of_two_logs_on_one_day_both_stand() {
        let trial = |log: &str, entry| Trial { log: log.into(), entry, ..Trial::default() };
        let trials = [trial("b.example/one", 7), trial("b.example/two", 3)];
        let on = |day, trial| Voice {
            party: "b.example",
            arch: "x86_64",
            validated: date(2022, 5, day),
            emulated: false,
            trial,
        };
        assert_eq!(speaking(&[on(1, &trials[0]), on(1, &trials[1])]), [0, 1]);
        assert_eq!(speaking(&[on(1, &trials[0]), on(2, &trials[1])]), [1]);
    }
}
