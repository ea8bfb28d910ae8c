//! Webhooks: a seller hears of everything that has happened, in order and signed, whatever failed in between.
use crate::support::receiver::{Heard, RECEIVER};
use crate::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, BTreeSet};
use stocktide::db::runs::RunFilter;
use stocktide::db::webhooks::{Logged, Webhook};
use stocktide::domain::WebhookId;
use stocktide::domain::webhook::MAX_WAITING;
use stocktide::domain::webhook::MessageState::{Delivered, GivenUp, Waiting};
use stocktide::platforms::sign::hmac_sha256;
use stocktide::service::webhooks::{self, EnteredWebhook};

async fn webhook_of(seller: &Seller<'_>, topics: &[&str]) -> (Webhook, Vec<u8>) {
    let topics = (!topics.is_empty()).then(|| topics.iter().map(|&topic| topic.to_owned()).collect());
    let entered = EnteredWebhook { url: Some(format!("{RECEIVER}/of/{}", seller.id)), topics, enabled: None };
    let (webhook, secret) = webhooks::add(&seller.world.service(), &seller.caller(), entered).await.unwrap();
    (webhook, STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap())
}

async fn log(seller: &Seller<'_>, id: WebhookId) -> Vec<Logged> {
    let mut log = seller.db().read(move |t| t.webhook_messages(id, None, 10_000)).await.unwrap();
    log.reverse();
    log
}

fn is_signed(heard: &Heard, secret: &[u8]) -> bool {
    let signature = STANDARD.encode(hmac_sha256(secret, format!("{}.{}.{}", heard.id, heard.signed_at, heard.text).as_bytes()));
    heard.signature == format!("v1,{signature}")
}

fn topics(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(Heard::topic).collect()
}

#[test]
fn a_seller_is_told_of_what_was_rejected_of_the_end_of_a_run_and_of_a_store_that_refuses_its_credentials() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (_, secret) = webhook_of(&seller, &[]).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        world.faults(|f| f.reject_items = vec!["A".to_owned()]);
        seller.purchase("A", 5).await;
        world.sleep(minutes(1)).await;
        world.all_is_well();
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        world.faults(|f| f.unauthorized = true);
        seller.purchase("B", 1).await;
        world.sleep(minutes(1)).await;
        let heard = world.receiver.heard();
        assert_eq!(topics(&heard), ["pushes.rejected", "run.finished", "store.needs_reauthorization"]);
        assert!(heard.iter().all(|message| is_signed(message, &secret) && message.url.ends_with(&seller.id.to_string())));
        let [rejected, finished, refused] = [0, 1, 2].map(|n| &heard[n].body["data"]);
        let pushes = rejected["pushes"].as_array().unwrap();
        assert_eq!((pushes.len(), &pushes[0]["sku"], &pushes[0]["quantity"]), (1, &"A".into(), &5.into()));
        assert!(pushes[0]["reason"].as_str().unwrap().contains("unknown item"), "{rejected}");
        assert_eq!((&finished["run_id"], &finished["done"]), (&run.id.to_string().into(), &2.into()));
        assert_eq!((&refused["store_id"], &refused["store_name"]), (&shop.id.to_string().into(), &"corner".into()));
        let acts = [rejected, finished, refused].map(|data| (data["must_act"].as_str(), data["next_step"].is_string()));
        assert_eq!(acts, [(Some("seller"), true), (None, false), (Some("seller"), true)]);
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn a_receiver_that_was_down_for_an_hour_hears_everything_once_it_is_back_in_order_and_signed_anew() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (webhook, secret) = webhook_of(&seller, &["pushes.rejected"]).await;
        let shops = [seller.shop("one", &["A"]).await, seller.shop("two", &["A"]).await];
        world.faults(|f| f.reject_items = vec!["A".to_owned()]);
        world.receiver.is_down(true);
        for n in 1..=6 {
            seller.purchase("A", n).await;
            world.sleep(minutes(10)).await;
        }
        assert_eq!(world.receiver.heard(), []);
        let problem = seller.db().read(move |t| t.webhook(webhook.id)).await.unwrap();
        assert!(problem.failing_since.is_some() && problem.problem.unwrap().contains("connection refused"));
        world.receiver.is_down(false);
        world.sleep(minutes(16)).await;
        let heard = world.receiver.heard();
        for shop in &shops {
            let told = heard.iter().filter(|message| message.body["data"]["store_id"] == shop.id.to_string());
            let quantities: Vec<i64> = told.map(|m| m.body["data"]["pushes"][0]["quantity"].as_i64().unwrap()).collect();
            assert_eq!(quantities, [1, 2, 3, 4, 5, 6]);
        }
        assert!(heard.iter().all(|message| is_signed(message, &secret)));
        let back_at = (world.now() - minutes(16).to_std().unwrap()).as_millis() / 1000;
        assert!(heard.iter().all(|message| message.signed_at.parse::<i64>().unwrap() >= back_at), "as of when they are sent");
        let log = log(&seller, webhook.id).await;
        assert!(log.len() == 12 && log.iter().all(|message| message.state == Delivered), "{log:?}");
        assert_eq!(seller.db().read(move |t| t.webhook(webhook.id)).await.unwrap().failing_since, None);
    });
}

