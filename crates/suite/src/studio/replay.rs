//! A check, recorded on a machine or played without one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hospitium_host::{EventKind, Snapshot};
use hospitium_model::{Capability, Digest, ExpectationError, Expectations, Observations, Verdict};
use hospitium_system::LogPosition;
use hospitium_system::tap::Fixed;

use super::alter::middle;
use super::guest::RecordedGuest;
use crate::tape::{
    Entry, Heard, Indexed, Otherwise, Pair, Player, Recorder, Reply, Tape, TappedHost, Told,
    Transcript, Transcripts,
};
use crate::{
    Check, CheckError, EXPECTATIONS, Fault, Gives, Lab, LabParts, Listening, Need, Origin,
    SeamFault, Sink, checks,
};

/// Name of the check's own machine, recorded and played.
const NAME: &str = "clone";

impl Pair {
    /// Of a lab, with what its host and guest say of all that checks need.
    pub fn of(lab: &Lab, system: Fixed) -> Self {
        // A check asks for it itself.
        let kept = Capability::KeepGenerationId;
        let (mut offers, mut drivers) = (vec![(kept, lab.host().offers(kept))], BTreeMap::new());
        for need in checks::all().iter().flat_map(|check| check.needs) {
            match need {
                Need::Host(what) if !offers.iter().any(|(known, _)| known == what) => {
                    offers.push((*what, lab.host().offers(*what)));
                }
                Need::Driver(device) => {
                    drivers.insert((*device).to_owned(), lab.guest().driver(device));
                }
                _ => {}
            }
        }
        Self {
            guest: lab.guest().facts().clone(),
            host: lab.host().facts().clone(),
            isolation: lab.host().isolation(),
            machine: lab.spec().clone(),
            boot: lab.boot_facts().clone(),
            seed: lab.seed(),
            system,
            offers,
            gives: lab.gives().cloned(),
            drivers,
        }
    }
}

/// A check that was recorded.
pub struct Recorded {
    /// What was asked and told.
    pub transcript: Transcript,
    /// What the guest's system knows without being asked.
    pub system: Fixed,
    /// Where its log stood before the check.
    pub log_position: Option<LogPosition>,
}

/// Runs a check on a clone of its own and writes down what was asked and told, what is said meanwhile included.
/// `log_position` is where the guest's log stands in every clone; none to have it asked.
///
/// # Errors
/// The check came to no end; the text says why.
pub async fn record(
    parts: LabParts,
    check: &'static Check,
    log_position: Option<LogPosition>,
) -> Result<Recorded, CheckError> {
    let recorder = Arc::new(Recorder::default());
    let tape = Tape::recording(parts.host.clone(), recorder.clone());
    let host = TappedHost::before(parts.host.clone(), tape.clone());
    let lab = Arc::new(Lab::new(LabParts { host, ..parts }).with_tape(tape.clone()));
    if let Some(position) = log_position.clone() {
        lab.set_log_position(position);
    }
    let mut cell = lab.cell(NAME, check, None).await?;
    let system = Fixed::of(cell.system());
    let listening = Listening::begin(&cell).await;
    let ran = tokio::time::timeout(check.limit, (check.run)(&mut cell)).await;
    let timed_out = |_| CheckError::TimedOut { what: "the check".into(), limit: check.limit };
    let seen = ran.map_err(timed_out).and_then(|ran| ran);
    let mut seen = seen.and_then(|seen| cell.lived(seen));
    if let Ok(findings) = &mut seen
        && let Err(error) = listening.end(&cell, check.id, findings).await
    {
        seen = Err(error);
    }
    recorder.over();
    cell.finish().await?;
    let seen = seen?;
    let transcript = recorder.transcript(check.id, log_position, tape.names(), seen);
    Ok(Recorded { transcript, system, log_position: lab.log_position() })
}

/// How a check ended that was played.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// `pass`, `fail`, `skip` or `error`; `panic` if the check's code broke.
    pub word: &'static str,
    /// Why, unless it passed.
    pub why: String,
    /// What it saw, if it came to an end.
    pub seen: Option<Observations>,
    /// The first question that the transcript does not answer.
    pub stray: Option<String>,
    /// What an altered answer is, if it is not of its type.
    pub misfit: Option<String>,
    /// Somebody showed in its middle that they cannot do or show something.
    pub late: bool,
    /// It looked at what was known before it began.
    pub facts_read: bool,
}

