//! Questions of a check, seen and altered on their way.
//!
//! A [`Tap`] sits between a check and whom it asks. It sees each question with its arguments, and each answer as
//! JSON with its source. A tap may record them, alter an answer, or answer by itself; the check does not know.
//! Altered is what a check *reads* (a number of vCPUs, a digest), never the bytes of one system's interface, so an
//! alteration holds for every guest.
//!
//! # How a fault is written
//!
//! A fault names a question, that is, a method of [`System`](crate::System), and alters its answer. The function
//! captures nothing. It gets the question and the answer's value, which has the JSON form of the method's type:
//!
//! ```
//! use hospitium_system::tap::Alter;
//!
//! // One processor less: `Cpus::online` answers `Vec<u32>`, so an array.
//! let fault: (&str, Alter) = ("online", |_, told| {
//!     told.as_array_mut().map(Vec::pop);
//! });
//!
//! // Only one of several: `asked` has the arguments by their names, and `nth`, which counts from 0 how often
//! // this question was asked before.
//! let fault: (&str, Alter) = ("cpuid", |asked, told| {
//!     if asked["leaf"] == 1 {
//!         told["edx"] = 0.into();
//!     }
//! });
//! let fault: (&str, Alter) = ("boot_id", |asked, told| {
//!     if asked.nth == 1 {
//!         *told = "00000000-0000-4000-8000-000000000000".into();
//!     }
//! });
//! ```
//!
//! The suite's form is `Fault::Guest("online", |_, told| …)`. JSON forms that are not obvious: a
//! [`Duration`](std::time::Duration) is `{"secs": 1, "nanos": 500000000}`, a
//! [`ByteSize`](hospitium_model::ByteSize) is text (`"512 MiB"`), a [`Digest`](hospitium_model::Digest) is 64
//! hexadecimal digits, bytes are an array of numbers, `None` is null, an enum's variant with a value is
//! `{"Disc": "…"}`. What only does something and tells nothing ([`Done`](crate::Done)) has the value null.
//!
//! An answer that is an error (refused, unable) is left alone by a fault. An altered answer that is no longer of
//! the method's type reaches the check as [`SystemError::Unreadable`](crate::SystemError::Unreadable), which is an
//! error and turns no check red: keep to the type.

mod alter;
mod system;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Index;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::alter::{Alter, Altered, value_of};
pub use self::system::{Fixed, QUESTIONS, TappedSystem};

/// A question on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Which of the check's machines is asked, in the order in which they were made.
    pub machine: u32,
    /// The question: the name of the method.
    pub name: &'static str,
    /// Its arguments, by their names.
    pub arguments: Value,
    /// How often this machine was asked this before.
    pub nth: u32,
}

/// An argument by its name; null if there is none of this name.
impl Index<&str> for Asked {
    type Output = Value;

    fn index(&self, argument: &str) -> &Value {
        &self.arguments[argument]
    }
}

/// An answer, or the error that came in its place, in its JSON form.
pub type Answer = Result<Value, Value>;

/// Sees questions and answers on their way.
#[async_trait]
pub trait Tap: Send + Sync {
    /// A question begins. Whoever plays back an answer lets pass here the time that it took; questions that are
    /// answered at once ([`Taps::pass_now`]) take none.
    async fn begins(&self, _asked: &Asked) {}

    /// Answers by itself, so that nobody else is asked.
    fn instead(&self, _asked: &Asked) -> Option<Answer> {
        None
    }

    /// Sees the answer, and may alter it.
    fn answered(&self, _asked: &Asked, _answer: &mut Answer) {}

    /// What the taps made of the answer is not of the question's type.
    fn misfit(&self, _asked: &Asked, _misfit: &Misfit) {}
}

/// An altered or recorded answer that is not of the question's type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tapped answer to {question} is not of its type: {why}")]
pub struct Misfit {
    /// The question.
    pub question: String,
    /// Why it does not fit.
    pub why: String,
}

impl From<Misfit> for hospitium_host::HostError {
    fn from(misfit: Misfit) -> Self {
        Self::Refused { doing: misfit.question, why: misfit.why }
    }
}

