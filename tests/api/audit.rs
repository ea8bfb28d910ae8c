//! Who changed what: the audit log has an entry for each change, with before and after, and never a secret. Secrets
//! appear in no answer either, and never in plain text in the database's files.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect, OPERATOR_KEY, Platform, until};
use serde_json::{Value, json};

const TOKEN: &str = "tok-c0ffee-planted-secret";
const NEW_TOKEN: &str = "tok-decaf-another-secret";

/// Makes one change of every kind; returns the actions that the audit log must show, newest first, and the secrets
/// involved.
fn change_everything(api: &Api, ada: &Caller<'_>, platform: &Platform) -> (Vec<&'static str>, Vec<String>) {
    let path = format!("/admin/sellers/{}", ada.id);
    let key = api.operator().post(&format!("{path}/keys"), &Value::Null).is(201);
    api.operator().delete(&format!("{path}/keys/{}", key["id"].as_str().unwrap())).is(204);
    api.operator().patch(&path, &json!({ "name": "Ada & Sons" })).is(200);
    ada.post("/v1/warehouses", &json!({ "code": "north" })).is(201);
    ada.patch("/v1/warehouses/north", &json!({ "name": "North" })).is(200);
    ada.delete("/v1/warehouses/north").is(204);
    let store = ada.store("corner", platform.address, json!({ "credentials": { "token": TOKEN }, "external_store": "corner" }));
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "name": "Corner" })).is(200);
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "credentials": { "token": NEW_TOKEN } })).is(200);
    ada.pair(&store, &["A", "B"]);
    let listing = ada.get(&format!("/v1/stores/{store}/listings")).is(200)["items"][0]["id"].as_str().unwrap().to_owned();
    ada.delete(&format!("/v1/stores/{store}/listings/{listing}")).is(204);
    ada.put("/v1/skus", &json!([{ "sku": "A", "name": "Shoe" }])).is(200);
    ada.put("/v1/rules", &json!([{ "buffer": 1 }])).is(200);
    ada.put("/v1/rules", &json!([{ "buffer": 2 }])).is(200);
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    ada.event("e1", "B", "purchase", 5);
    until("the increase is confirmed", || (platform.simulator.quantity("corner", "B") > 0).then_some(()));
    ada.post("/v1/syncs", &json!({})).is(202);
    ada.post("/v1/pushes/retry", &json!({ "state": "held" })).is(200);
    ada.delete(&format!("/v1/stores/{store}")).is(204);
    let actions = vec![
        "store.deleted",
        "pushes.retried",
        "sync.started",
        "sync_settings.changed",
        "rules.changed",
        "rules.changed",
        "skus.changed",
        "listing.unpaired",
        "listings.changed",
        "store.credentials_changed",
        "store.changed",
        "store.created",
        "warehouse.deleted",
        "warehouse.renamed",
        "warehouse.created",
        "seller.changed",
        "key.revoked",
        "key.created",
        "seller.created",
    ];
    let secrets = [TOKEN, NEW_TOKEN, OPERATOR_KEY, &ada.key, key["api_key"].as_str().unwrap()].map(str::to_owned).to_vec();
    (actions, secrets)
}

fn each_change_is_recorded_with_its_actor_before_and_after(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let (actions, _) = change_everything(&api, &ada, &platform);
    let entries = ada.get("/v1/audit?limit=1000").is(200)["items"].as_array().unwrap().clone();
    assert_eq!(entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect::<Vec<_>>(), actions);
    let of = |action: &str| entries.iter().find(|entry| entry["action"] == action).unwrap();
    for entry in &entries {
        let by_operator = ["seller.", "key."].iter().any(|part| entry["action"].as_str().unwrap().starts_with(part));
        let actor = if by_operator { "operator".to_owned() } else { format!("key:{}", ada.key_id) };
        assert_eq!(entry["actor"], actor.as_str(), "{entry}");
        assert!(entry["at"].is_string() && entry["subject"].is_string());
    }
    assert_eq!((&of("seller.changed")["before"]["name"], &of("seller.changed")["after"]["name"]), (&json!("Ada"), &json!("Ada & Sons")));
    assert_eq!(
        (&of("warehouse.renamed")["before"], &of("warehouse.renamed")["after"]),
        (&json!({ "name": "north" }), &json!({ "name": "North" }))
    );
    assert_eq!((&of("store.changed")["before"]["name"], &of("store.changed")["after"]["name"]), (&json!("corner"), &json!("Corner")));
    assert_eq!(
        (&of("sync_settings.changed")["before"]["auto_sync"], &of("sync_settings.changed")["after"]["auto_sync"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (&of("rules.changed")["before"]["first"][0]["buffer"], &of("rules.changed")["after"]["first"][0]["buffer"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(of("listing.unpaired")["before"]["external_id"], "A");
    assert_eq!(of("store.deleted")["before"]["name"], "Corner");
}

fn a_request_that_changes_nothing_is_not_recorded(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.put("/v1/skus", &json!([{ "sku": "A" }])).is(200);
    ada.changes_nothing(|| {
        ada.put("/v1/sync-settings", &json!({ "auto_sync": false, "buffer": 0 })).is(200);
        ada.put("/v1/skus", &json!([{ "sku": "A" }])).is(200);
        api.operator().patch(&format!("/admin/sellers/{}", ada.id), &json!({ "suspended": false })).is(200);
    });
}

fn secrets_appear_in_no_answer_and_never_in_plain_text_on_disk(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let (_, secrets) = change_everything(&api, &ada, &platform);
    let store = ada.store("corner", platform.address, json!({ "credentials": { "token": TOKEN } }));
    platform.simulator.set_faults(stocktide::simulator::Faults { token: Some("another".into()), ..Default::default() });
    let mut texts: Vec<String> = ada.everything().iter().map(Value::to_string).collect();
    texts.push(ada.post(&format!("/v1/stores/{store}/check"), &Value::Null).text());
    texts.push(ada.get(&format!("/v1/stores/{store}")).text());
    texts.push(ada.patch(&format!("/v1/stores/{store}"), &json!({ "credentials": { "token": NEW_TOKEN, "colour": TOKEN } })).text());
    for path in [
        "/admin/sellers".to_owned(),
        "/admin/overview".to_owned(),
        format!("/admin/sellers/{}", ada.id),
        format!("/admin/sellers/{}/keys", ada.id),
    ] {
        texts.push(api.operator().get(&path).text());
    }
    texts.push(api.call("GET", "/metrics", "", None).text());
    for secret in &secrets {
        assert!(texts.iter().all(|text| !text.contains(secret.as_str())), "{secret} was shown: {texts:#?}");
    }
    if backend == Backend::Sqlite {
        let folder = api.database_file().parent().unwrap().to_owned();
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 2, "the database and its journal: {files:?}");
        for (file, secret) in files.iter().flat_map(|file| secrets.iter().map(move |secret| (file, secret))) {
            let bytes = std::fs::read(file).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in plain text in {}", file.display());
        }
    }
}

on_both_backends![
    each_change_is_recorded_with_its_actor_before_and_after,
    a_request_that_changes_nothing_is_not_recorded,
    secrets_appear_in_no_answer_and_never_in_plain_text_on_disk,
];
