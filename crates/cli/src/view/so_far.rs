//! The report of a run that goes on: written again now and then, so that nobody has to wait for the
//! end to look.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hospitium_run::{Observer, RunEvent};

use crate::report::write_so_far;

/// How long a report stands before it is written again. Reading the evidence takes about a tenth of
/// a second, so that this costs a hundredth of a CPU.
const STANDS: Duration = Duration::from_secs(10);

/// Tells another view everything, and writes the report as checks end.
pub struct SoFar {
    view: Arc<dyn Observer>,
    folder: PathBuf,
    last: Mutex<Instant>,
    writing: Arc<Mutex<Writing>>,
}

/// Held while a report is written: one at a time.
#[derive(Default)]
struct Writing {
    /// The person knows where it is, or why there is none.
    told: bool,
    /// There is to be no more.
    closed: bool,
}

impl SoFar {
    /// For a run whose files go into `folder`.
    pub fn new(view: Arc<dyn Observer>, folder: PathBuf) -> Self {
        Self { view, folder, last: Mutex::new(Instant::now()), writing: Arc::default() }
    }

    /// Waits for a report that is being written; none is written after this.
    pub fn close(&self) {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }

    /// True once in a while.
    fn is_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.elapsed() >= STANDS;
        if due {
            *last = Instant::now();
        }
        due
    }

    fn write(&self) {
        let (view, folder, writing) =
            (self.view.clone(), self.folder.clone(), self.writing.clone());
        // Not here: a view is not to block.
        std::thread::spawn(move || {
            let mut writing = writing.lock().unwrap_or_else(PoisonError::into_inner);
            if writing.closed {
                return;
            }
            let words = match write_so_far(&folder.join("evidence"), &folder) {
                Ok(path) => format!("the report so far, renewed as checks end: {}", path.display()),
                // The run's end writes it in any case, and tells then what hinders it.
                Err(error) => format!("there is no report so far: {error:#}"),
            };
            if !std::mem::replace(&mut writing.told, true) {
                view.tell(&RunEvent::Note { cell: String::new(), words });
            }
            // Before `close` returns: the end of a view puts the terminal in order.
            drop(view);
            drop(writing);
        });
    }
}

impl Observer for SoFar {
    fn tell(&self, event: &RunEvent) {
        self.view.tell(event);
        if matches!(event, RunEvent::CheckEnded { .. }) && self.is_due() {
            self.write();
        }
    }
}
