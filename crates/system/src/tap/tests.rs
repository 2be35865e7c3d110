//! Questions pass taps as they are, altered, and where there is no guest.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hospitium_model::{GuestSource, Inability, OperatingSystem};
use serde_json::{Value, json};

use super::{Alter, Altered, Answer, Asked, Fixed, Misfit, QUESTIONS, Tap, TappedSystem, Taps};
use crate::ask::{Button, DriveContent, Interrupts};
use crate::{Cpus, Devices, Disks, Power, System};
use crate::{SessionError, SystemError};

/// Answers by itself, from a function.
struct Says(fn(&Asked) -> Answer);

impl Tap for Says {
    fn instead(&self, asked: &Asked) -> Option<Answer> {
        Some((self.0)(asked))
    }
}

/// Remembers all that passed.
#[derive(Default)]
struct Remembers {
    passed: Mutex<Vec<(Asked, Answer)>>,
    misfits: AtomicU32,
}

impl Tap for Remembers {
    fn answered(&self, asked: &Asked, answer: &mut Answer) {
        self.passed.lock().expect("no test panicked").push((asked.clone(), answer.clone()));
    }

    fn misfit(&self, _asked: &Asked, _misfit: &Misfit) {
        self.misfits.fetch_add(1, Ordering::Relaxed);
    }
}

/// A guest of which only these answers are known.
fn told(answer: fn(&Asked) -> Answer) -> TappedSystem {
    through([Arc::new(Says(answer))])
}

fn through<const N: usize>(taps: [Arc<dyn Tap>; N]) -> TappedSystem {
    let fixed = Fixed {
        os: OperatingSystem::Linux,
        shutdown_marks: vec!["Power down".into()],
        panic_mark: "Kernel panic".into(),
    };
    TappedSystem::absent(&fixed, Taps::new(taps), 0)
}

/// A guest with two processors, its answers altered.
async fn online(name: &'static str, alter: Alter) -> Result<Vec<u32>, SystemError> {
    let honest = told(|_| Ok(json!({ "value": [0, 1], "source": "kernel" })));
    let taps = Taps::new([Arc::new(Altered { name, alter }) as Arc<dyn Tap>]);
    let seen = TappedSystem::new(Arc::new(honest), taps, 0).online().await?;
    assert_eq!(seen.source, GuestSource::Kernel);
    Ok(seen.value)
}

#[tokio::test]
async fn a_fault_alters_the_value_of_the_question_that_it_names_and_of_no_other() {
    let less: Alter = |_, told| {
        told.as_array_mut().map(Vec::pop);
    };
    assert_eq!(online("online", less).await.expect("told"), [0]);
    assert_eq!(online("topology", less).await.expect("told"), [0, 1]);
}

#[tokio::test]
async fn a_fault_sees_arguments_and_how_often_it_was_asked() {
    let guest = through([
        Arc::new(Says(|asked| {
            let words = json!({ "eax": asked["leaf"], "ebx": 0, "ecx": 0, "edx": 0 });
            Ok(json!({ "value": words, "source": "register" }))
        })),
        Arc::new(Altered {
            name: "cpuid",
            alter: |asked, told| {
                if asked["leaf"] == 7 && asked.nth == 2 {
                    told["ecx"] = 9.into();
                }
            },
        }),
    ]);
    let mut ecx = Vec::new();
    for leaf in [7, 1, 7, 7] {
        let words = guest.cpuid(0, leaf, 0).await.expect("told").value;
        assert_eq!(words.eax, leaf);
        ecx.push(words.ecx);
    }
    assert_eq!(ecx, [0, 0, 9, 0]);
}

#[tokio::test]
async fn errors_pass_whole_and_faults_leave_them_alone() {
    let unable = told(|_| {
        let why = SystemError::Unable(Inability::of_guest("its kernel has no such folder"));
        Err(super::json(&why))
    });
    let taps =
        Taps::new([
            Arc::new(Altered { name: "features", alter: |_, told| *told = json!(["fpu"]) })
                as Arc<dyn Tap>,
        ]);
    let guest = TappedSystem::new(Arc::new(unable), taps, 0);
    let error = guest.features().await.expect_err("unable");
    assert!(
        matches!(error, SystemError::Unable(why) if why.why == "its kernel has no such folder")
    );
}

#[tokio::test]
async fn an_answer_that_is_not_of_its_type_is_an_error_and_the_taps_hear_of_it() {
    let remembers = Arc::new(Remembers::default());
    let guest = through([
        Arc::new(Says(|_| Ok(json!({ "value": "two", "source": "kernel" })))),
        remembers.clone(),
    ]);
    let error = guest.online().await.expect_err("no list");
    assert!(matches!(&error, SystemError::Unreadable { what, .. } if what == "online"), "{error}");
    assert_eq!(remembers.misfits.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_passed_can_be_said_again() {
    let remembers = Arc::new(Remembers::default());
    let guest = through([
        Arc::new(Says(|asked| match asked.name {
            "content" => Ok(json!({ "value": "Empty", "source": "device" })),
            "obey_power_button" => {
                Ok(json!({ "value": { "Probe": "probe: stopping" }, "source": "kernel" }))
            }
            "uptime" => {
                Ok(json!({ "value": { "secs": 3, "nanos": 500_000_000 }, "source": "kernel" }))
            }
            _ => Ok(Value::Null),
        })),
        remembers.clone(),
    ]);
    let drive = crate::GuestDisk { name: "sr0".into(), path: "/dev/sr0".into(), serial: None };
    assert_eq!(guest.content(&drive, 4096).await.expect("told").value, DriveContent::Empty);
    let button = guest.obey_power_button().await.expect("told").value;
    assert_eq!(button, Button::Probe("probe: stopping"));
    assert_eq!(guest.uptime().await.expect("told").value, Duration::from_millis(3500));
    guest.steer(&Interrupts::Interface("eth0".into()), 1).await.expect("done");
    let passed = remembers.passed.lock().expect("no test panicked");
    let asked: Vec<_> = passed.iter().map(|(asked, _)| asked.name).collect();
    assert_eq!(asked, ["content", "obey_power_button", "uptime", "steer"]);
    assert_eq!(passed[3].0.arguments, json!({ "which": { "Interface": "eth0" }, "cpu": 1 }));
    assert_eq!(guest.shutdown_marks(), ["Power down"]);
    assert_eq!(guest.os(), OperatingSystem::Linux);
}

#[test]
fn every_error_of_a_guest_has_a_json_form() {
    let doing = || "reading the clock".to_owned();
    let limit = Duration::from_millis(1500);
    let errors = [
        SystemError::Unable(Inability::of_guest("no clock")),
        SystemError::Refused { doing: doing(), code: "EROFS".into() },
        SystemError::unreadable("the clock", "noon\n"),
        SystemError::Session(SessionError::NoAnswer { doing: doing(), limit }),
        SystemError::Session(SessionError::Unexpected { doing: doing(), got: "Hello" }),
        SystemError::Session(SessionError::Closed { doing: doing() }),
        SystemError::Session(SessionError::Io {
            doing: doing(),
            source: std::io::Error::other("broken pipe"),
        }),
    ];
    for error in errors {
        let form = super::json(&error);
        let again: SystemError = serde_json::from_value(form.clone()).expect("reads back");
        assert_eq!(again.to_string(), error.to_string());
        assert_eq!(super::json(&again), form);
    }
}

#[test]
fn no_two_questions_have_one_name() {
    let names: std::collections::BTreeSet<_> = QUESTIONS.iter().collect();
    assert_eq!(names.len(), QUESTIONS.len());
}