#[test]
fn a_message_whose_answer_was_lost_comes_again_with_its_id_and_what_a_crash_cut_off_is_not_lost() {
    story(async |world| {
        let seller = world.seller(off).await;
        let (webhook, _) = webhook_of(&seller, &["run.finished"]).await;
        seller.shop("corner", &["A"]).await;
        world.receiver.loses_answers(true);
        seller.sync(RunFilter::default()).await;
        world.sleep(minutes(2)).await;
        world.crashes().await;
        world.receiver.loses_answers(false);
        world.starts();
        world.sleep(minutes(16)).await;
        let heard = world.receiver.heard();
        assert!(heard.len() > 1, "{heard:?}");
        assert_eq!(heard.iter().map(|message| message.id.as_str()).collect::<BTreeSet<_>>().len(), 1);
        assert_eq!(heard.iter().filter(|message| message.answered.is_some()).count(), 1, "it is not sent again after that");
        assert_eq!(log(&seller, webhook.id).await[0].state, Delivered);
    });
}

#[test]
fn nobody_is_told_of_another_sellers_affairs_or_of_what_it_has_not_asked_for() {
    story(async |world| {
        let [ada, ben] = [world.seller(off).await, world.seller(off).await];
        webhook_of(&ada, &["run.finished"]).await;
        webhook_of(&ben, &["store.needs_reauthorization"]).await;
        for seller in [&ada, &ben] {
            seller.shop("corner", &["A"]).await;
            seller.sync(RunFilter::default()).await;
        }
        world.sleep(minutes(1)).await;
        let heard = world.receiver.heard();
        assert_eq!((heard.len(), heard[0].url.ends_with(&ada.id.to_string())), (1, true), "{heard:?}");
    });
}

#[test]
fn a_receiver_that_is_gone_or_switched_off_gets_nothing_more() {
    story(async |world| {
        let seller = world.seller(off).await;
        let (webhook, _) = webhook_of(&seller, &[]).await;
        let id = webhook.id;
        seller.shop("corner", &["A"]).await;
        let run = async || {
            seller.sync(RunFilter::default()).await;
            world.sleep(minutes(1)).await;
        };
        world.receiver.answers(410);
        run().await;
        let row = seller.db().read(move |t| t.webhook(id)).await.unwrap();
        assert!(!row.enabled && row.problem.is_some());
        run().await;
        assert_eq!((world.receiver.heard().len(), log(&seller, id).await[0].state), (1, GivenUp));
        let switch = async |on: bool| {
            let change = EnteredWebhook { enabled: Some(on), ..EnteredWebhook::default() };
            webhooks::change(&world.service(), &seller.caller(), id, change).await.unwrap()
        };
        world.receiver.answers(500);
        switch(true).await;
        run().await;
        assert_eq!(log(&seller, id).await.last().unwrap().state, Waiting);
        switch(false).await;
        world.receiver.answers(200);
        world.sleep(hours(1)).await;
        assert_eq!(log(&seller, id).await.last().unwrap().state, GivenUp);
        switch(true).await;
        webhooks::test(&world.service(), &seller.caller(), id).await.unwrap();
        world.sleep(minutes(1)).await;
        assert_eq!(world.receiver.heard().last().unwrap().topic(), "webhook.test");
    });
}