impl From<Misfit> for hospitium_model::Inability {
    fn from(misfit: Misfit) -> Self {
        Self::of_host(misfit.to_string())
    }
}

/// The taps that one check's questions pass. Shared by all of its machines.
pub struct Taps {
    taps: Vec<Arc<dyn Tap>>,
    asked: Mutex<BTreeMap<(u32, &'static str), u32>>,
    machines: AtomicU32,
}

impl Taps {
    /// An answer passes these taps in this order. The first that answers by itself does so for all.
    pub fn new(taps: impl IntoIterator<Item = Arc<dyn Tap>>) -> Arc<Self> {
        let taps = taps.into_iter().collect();
        Arc::new(Self { taps, asked: Mutex::default(), machines: AtomicU32::new(0) })
    }

    /// The number of a machine that the check gets now.
    pub fn next_machine(&self) -> u32 {
        self.machines.fetch_add(1, Ordering::Relaxed)
    }

    /// Has a question pass: `inner` asks whoever is there, and is not polled where a tap answers by itself.
    ///
    /// # Errors
    /// The answer is an error, or the taps made of it what is not of its type.
    pub async fn pass<T, E>(
        &self,
        machine: u32,
        name: &'static str,
        arguments: Value,
        inner: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned + Send,
        E: Serialize + DeserializeOwned + From<Misfit> + Send,
    {
        let asked = self.asked(machine, name, arguments);
        for tap in &self.taps {
            tap.begins(&asked).await;
        }
        match self.instead(&asked) {
            Some(answer) => self.play(&asked, answer),
            None => self.told(&asked, inner.await),
        }
    }

    /// The same for what is answered at once, without anybody's leave to take time.
    ///
    /// # Errors
    /// As [`Taps::pass`].
    pub fn pass_now<T, E>(
        &self,
        machine: u32,
        name: &'static str,
        arguments: Value,
        inner: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: Serialize + DeserializeOwned + From<Misfit>,
    {
        let asked = self.asked(machine, name, arguments);
        match self.instead(&asked) {
            Some(answer) => self.play(&asked, answer),
            None => self.told(&asked, inner()),
        }
    }

    fn asked(&self, machine: u32, name: &'static str, arguments: Value) -> Asked {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = asked.entry((machine, name)).or_default();
        *count += 1;
        Asked { machine, name, arguments, nth: *count - 1 }
    }

    fn instead(&self, asked: &Asked) -> Option<Answer> {
        self.taps.iter().find_map(|tap| tap.instead(asked))
    }

    /// What a tap has answered, on its way to the check.
    fn play<T, E>(&self, asked: &Asked, mut answer: Answer) -> Result<T, E>
    where
        T: DeserializeOwned,
        E: DeserializeOwned + From<Misfit>,
    {
        self.taps.iter().for_each(|tap| tap.answered(asked, &mut answer));
        self.read(asked, answer)
    }

    /// What whoever is there has told, on its way to the check.
    fn told<T, E>(&self, asked: &Asked, told: Result<T, E>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: Serialize + DeserializeOwned + From<Misfit>,
    {
        let before = told.as_ref().map(json).map_err(json);
        let mut answer = before.clone();
        self.taps.iter().for_each(|tap| tap.answered(asked, &mut answer));
        // As it came, with what its JSON form leaves out.
        if answer == before { told } else { self.read(asked, answer) }
    }

    fn read<T, E>(&self, asked: &Asked, answer: Answer) -> Result<T, E>
    where
        T: DeserializeOwned,
        E: DeserializeOwned + From<Misfit>,
    {
        let why = match answer {
            Ok(value) => match serde_json::from_value(value) {
                Ok(told) => return Ok(told),
                Err(why) => why,
            },
            Err(value) => match serde_json::from_value(value) {
                Ok(error) => return Err(error),
                Err(why) => why,
            },
        };
        let misfit = Misfit { question: asked.name.to_owned(), why: why.to_string() };
        self.taps.iter().for_each(|tap| tap.misfit(asked, &misfit));
        Err(misfit.into())
    }
}

/// The JSON form; null for what has none, which no type of a question is.
pub fn json(value: &(impl Serialize + ?Sized)) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
