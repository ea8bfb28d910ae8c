//! Asking a store something that changes nothing: whether it works, and what it shows.
use super::connection::{Credentials, Stale, Unanswered, connection};
use super::context::{Caller, Result, Service};
use crate::db::stores::Store;
use crate::domain::StoreId;
use crate::domain::delivery::{ItemResult, Outcome};
use crate::platforms::by_name;
use crate::platforms::call::{Action, Call, StoreConnection};

/// Calls the store's platform; if the store does not answer, returns the reason. If a store that needed reauthorization
/// answers again, its held pushes are released.
///
/// # Errors
/// No such store, or too many checks at once.
pub async fn check(service: &Service, caller: &Caller, id: StoreId) -> Result<Option<String>> {
    let _place = service.outbound_place(caller)?;
    let now = service.now();
    let store = caller.db.read(move |t| t.store(id)).await?;
    let reason = match connect(service, caller, &store) {
        Err(reason) => Some(reason),
        Ok(mut connection) => {
            let check = Call { action: Action::Check, items: Vec::new(), idempotency_key: None };
            ask(service, caller, &mut connection, &check).await.err()
        }
    };
    if reason.is_none() && store.needs_reauthorisation {
        caller.db.write(move |t| t.release_store(id, now).map(drop)).await?;
    }
    Ok(reason)
}

/// What a check that succeeds leaves open, in plain words.
pub fn left_open_by_check(store: &Store) -> Option<&'static str> {
    let connection = StoreConnection {
        store_id: store.id,
        platform: store.platform.clone(),
        base_url: store.base_url.clone(),
        config: serde_json::from_str(&store.config).unwrap_or_default(),
        credentials: Credentials::new(),
    };
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
    let client = &service.client;
    let send = async |connection: &StoreConnection| {
        // While a store has a long queue, permits may take long; the caller should not wait that long.
        let permit = tokio::time::timeout(client.timeout(), client.permit(connection, call)).await;
        let no_room = || Outcome::TryAgain {
            reason: "The store's rate limit is used up at the moment. Try again.".to_owned(),
            after: None,
            throttled: false,
        };
        match client.send(connection, call, permit.map_err(|_| no_room())?).await.outcome {
            Outcome::Answered(results) => Ok(results),
            outcome => Err(outcome),
        }
    };
    service.renewals.exchange(&caller.db, connection, send).await.map_err(|unanswered| match unanswered {
        Unanswered::NotRenewable { .. } => "The store reports that the access token has expired, and it cannot be renewed.".to_owned(),
        Unanswered::Stale(Stale::Refused(reason) | Stale::TryAgain(reason)) => reason,
        Unanswered::Stale(Stale::Database(_)) => "Its renewed tokens could not be saved. Try again.".to_owned(),
        Unanswered::Outcome(outcome) => reason_of(outcome),
    })
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
