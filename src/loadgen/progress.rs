//! Progress on stderr: a bar on a terminal, otherwise a plain line every few seconds.
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

const LINE_EVERY: Duration = Duration::from_secs(5);

/// The progress of one step of a run.
pub(super) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    /// When the last plain line was written; `None` if there is a bar, or no progress is shown.
    last_line: Option<Mutex<Instant>>,
}

impl Progress {
    pub(super) fn new(shown: bool, what: &'static str, total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if shown && terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(u64::try_from(total).ok(), target).with_prefix(what);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>10} {wide_bar} {pos}/{len} {per_sec} {msg}") {
            bar.set_style(style);
        }
        let progress = Self { bar, what, last_line: (shown && !terminal).then(|| Mutex::new(Instant::now())) };
        if progress.last_line.is_some() {
            eprintln!("{what}: {total} to do");
        }
        progress
    }

    pub(super) fn advance(&self, by: usize) {
        self.bar.inc(u64::try_from(by).unwrap_or(0));
        self.print_line_if_due();
    }

    pub(super) fn set(&self, done: usize, message: String) {
        self.bar.set_message(message);
        self.bar.set_position(u64::try_from(done).unwrap_or(0));
        self.print_line_if_due();
    }

    fn print_line_if_due(&self) {
        let Some(mut last) = self.last_line.as_ref().and_then(|last| last.lock().ok()) else { return };
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            eprintln!("{}: {} of {} {}", self.what, self.bar.position(), self.bar.length().unwrap_or(0), self.bar.message());
        }
    }

    pub(super) fn done(self) {
        if self.last_line.is_some() {
            eprintln!(
                "{}: {} of {} in {:.1} s",
                self.what,
                self.bar.position(),
                self.bar.length().unwrap_or(0),
                self.bar.elapsed().as_secs_f64()
            );
        }
        self.bar.finish();
    }
}
