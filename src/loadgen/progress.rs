//! Progress of a run, on stderr: a bar on a terminal, a plain line now and then in a file.
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The pause between two plain lines, and between two drawings of the bar.
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_EVERY: Duration = Duration::from_millis(100);
/// Characters of a full bar.
const BAR_WIDTH: usize = 40;

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Bar,
    Lines,
    Silent,
}

/// One step of a run.
pub(super) struct Progress {
    form: Form,
    what: &'static str,
    total: usize,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    done: usize,
    message: String,
    shown_at: Instant,
}

impl Progress {
    pub(super) fn new(told: bool, what: &'static str, total: usize) -> Self {
        let form = match (told, std::io::stderr().is_terminal()) {
            (false, _) => Form::Silent,
            (true, true) => Form::Bar,
            (true, false) => Form::Lines,
        };
        let began = Instant::now();
        let progress = Self { form, what, total, began, state: Mutex::new(State { done: 0, message: String::new(), shown_at: began }) };
        match form {
            Form::Bar => write(&progress.bar(0, "")),
            Form::Lines => write(&format!("{what}: {total} to do\n")),
            Form::Silent => {}
        }
        progress
    }

    pub(super) fn advance(&self, by: usize) {
        self.update(|state| state.done = state.done.saturating_add(by));
    }

    /// Sets how much is done, and what the step is waiting for.
    pub(super) fn at(&self, done: usize, message: String) {
        self.update(|state| {
            state.done = done;
            state.message = message;
        });
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let pause = if self.form == Form::Bar { BAR_EVERY } else { LINE_EVERY };
        if self.form == Form::Silent || state.shown_at.elapsed() < pause {
            return;
        }
        state.shown_at = Instant::now();
        match self.form {
            Form::Bar => write(&self.bar(state.done, &state.message)),
            _ => write(&format!("{}: {} of {} {}\n", self.what, state.done, self.total, state.message)),
        }
    }

    /// The bar, over the one before.
    fn bar(&self, done: usize, message: &str) -> String {
        let filled = done.min(self.total).saturating_mul(BAR_WIDTH).checked_div(self.total).unwrap_or(BAR_WIDTH);
        #[expect(clippy::cast_precision_loss, reason = "a rate to be looked at")]
        let per_second = done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let (full, empty) = ("█".repeat(filled), "░".repeat(BAR_WIDTH - filled));
        format!("\r{:>10} {full}{empty} {done}/{} {per_second:.0}/s {message}\x1b[K", self.what, self.total)
    }

    pub(super) fn done(self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.form {
            Form::Bar => write(&format!("{}\n", self.bar(state.done, &state.message))),
            Form::Lines => {
                write(&format!("{}: {} of {} in {:.1} s\n", self.what, state.done, self.total, self.began.elapsed().as_secs_f64()));
            }
            Form::Silent => {}
        }
    }
}

/// Nobody is harmed when progress cannot be shown.
fn write(text: &str) {
    std::io::stderr().lock().write_all(text.as_bytes()).ok();
}