#[test]
fn of_more_messages_than_may_wait_the_oldest_are_given_up_and_the_others_arrive() {
    story(async |world| {
        let seller = world.seller(off).await;
        let (webhook, _) = webhook_of(&seller, &[]).await;
        let id = webhook.id;
        world.receiver.is_down(true);
        for _ in 0..MAX_WAITING + 3 {
            webhooks::test(&world.service(), &seller.caller(), id).await.unwrap();
        }
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        let log = log(&seller, id).await;
        log.iter().for_each(|message| *states.entry(message.state.as_str()).or_default() += 1);
        assert_eq!(states, BTreeMap::from([("given_up", 3), ("waiting", usize::try_from(MAX_WAITING).unwrap())]));
        assert!(log[..3].iter().all(|message| message.state == GivenUp), "the oldest");
    });
}

#[test]
fn a_store_that_refuses_each_time_it_is_tried_is_told_of_once_a_day_until_it_has_worked() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        webhook_of(&seller, &["store.needs_reauthorization"]).await;
        seller.shop("corner", &["A"]).await;
        world.faults(|f| f.unauthorized = true);
        seller.purchase("A", 1).await;
        world.sleep(hours(20)).await;
        assert_eq!(world.receiver.heard().len(), 1);
        world.sleep(hours(5)).await;
        seller.purchase("A", 1).await;
        world.sleep(hours(2)).await;
        assert_eq!(world.receiver.heard().len(), 2, "a reminder");
        world.all_is_well();
        world.sleep(hours(1)).await;
        world.faults(|f| f.unauthorized = true);
        seller.purchase("A", 1).await;
        world.sleep(minutes(15)).await;
        assert_eq!(world.receiver.heard().len(), 3, "it has worked in between");
        world.all_is_well();
        world.sleep(hours(1)).await;
    });
}

#[test]
fn what_waits_while_the_clock_is_ahead_arrives_once_it_is_set_right() {
    for ahead in [hours(1), days(1)] {
        story(async |world| {
            let seller = world.seller(off).await;
            let (webhook, _) = webhook_of(&seller, &[]).await;
            world.clock.step(ahead);
            world.receiver.is_down(true);
            webhooks::test(&world.service(), &seller.caller(), webhook.id).await.unwrap();
            world.sleep(minutes(1)).await;
            world.receiver.is_down(false);
            world.clock.step(-ahead);
            world.sleep(minutes(1)).await;
            assert_eq!(topics(&world.receiver.heard()), ["webhook.test"], "{ahead}");
        });
    }
}

#[test]
fn a_run_that_asks_first_is_told_of_and_so_is_its_end() {
    story(async |world| {
        let seller = world.seller(off).await;
        webhook_of(&seller, &["run.waiting_for_answer", "run.finished"]).await;
        let names: Vec<String> = (0..20).map(|n| format!("S{n}")).collect();
        let skus: Vec<&str> = names.iter().map(String::as_str).collect();
        seller.shop("full", &skus).await;
        for sku in &skus {
            seller.purchase(sku, 7).await;
        }
        seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        for sku in &skus {
            seller.event(sku, stocktide::domain::stock::EventKind::Count, 0).await;
        }
        let asking = seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        stocktide::service::guard::answer(&world.service(), &seller.caller(), asking.id, false).await.unwrap();
        world.sleep(minutes(1)).await;
        let heard = world.receiver.heard();
        assert_eq!(topics(&heard), ["run.finished", "run.waiting_for_answer", "run.finished"]);
        assert!(heard[1].body["data"]["question"].as_str().unwrap().contains("20"), "{}", heard[1].text);
        assert_eq!(heard[2].body["data"]["state"], "cancelled");
    });
}
