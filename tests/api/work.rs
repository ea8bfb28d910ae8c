//! What an SQLite database does, counted: steps of its virtual machine, and statements.
use crate::support::pause;
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use std::collections::HashMap;
use std::sync::{Mutex, Once};
use std::time::Duration;

/// How many looks in a row, 5 ms apart, must find nothing new before the service counts as quiet. Other tests keep the machine
/// busy meanwhile.
const QUIET: usize = 4;

static STATEMENTS: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);

/// Counts the statements of each database.
#[derive(Default)]
struct Counter {
    url: String,
}

impl Instrumentation for Counter {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => self.url = url.to_owned(),
            InstrumentationEvent::StartQuery { .. } => {
                *STATEMENTS.lock().unwrap().get_or_insert_default().entry(self.url.clone()).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// From here on, what every new connection does is counted.
pub fn count_from_now_on() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        sqlite_steps::start();
        set_default_instrumentation(|| Some(Box::new(Counter::default()))).unwrap();
    });
}

/// The steps and statements that this database has taken so far, once it takes no more.
pub fn taken_once_quiet(file: &str) -> (u64, u64) {
    let taken = || {
        let statements = STATEMENTS.lock().unwrap().as_ref().and_then(|all| all.get(file).copied()).unwrap_or(0);
        (sqlite_steps::taken(file), statements)
    };
    let (mut before, mut quiet) = (taken(), 0);
    for _ in 0..200 {
        pause(Duration::from_millis(5));
        let now = taken();
        quiet = if std::mem::replace(&mut before, now) == now { quiet + 1 } else { 0 };
        if quiet == QUIET {
            break;
        }
    }
    before
}
