//! Each statement does to every row what the domain's transition does to the push.
use super::*;
use crate::db::{Conn, DatabaseUrl, migrate};
use crate::domain::claim::{self, ClaimTerms, outcome};
use crate::domain::delivery::{Abilities, ItemResult, Method, Outcome, Resolution};
use crate::domain::push::{Addressee, PushKind, PushState, Record, SendBy};
use crate::domain::retry::RetryPolicy;
use crate::domain::{CallId, SellerId};
use std::collections::HashMap;
use uuid::Uuid;

const STORE: StoreId = StoreId(Uuid::from_u128(2));
const LISTING: ListingId = ListingId(Uuid::from_u128(3));

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// Runs `work` with the rows of a seller that has one store.
fn with_tenant(work: impl FnOnce(&mut Tenant<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("bulk.db").to_str().unwrap().to_owned());
    migrate(&url).unwrap();
    let mut conn = Conn::establish(&url).unwrap();
    let seller = SellerId(Uuid::from_u128(1));
    for statement in [
        "INSERT INTO sellers (id, name, timezone, suspended, sku_count, created_at) VALUES ($1, 'S', 'UTC', FALSE, 0, 0)",
        "INSERT INTO stores (seller_id, id, name, platform, config, sync_enabled, paused, needs_reauthorisation, created_at, updated_at) \
         VALUES ($1, $2, 'shop', 'simulated', '{}', TRUE, FALSE, FALSE, 0, 0)",
    ] {
        use diesel::sql_types::Binary;
        let (seller, store) = (seller.bytes(), STORE.bytes());
        let query = diesel::sql_query(statement).into_boxed().bind::<Binary, _>(seller);
        let Backend::Sqlite(c) = &mut conn.backend else { panic!("it is SQLite") };
        if statement.contains("$2") {
            query.bind::<Binary, _>(store).execute(c).unwrap()
        } else {
            query.execute(c).unwrap()
        };
    }
    work(&mut Tenant::of(&mut conn, seller));
}

/// One push in every state, of both kinds.
fn one_of_each() -> Vec<Push> {
    let mut all = Vec::new();
    for kind in [PushKind::Increase, PushKind::Overwrite] {
        for state in PushState::ALL {
            let to = Addressee { store_id: STORE, listing_id: LISTING, sku: "A".into(), external_id: "a".into(), extra: None };
            let made = match kind {
                PushKind::Increase => Push::increase(to, 3, at(0), false),
                PushKind::Overwrite => Push::overwrite(to, at(0), None, None, false),
            };
            let is_sent = !state.is_waiting();
            let record = Record {
                state,
                quantity: Some(3),
                attempts: 2,
                reason: Some("why".into()),
                next_step: Some("what".into()),
                raw_answer: Some("raw".into()),
                due_at: (state.is_claimable() || state.is_uncertain()).then_some(at(5)),
                call_id: is_sent.then_some(CallId(Uuid::from_u128(9))),
                resolution: Some(Resolution::SameCallAgain),
                failing_since: (state != PushState::Held).then_some(at(1)),
                in_doubt: state.is_in_flight(),
                ..made.into_record()
            };
            all.push(Push::from_record(record).unwrap());
        }
    }
    all
}

fn stored(tenant: &mut Tenant<'_>, like: &[Push]) -> Vec<Push> {
    like.iter().map(|push| tenant.push(push.id()).unwrap()).collect()
}

#[test]
fn starting_times_anew_holding_releasing_and_noting_containment_are_the_domains_transitions_in_every_state() {
    type Transition = (fn(&mut Tenant<'_>), fn(&mut Push));
    let table: [Transition; 5] = [
        (
            // The pushes were written at 0, that is, ahead of this.
            |t| t.start_times_anew(STORE, &RetryPolicy::default(), at(-7)).unwrap(),
            |push| push.start_times_anew(at(-7), &RetryPolicy::default()),
        ),
        (|t| assert!(t.hold_store(STORE, at(7)).unwrap() > 0), |push| push.hold_with_store(at(7))),
        (|t| assert!(t.release_store(STORE, at(7)).unwrap() > 0), |push| push.release_with_store(at(7))),
        (|t| assert!(t.hurry_store(STORE, at(4)).unwrap() > 0), |push| push.hurry(at(4))),
        (|t| t.note_contained(&[LISTING]).unwrap(), Push::note_contained),
    ];
    for (statement, transition) in table {
        with_tenant(|tenant| {
            let mut pushes = one_of_each();
            tenant.put(&pushes).unwrap();
            assert_eq!(stored(tenant, &pushes), pushes, "a push is saved and loaded unchanged");
            statement(tenant);
            pushes.iter_mut().for_each(transition);
            assert_eq!(stored(tenant, &pushes), pushes);
        });
    }
}

#[test]
fn a_page_that_is_sent_and_finished_is_saved_as_the_domain_left_it() {
    with_tenant(|tenant| {
        let of_kind = |kind| one_of_each().into_iter().filter(move |push| push.kind() == kind);
        let waiting = of_kind(PushKind::Increase).filter(|push| push.state().is_claimable());
        let uncertain = of_kind(PushKind::Increase).filter(|push| push.state().is_uncertain());
        let pages: [(Vec<Push>, SendBy); 2] =
            [(waiting.collect(), SendBy::Increase(Method::KeyedAdjust)), (uncertain.collect(), SendBy::Repeat)];
        for (mut page, by) in pages {
            tenant.put(&page).unwrap();
            claim::begin(&mut page, CallId(Uuid::from_u128(9)), by, at(7)).unwrap();
            tenant.put_sending(&page).unwrap();
            assert_eq!(stored(tenant, &page), page);
            let abilities = Abilities { adjust: true, idempotency: true, compare_and_set: false, read: true, max_items: 10 };
            let terms = ClaimTerms {
                abilities,
                limit: 10,
                group_by: None,
                overwrites_first: false,
                overwrites_wait: false,
                policy: RetryPolicy::default(),
                jitter: 0.5,
            };
            let mut results = vec![ItemResult::Applied { shown: Some(4) }];
            results.resize(page.len(), ItemResult::TryAgain { reason: "later".into() });
            let outcome = Outcome::Answered(results);
            let answer = outcome::Answer { outcome: &outcome, raw: Some("raw"), now: at(9) };
            let before = page.clone();
            outcome::finish(&mut page, &HashMap::new(), answer, &terms);
            assert!(page.iter().any(Push::is_confirmed));
            tenant.put_finished(&before, &page, at(9)).unwrap();
            assert_eq!(stored(tenant, &page), page);
        }
    });
}

#[test]
fn a_row_that_no_transition_leaves_behind_is_an_error_with_its_id() {
    with_tenant(|tenant| {
        let increase = one_of_each().remove(0);
        tenant.put(std::slice::from_ref(&increase)).unwrap();
        let Backend::Sqlite(c) = &mut tenant.conn.backend else { panic!("it is SQLite") };
        diesel::sql_query("UPDATE pushes SET quantity = NULL").execute(c).unwrap();
        let error = tenant.push(increase.id()).unwrap_err();
        assert_eq!(error.to_string(), format!("corrupt row: pushes {}: an increase without a quantity", increase.id()));
    });
}
