//! Requests that arrive together, one of which removes what the other one names: nothing is left that names it.
use crate::support::*;
use stocktide::db::Error as RowError;
use stocktide::db::runs::RunFilter;
use stocktide::domain::StoreId;
use stocktide::domain::allocation::Share;
use stocktide::domain::frequency::Frequency;
use stocktide::domain::settings::Rule;
use stocktide::service::daily::start_due_runs;
use stocktide::service::syncs::{self, Wanted};
use stocktide::service::{self, Error};

fn half_of(store: StoreId) -> Rule {
    Rule { store_id: Some(store), share: Share::from_percent(50.0), ..Rule::default() }
}

async fn rules_of(ada: &Seller<'_>) -> Vec<Rule> {
    ada.db().read(|t| t.rules(None, 100)).await.unwrap()
}

#[test]
fn a_rule_saved_while_its_store_is_deleted_does_not_outlive_it() {
    story(async |world| {
        let ada = world.seller(incremental).await;
        for round in 0..20 {
            let shop = ada.shop("corner", &["A"]).await;
            let (service, caller) = (world.service(), ada.caller());
            let save = service::rules::save(&service, &caller, vec![half_of(shop.id)]);
            let delete = service::stores::delete(&service, &caller, shop.id);
            let (saved, deleted) = if round % 2 == 0 {
                tokio::join!(save, delete)
            } else {
                let (deleted, saved) = tokio::join!(delete, save);
                (saved, deleted)
            };
            deleted.unwrap();
            assert!(matches!(saved, Ok(_) | Err(Error::NoSuch { what: "store", .. })), "{saved:?}");
            assert_eq!(rules_of(&ada).await, []);
            let late = service::rules::save(&service, &caller, vec![half_of(shop.id)]).await;
            assert!(matches!(late, Err(Error::NoSuch { what: "store", .. })), "{late:?}");
        }
    });
}

#[test]
fn a_rule_that_an_earlier_version_left_behind_goes_when_rules_are_saved() {
    story(async |world| {
        let ada = world.seller(incremental).await;
        let (gone, shop) = (ada.shop("gone", &["A"]).await, ada.shop("corner", &["A"]).await);
        ada.removes(&gone).await;
        ada.db().write(move |t| t.save_rules(&[half_of(gone.id)])).await.unwrap();
        ada.rule(half_of(shop.id)).await;
        assert_eq!(rules_of(&ada).await, [half_of(shop.id)]);
    });
}

#[test]
fn a_sync_that_names_a_store_deleted_meanwhile_is_refused() {
    story(async |world| {
        let ada = world.seller(incremental).await;
        let shop = ada.shop("corner", &["A"]).await;
        let wanted = Wanted { store_ids: Some(vec![shop.id]), skus: None };
        let filter: RunFilter = syncs::checked(&ada.caller(), wanted).await.unwrap();
        ada.removes(&shop).await;
        let started = syncs::start(&world.service(), &ada.caller(), filter).await;
        assert_eq!(started.unwrap_err(), Error::NoSuch { pointer: "/store_ids/0".to_owned(), what: "store" });
        assert_eq!(ada.runs().await, []);
    });
}

#[test]
fn neither_a_daily_run_nor_a_circuit_is_recorded_for_a_store_that_was_deleted() {
    story(async |world| {
        let ada = world.seller(incremental).await;
        let shop = ada.shop("corner", &["A"]).await;
        let created_at = ada.store(&shop).await.created_at;
        ada.removes(&shop).await;
        ada.settings(|settings| settings.frequency = Frequency::TimedFull).await;
        let tomorrow = world.now() + std::time::Duration::from_secs(30 * 3600);
        start_due_runs(&ada.db(), shop.id, created_at, None, tomorrow).await.unwrap();
        assert_eq!(ada.runs().await, []);
        let noted = ada.db().write(move |t| t.note_circuit(shop.id, Some(tomorrow))).await;
        assert_eq!(noted, Err(RowError::NotFound));
    });
}
