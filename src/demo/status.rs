//! The demo's line of live figures.
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two lines.
const EVERY: Duration = Duration::from_secs(1);

/// One line that is written anew each second. On a terminal it is cut to its width: a line that wraps could not be written
/// over, and would scroll the keys away.
pub(super) struct StatusLine(Option<indicatif::ProgressBar>);

impl StatusLine {
    pub(super) fn new() -> Self {
        let style = indicatif::ProgressStyle::with_template("{wide_msg}");
        let bar = || Some(indicatif::ProgressBar::new_spinner().with_style(style.ok()?));
        Self(if std::io::stdout().is_terminal() { bar() } else { None })
    }

    pub(super) fn show(&self, line: String) {
        match &self.0 {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            None => println!("{line}"),
        }
    }
}

/// Stock events and updates per second since the last line, so that the figures are true from the first line on.
pub(super) struct Rates {
    at: Instant,
    events: u64,
    updates: u64,
}

impl Rates {
    pub(super) fn new(updates: u64) -> Self {
        Self { at: Instant::now(), events: 0, updates }
    }

    /// Both rates, once a second has passed since the last time.
    pub(super) fn after_a_second(&mut self, events: u64, updates: u64) -> Option<(f64, f64)> {
        let passed = self.at.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "the counts of a second are far below 2^52")]
        let rate = |count: u64| count as f64 / passed.as_secs_f64();
        let rates = (rate(events - self.events), rate(updates.saturating_sub(self.updates)));
        (passed >= EVERY).then(|| {
            *self = Self { at: Instant::now(), events, updates };
            rates
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rates_are_true_from_the_first_line_on() {
        let mut rates = Rates::new(36);
        tokio::time::sleep(EVERY / 2).await;
        assert_eq!(rates.after_a_second(9, 40), None);
        tokio::time::sleep(EVERY * 3 / 2).await;
        assert_eq!(rates.after_a_second(20, 46), Some((10.0, 5.0)));
        tokio::time::sleep(EVERY).await;
        assert_eq!(rates.after_a_second(50, 46), Some((30.0, 0.0)));
    }
}