/// A check that can be played.
struct Played {
    check: &'static Check,
    pair: Arc<Pair>,
    tape: Arc<Indexed>,
}

/// What happens in the middle of a check, and was not recorded.
#[derive(Debug, Clone)]
pub enum Accident {
    /// The host tells of this.
    Event(EventKind),
    /// This is on the console.
    Line(&'static str),
    /// This is in the guest's log when it is next read.
    Logged(&'static str),
    /// The hypervisor writes this.
    Complaint(&'static str),
}

/// The questions that were asked of a machine; none if nobody asked it anything by which the check went on.
fn own(transcript: &Transcript, m: usize) -> Option<usize> {
    let of_machine = transcript.machines.get(m)?;
    let heard = !of_machine.events.is_empty() || !of_machine.console.is_empty();
    let said = |entry: &Entry| entry.machine as usize == m && entry.ask == "said";
    (heard || transcript.entries.iter().any(said)).then_some(m)
}

/// Plays checks.
pub struct Studio {
    /// Of the file.
    pair: Arc<Pair>,
    tapes: Vec<Played>,
    /// Ids of transcripts of which there is no check.
    unknown: Vec<String>,
    folder: PathBuf,
}

impl Studio {
    /// Of these transcripts. Checks that make files do so in `folder`.
    pub fn new(transcripts: Transcripts, folder: &Path) -> Self {
        let known = checks::all();
        let (mut tapes, mut unknown) = (Vec::new(), Vec::new());
        let pair = Arc::new(transcripts.pair);
        for mut transcript in transcripts.checks {
            match known.iter().find(|check| check.id == transcript.check) {
                Some(check) => {
                    let own = transcript.pair.take();
                    let pair = own.map_or_else(|| pair.clone(), |own| Arc::new(*own));
                    tapes.push(Played { check, pair, tape: Indexed::new(transcript) });
                }
                None => unknown.push(transcript.check),
            }
        }
        Self { pair, tapes, unknown, folder: folder.to_owned() }
    }

    /// The recorded checks.
    pub fn checks(&self) -> impl Iterator<Item = &'static Check> + '_ {
        self.tapes.iter().map(|played| played.check)
    }

    /// What does not fit the suite any more, in words: transcripts of no check, and checks that apply to the pair and
    /// have no transcript.
    pub fn outdated(&self) -> Vec<String> {
        let unknown = self.unknown.iter().map(|id| format!("{id} is no check any more"));
        let runtime = runtime();
        let lab = runtime.block_on(async {
            let tape = self.tapes.first()?.tape.clone();
            self.lab(self.pair.clone(), tape, None, None)
        });
        let missing = checks::all().into_iter().filter(|check| {
            let applies = lab
                .as_ref()
                .is_some_and(|(lab, _)| check.needs.iter().all(|need| need.missing(lab).is_none()));
            applies && !self.checks().any(|known| known.id == check.id)
        });
        unknown.chain(missing.map(|check| format!("{} was not recorded", check.id))).collect()
    }

    fn played(&self, check: &Check) -> Option<&Played> {
        self.tapes.iter().find(|played| played.check.id == check.id)
    }

    pub(crate) fn tape(&self, check: &Check) -> Option<&Arc<Indexed>> {
        self.played(check).map(|played| &played.tape)
    }

    /// The guest and the host that a check was recorded on.
    pub(crate) fn pair(&self, check: &Check) -> &Arc<Pair> {
        self.played(check).map_or(&self.pair, |played| &played.pair)
    }

    /// What a check saw when it was recorded.
    pub fn recorded(&self, check: &Check) -> Option<&Observations> {
        self.tape(check).map(|tape| &tape.transcript.seen)
    }

    /// A lab that plays this. None if its host cannot be played.
    fn lab(
        &self,
        pair: Arc<Pair>,
        tape: Arc<Indexed>,
        otherwise: Option<Otherwise>,
        fault: Option<Fault>,
    ) -> Option<(Lab, Arc<Player>)> {
        let pair = match &otherwise {
            Some(Otherwise::Facts(pair)) => Arc::new((**pair).clone()),
            _ => pair,
        };
        let gives = match &otherwise {
            Some(Otherwise::Gives(gives)) => Some(gives.clone()),
            _ => pair.gives.clone(),
        };
        let log_position = tape.transcript.log_position.clone();
        let player = Player::new(tape, otherwise);
        let tape = Tape::playing(pair.clone(), player.clone(), fault);
        let spec = pair.machine.clone();
        let parts = LabParts {
            host: TappedHost::played(tape.clone())?,
            guest: Arc::new(RecordedGuest(pair.clone())),
            declared: spec.clone(),
            origin: Origin::Saved(Box::new(Snapshot {
                format: 0,
                host_kind: pair.host.kind.clone(),
                vmm: Digest::of(b""),
                folder: PathBuf::new(),
                spec,
                files: Vec::new(),
                private: serde_json::Value::Null,
            })),
            isolation: pair.isolation,
            boot: pair.boot.clone(),
            // Checks that are played at the same time make folders of the same names.
            folder: self.folder.join(format!("{:?}", std::thread::current().id())),
            expectations: expectations().ok()?,
            seed: pair.seed,
            sink: Sink::nowhere(),
        };
        let lab = Lab::new(parts).with_tape(tape);
        if let Some(position) = log_position {
            lab.set_log_position(position);
        }
        if let Some(gives) = gives {
            lab.know(gives);
        }
        Some((lab, player))
    }

    /// Plays a check as it was recorded, or with this fault.
    pub fn play(&self, check: &'static Check, fault: Option<Fault>) -> Replayed {
        self.play_otherwise(check, None, fault)
    }

    /// Plays a check on a host of which it is known that it does not give these.
    pub fn play_without(&self, check: &'static Check, needs: &'static [Need]) -> Replayed {
        let known = Otherwise::Gives(Gives::without(needs));
        let fault = Fault::Seam(SeamFault::Without(needs));
        self.play_otherwise(check, Some(known), Some(fault))
    }

    /// Plays a check in whose middle something happens that was not recorded. `last`: to the last of its machines, else to
    /// its first; they differ where a machine goes on as another.
    ///
    /// None if the check has no such machine.
    pub fn play_with(
        &self,
        check: &'static Check,
        accident: &Accident,
        last: bool,
    ) -> Option<Replayed> {
        let transcript = &self.tape(check)?.transcript;
        let mut machines: Vec<usize> =
            (1..transcript.machines.len()).filter(|m| own(transcript, *m).is_some()).collect();
        if last {
            machines.reverse();
        }
        let m = *machines.first()?;
        let otherwise = match accident {
            Accident::Event(kind) => {
                let after = middle(transcript, m)?;
                let mut machine = transcript.machines.get(m)?.clone();
                let host_time = std::time::SystemTime::UNIX_EPOCH;
                let (kind, uncertainty) = (kind.clone(), std::time::Duration::ZERO);
                machine.events.push(Told { after, delay_us: 0, kind, host_time, uncertainty });
                Otherwise::Machine(m, machine)
            }
            Accident::Line(text) => {
                let after = middle(transcript, m)?;
                let mut machine = transcript.machines.get(m)?.clone();
                let at = machine.console.iter().position(|part| part.after > after);
                let at = at.unwrap_or(machine.console.len());
                let text = format!("\r\n{text}\r\n");
                machine.console.insert(at, Heard { after, delay_us: 0, text });
                Otherwise::Machine(m, machine)
            }
            Accident::Logged(text) => {
                let read = |entry: &Entry| entry.machine as usize == m && entry.ask == "log_since";
                // The first tells where the log stood when the check began.
                let mut all =
                    (0..transcript.entries.len()).filter(|n| read(&transcript.entries[*n]));
                let at = all.nth(1)?;
                let Reply::Told(told) = &transcript.entries[at].reply else { return None };
                let mut told = told.clone();
                let line = serde_json::json!({ "level": 4, "text": text });
                told.pointer_mut("/value/0")?.as_array_mut()?.push(line);
                Otherwise::Replies(vec![(at, Reply::Told(told))])
            }
            Accident::Complaint(text) => {
                let said = |entry: &Entry| entry.machine as usize == m && entry.ask == "said";
                let at = transcript.entries.iter().rposition(said)?;
                let told = serde_json::json!([text]);
                Otherwise::Replies(vec![(at, Reply::Told(told))])
            }
        };
        Some(self.play_otherwise(check, Some(otherwise), None))
    }

    /// Plays a check with replies altered: `alter` is shown each question with its place among all, and says whether it
    /// has altered its reply. None if it has altered none.
    pub fn play_altered(
        &self,
        check: &'static Check,
        alter: &mut dyn FnMut(usize, &Entry, &mut Reply) -> bool,
    ) -> Option<Replayed> {
        let entries = &self.tape(check)?.transcript.entries;
        let replies = entries.iter().enumerate().filter_map(|(n, entry)| {
            let mut reply = entry.reply.clone();
            alter(n, entry, &mut reply).then_some((n, reply))
        });
        let replies: Vec<_> = replies.collect();
        let altered = !replies.is_empty();
        altered.then(|| self.play_otherwise(check, Some(Otherwise::Replies(replies)), None))
    }

    pub(crate) fn play_otherwise(
        &self,
        check: &'static Check,
        otherwise: Option<Otherwise>,
        fault: Option<Fault>,
    ) -> Replayed {
        let ended = |word, why: String| Replayed {
            word,
            why,
            seen: None,
            stray: None,
            misfit: None,
            late: false,
            facts_read: false,
        };
        let Some(tape) = self.tape(check) else {
            return ended("error", "it was not recorded".into());
        };
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime().block_on(async {
                let pair = self.pair(check).clone();
                let (lab, player) = self.lab(pair, tape.clone(), otherwise, fault)?;
                let result = run(Arc::new(lab), check, fault).await;
                Some((result, player))
            })
        }));
        let (result, player) = match played {
            Ok(Some(played)) => played,
            Ok(None) => return ended("error", "the expectations do not read".into()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned()));
                return ended("panic", text.unwrap_or_default());
            }
        };
        let facts_read = player.facts_read();
        let (stray, misfit) = (player.stray(), player.misfit().map(|misfit| misfit.to_string()));
        match result {
            Ok(seen) => {
                let verdict = seen.judge();
                let word = match verdict {
                    Verdict::Pass => "pass",
                    Verdict::Skip { .. } => "skip",
                    _ => "fail",
                };
                Replayed {
                    word,
                    why: verdict.reason().to_owned(),
                    seen: Some(seen),
                    stray,
                    misfit,
                    late: false,
                    facts_read,
                }
            }
            Err(Broken { error, verdict }) => {
                let late = matches!(error, CheckError::Unable(_) | CheckError::Hidden(_))
                    && matches!(verdict, Verdict::Error { .. });
                let word = if matches!(verdict, Verdict::Skip { .. }) { "skip" } else { "error" };
                Replayed { word, why: error.chain(), seen: None, stray, misfit, late, facts_read }
            }
        }
    }
}

