//! Asking a store something that changes nothing: whether it works, and what it shows.
use super::connection::{Credentials, Stale, Unanswered, connection};
use super::context::{Caller, Result, Service};
use super::shops::take_identity;
use crate::db::stores::Store;
use crate::domain::delivery::{ItemResult, Outcome};
use crate::domain::{StoreId, Timestamp};
use crate::platforms::by_name;
use crate::platforms::call::{Action, Call, StoreConnection};

/// What a check has found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Why the store does not work, in plain words; `None` if it does.
    pub reason: Option<String>,
    /// What it leaves open, or what the seller should know, in plain words.
    pub note: Option<String>,
}

/// Calls the store's platform. If a store that needed reauthorization answers again, its held pushes are released; if it
/// was a write that it refused, only one of them, to find out. The answer also tells which shop the store is; if that is
/// connected as another store already, this one is paused, because every change would reach the shop twice.
///
/// # Errors
/// No such store, a conflict if the shop is connected as another store already, or too many checks at once.
pub async fn check(service: &Service, caller: &Caller, id: StoreId) -> Result<Checked> {
    let _place = service.outbound_place(caller)?;
    let now = service.now();
    let store = caller.db.read(move |t| t.store(id)).await?;
    let answered = match connect(service, caller, &store) {
        Err(reason) => Err(reason),
        Ok(mut connection) => match exchange(service, caller, &mut connection, &check_call()).await {
            Ok((results, None)) => Ok((results, service.client.shop(&connection).await)),
            answered => answered,
        },
    };
    let (results, name) = match answered {
        Ok(answered) => answered,
        Err(reason) => return Ok(Checked { reason: Some(reason), note: None }),
    };
    let actor = caller.actor();
    caller.db.write(move |t| take_identity(t, &actor, id, name.as_deref(), now)).await??;
    if store.needs_reauthorisation {
        // A read that works says nothing about writes: one held push finds out.
        let is_write = store.write_refused;
        caller.db.write(move |t| if is_write { t.probe_soon(id, now) } else { t.release_store(id, now).map(drop) }).await?;
    }
    let notes = results.into_iter().filter_map(|result| if let ItemResult::Unknown { reason } = result { Some(reason) } else { None });
    let notes: Vec<String> = left_open_by_check(&store, now).map(str::to_owned).into_iter().chain(notes).collect();
    Ok(Checked { reason: None, note: (!notes.is_empty()).then(|| notes.join(" ")) })
}

/// What is left open by a check of a store that has refused a write.
const REFUSED_A_WRITE: &str = "The store can be read, but it has refused a change. One waiting change is sent to find out whether it \
    accepts changes again; the others follow once it does.";

/// What a check that succeeds leaves open, in plain words.
fn left_open_by_check(store: &Store, now: Timestamp) -> Option<&'static str> {
    let connection = StoreConnection {
        store_id: store.id,
        platform: store.platform.clone(),
        base_url: store.base_url.clone(),
        config: serde_json::from_str(&store.config).unwrap_or_default(),
        credentials: Credentials::new(),
    };
    if store.write_refused && store.pause(now).is_none() {
        return Some(REFUSED_A_WRITE);
    }
    let proves_writes = by_name(&store.platform)?.facts(&connection).proves_writes;
    (!proves_writes).then_some("The store can be read. Whether it may also be written to shows only when something is sent to it.")
}

/// How to call a store's platform, or the reason why that is impossible.
pub(super) fn connect(service: &Service, caller: &Caller, store: &Store) -> Result<StoreConnection, String> {
    connection(caller.db.id(), store, &service.sealer).map_err(|error| format!("Its credentials cannot be used: {error}."))
}

/// Makes a call that changes nothing; if it fails, returns the reason in plain words.
pub(super) async fn ask(
    service: &Service,
    caller: &Caller,
    connection: &mut StoreConnection,
    call: &Call,
) -> Result<Vec<ItemResult>, String> {
    exchange(service, caller, connection, call).await.map(|(results, _)| results)
}

/// The results of a call that changes nothing, and the shop's own name if the platform tells it; if it fails, the reason in plain
/// words.
async fn exchange(
    service: &Service,
    caller: &Caller,
    connection: &mut StoreConnection,
    call: &Call,
) -> Result<(Vec<ItemResult>, Option<String>), String> {
    answered(service, caller, connection, call).await.map_err(|unanswered| match unanswered {
        Unanswered::NotRenewable { .. } => "The store reports that the access token has expired, and it cannot be renewed.".to_owned(),
        Unanswered::Stale(Stale::Refused(reason) | Stale::TryAgain(reason)) => reason,
        Unanswered::Stale(Stale::Database(_)) => "Its renewed tokens could not be saved. Try again.".to_owned(),
        Unanswered::Outcome(outcome) => reason_of(outcome),
    })
}

/// Whether the store lets the service in.
pub(super) async fn answer_of(service: &Service, caller: &Caller, connection: &mut StoreConnection) -> Result<(), Unanswered> {
    answered(service, caller, connection, &check_call()).await.map(drop)
}

fn check_call() -> Call {
    Call { action: Action::Check, items: Vec::new(), idempotency_key: None }
}

async fn answered(
    service: &Service,
    caller: &Caller,
    connection: &mut StoreConnection,
    call: &Call,
) -> Result<(Vec<ItemResult>, Option<String>), Unanswered> {
    let client = &service.client;
    let send = async |connection: &StoreConnection| {
        // While a store has a long queue, permits may take long; the caller should not wait that long.
        let permit = tokio::time::timeout(client.timeout(), client.permit(connection, call)).await;
        let no_room = || Outcome::TryAgain {
            reason: "The store's rate limit is used up at the moment. Try again.".to_owned(),
            after: None,
            throttled: false,
        };
        let sent = client.send(connection, call, permit.map_err(|_| no_room())?).await;
        match sent.outcome {
            Outcome::Answered(results) => Ok((results, sent.shop)),
            outcome => Err(outcome),
        }
    };
    service.renewals.exchange(&caller.db, connection, send).await
}

/// Why an outcome is not an answer with results.
pub(super) fn reason_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Answered(_) => "The store did not list its variants.".to_owned(),
        Outcome::Refused { reason, .. } | Outcome::TryAgain { reason, .. } | Outcome::Unauthorized { reason } => reason,
        Outcome::TokenExpired { reason } | Outcome::Unknown { reason } => reason,
        Outcome::Closed { reason, next_step } | Outcome::Obscured { reason, next_step } => format!("{reason} {next_step}"),
    }
}
