//! The statements that connections of this process send, by database.
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, Once};
use stocktide::db::{DatabaseUrl, Server};

/// How often each was sent, without its values.
pub type Statements = BTreeMap<String, u64>;

static SENT: Mutex<Option<HashMap<String, Statements>>> = Mutex::new(None);

#[derive(Default)]
struct Recorder {
    url: String,
}

impl Instrumentation for Recorder {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => self.url = url.to_owned(),
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let sql = text.split(" -- binds").next().unwrap_or_default().to_owned();
                let mut sent = SENT.lock().unwrap();
                *sent.get_or_insert_default().entry(self.url.clone()).or_default().entry(sql).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// Records what is sent by connections that are opened from now on.
pub fn record() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| set_default_instrumentation(|| Some(Box::new(Recorder::default()))).unwrap());
}

/// What was sent to this database since this was called last.
pub fn take(database: &DatabaseUrl) -> Statements {
    let (DatabaseUrl::Sqlite(url) | DatabaseUrl::Postgres(Server { url, .. })) = database;
    SENT.lock().unwrap().as_mut().and_then(|all| all.remove(url)).unwrap_or_default()
}