/// A check that came to no end.
struct Broken {
    error: CheckError,
    verdict: Verdict,
}

async fn run(
    lab: Arc<Lab>,
    check: &'static Check,
    fault: Option<Fault>,
) -> Result<Observations, Broken> {
    let plain =
        |error: CheckError| Broken { verdict: Verdict::Error { reason: error.chain() }, error };
    let mut cell = lab.cell(NAME, check, fault).await.map_err(plain)?;
    let listening = Listening::begin(&cell).await;
    let ran = tokio::time::timeout(check.limit, (check.run)(&mut cell)).await;
    let timed_out = |_| CheckError::TimedOut { what: "the check".into(), limit: check.limit };
    let ran = ran.map_err(timed_out).and_then(|ran| ran);
    let seen = match ran.and_then(|seen| cell.lived(seen)) {
        Ok(mut seen) => match listening.end(&cell, check.id, &mut seen).await {
            Ok(()) => Ok(seen),
            // A check that has failed has, whatever was said meanwhile.
            Err(_) if matches!(seen.judge(), Verdict::Fail { .. }) => Ok(seen),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    seen.map_err(|error| match &error {
        CheckError::Unable(why) => Broken { verdict: cell.on_inability(why), error },
        _ => plain(error),
    })
}

/// Time passes when nobody has anything to do but wait.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap_or_else(|e| unreachable!("a runtime without I/O needs nothing of the system: {e}"))
}

fn expectations() -> Result<Expectations, ExpectationError> {
    use std::sync::OnceLock;

    static READ: OnceLock<Expectations> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read.clone());
    }
    let read = Expectations::from_toml(EXPECTATIONS)?;
    Ok(READ.get_or_init(|| read).clone())
}
