//! Mails: a seller reads of what has happened once a day, of what is urgent at once but not every minute, and nobody else does.
mod servers;

use crate::support::postbox::token;
use crate::support::*;
use std::collections::BTreeSet;
use stocktide::db::email::{Address, Purpose};
use stocktide::db::runs::RunFilter;
use stocktide::domain::EmailId;
use stocktide::domain::mail::{AddressState, NOT_SENT};
use stocktide::service::email::{self, EnteredAddress};

const ADA: &str = "ada@example.com";

async fn adds(seller: &Seller<'_>, address: &str, topics: &[&str]) -> Result<Address, stocktide::service::Error> {
    let topics = (!topics.is_empty()).then(|| topics.iter().map(|&topic| topic.to_owned()).collect());
    let entered = EnteredAddress { address: Some(address.to_owned()), topics, ..EnteredAddress::default() };
    email::add(&seller.world.service(), &seller.caller(), entered).await
}

/// An address whose reader has agreed.
async fn confirmed(seller: &Seller<'_>, address: &str, topics: &[&str]) -> Address {
    let world = seller.world;
    let added = adds(seller, address, topics).await.unwrap();
    world.sleep(minutes(11)).await;
    let letter = world.postbox.letters().into_iter().rfind(|letter| letter.to == address).expect("it was asked to confirm itself");
    email::follow(&world.service(), &token(&letter, "confirm"), Purpose::Confirm).await.unwrap();
    added
}

async fn row(seller: &Seller<'_>, id: EmailId) -> Address {
    seller.db().read(move |t| t.email_address(id)).await.unwrap()
}

/// The store refuses its credentials from now on, and that is found out.
async fn is_refused(seller: &Seller<'_>, sku: &str) {
    seller.world.faults(|f| f.unauthorized = true);
    seller.purchase(sku, 1).await;
    seller.world.sleep(minutes(1)).await;
}

#[test]
fn a_digest_comes_once_a_day_at_its_hour_and_only_if_there_is_something_to_say() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        confirmed(&seller, ADA, &[]).await;
        seller.shop("corner", &["A"]).await;
        for _ in 0..2 {
            seller.sync(RunFilter::default()).await;
            world.sleep(minutes(1)).await;
        }
        world.sleep_until("2026-03-03T07:59:00Z").await;
        assert_eq!(world.postbox.news(), []);
        world.sleep_until("2026-03-03T08:11:00Z").await;
        let news = world.postbox.news();
        assert_eq!((news.len(), news[0].to.as_str(), news[0].subject.as_str()), (1, ADA, "Stocktide: 1 message about your stores"));
        assert!(news[0].text.contains("2 manual syncs have finished."), "{}", news[0].text);
        world.sleep(days(3)).await;
        assert_eq!(world.postbox.news().len(), 1, "nothing has happened");
        seller.sync(RunFilter::default()).await;
        world.sleep(days(1)).await;
        let news = world.postbox.news();
        assert!(news.len() == 2 && news[1].text.contains("A manual sync has finished.") && news[0].id != news[1].id, "{news:?}");
    });
}

#[test]
fn what_is_urgent_is_mailed_at_once_but_at_most_once_an_hour() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        confirmed(&seller, ADA, &["store.needs_reauthorization", "pushes.rejected"]).await;
        seller.shop("one", &["A"]).await;
        seller.shop("two", &["B"]).await;
        seller.shop("three", &["C"]).await;
        is_refused(&seller, "A").await;
        let news = world.postbox.news();
        assert_eq!((news.len(), news[0].subject.as_str()), (1, "Stocktide: 1 thing needs you"));
        assert!(news[0].text.contains("You must act") && news[0].text.contains("one refuses its credentials"), "{}", news[0].text);
        assert!(news[0].text.contains("connect it again"), "the next step");
        is_refused(&seller, "B").await;
        is_refused(&seller, "C").await;
        world.sleep(minutes(55)).await;
        assert_eq!(world.postbox.news().len(), 1, "not within an hour");
        world.sleep(minutes(5)).await;
        let news = world.postbox.news();
        assert_eq!((news.len(), news[1].subject.as_str()), (2, "Stocktide: 2 things need you"));
        assert!(news[1].text.contains("two refuses") && news[1].text.contains("three refuses") && !news[1].text.contains("one refuses"));
        world.sleep(hours(3)).await;
        assert_eq!(world.postbox.news().len(), 2, "nothing new");
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn a_store_that_refuses_each_time_it_is_tried_is_mailed_about_once_a_day() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        confirmed(&seller, ADA, &["store.needs_reauthorization"]).await;
        seller.shop("corner", &["A"]).await;
        is_refused(&seller, "A").await;
        world.sleep(hours(20)).await;
        assert_eq!(world.postbox.news().len(), 1);
        world.sleep(hours(5)).await;
        seller.purchase("A", 1).await;
        world.sleep(hours(2)).await;
        assert_eq!(world.postbox.news().len(), 2, "a reminder");
        world.all_is_well();
        world.sleep(hours(1)).await;
    });
}

#[test]
fn a_mail_that_a_crash_cut_off_comes_again_as_the_same_mail_and_one_that_was_taken_does_not() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        confirmed(&seller, ADA, &["store.needs_reauthorization"]).await;
        seller.shop("one", &["A"]).await;
        world.postbox.never_answers(true);
        is_refused(&seller, "A").await;
        assert_eq!(world.postbox.news().len(), 1);
        world.crashes().await;
        world.postbox.never_answers(false);
        world.starts();
        world.sleep(minutes(1)).await;
        assert_eq!(world.postbox.news().len(), 1, "another process might still send it");
        world.sleep(minutes(4)).await;
        let news = world.postbox.news();
        assert_eq!((news.len(), news.iter().map(|letter| letter.id).collect::<BTreeSet<_>>().len()), (2, 1), "mail servers know it again");
        assert!(news[0].at == news[1].at && news[0].subject == news[1].subject);
        world.crashes().await;
        world.starts();
        world.sleep(hours(3)).await;
        assert_eq!(world.postbox.news().len(), 2, "it was taken");
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn a_mail_server_that_was_down_for_an_hour_gets_every_mail_once_it_is_back() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let address = confirmed(&seller, ADA, &["store.needs_reauthorization"]).await;
        seller.shop("one", &["A"]).await;
        seller.shop("two", &["B"]).await;
        world.postbox.is_down(true);
        is_refused(&seller, "A").await;
        is_refused(&seller, "B").await;
        world.sleep(hours(1)).await;
        assert_eq!(world.postbox.news(), []);
        assert_eq!(row(&seller, address.id).await.problem.as_deref(), Some(NOT_SENT), "and nothing about the operator's server");
        world.postbox.is_down(false);
        world.sleep(minutes(16)).await;
        assert_eq!((world.postbox.news().len(), row(&seller, address.id).await.problem), (1, None));
        assert!(world.postbox.news()[0].text.contains("one refuses its credentials"));
        world.sleep(hours(1)).await;
        let news = world.postbox.news();
        assert!(news.len() == 2 && news[1].text.contains("two refuses its credentials"), "{news:?}");
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn an_address_gets_nothing_before_it_is_confirmed_and_nothing_after_it_is_unsubscribed() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let address = adds(&seller, ADA, &[]).await.unwrap();
        seller.shop("one", &["A"]).await;
        seller.shop("two", &["B"]).await;
        is_refused(&seller, "A").await;
        world.sleep(hours(2)).await;
        let letters = world.postbox.letters();
        assert_eq!((letters.len(), letters[0].subject.as_str()), (1, "Stocktide: confirm this address"));
        let service = world.service();
        let confirm = token(&letters[0], "confirm");
        email::look(&service, &confirm, Purpose::Confirm).await.unwrap();
        assert_eq!(row(&seller, address.id).await.state, AddressState::Unconfirmed, "a link that is only opened changes nothing");
        let wrong = email::follow(&service, &confirm, Purpose::Unsubscribe).await;
        assert!(wrong.is_err(), "a link does only what it is for");
        email::follow(&service, &confirm, Purpose::Confirm).await.unwrap();
        assert!(email::follow(&service, &confirm, Purpose::Confirm).await.is_err(), "a link confirms once");
        is_refused(&seller, "B").await;
        let news = world.postbox.news();
        assert!(news.len() == 1 && news[0].text.contains("two refuses") && !news[0].text.contains("one refuses"), "{news:?}");
        let leave = token(&news[0], "unsubscribe");
        email::follow(&service, &leave, Purpose::Unsubscribe).await.unwrap();
        email::follow(&service, &leave, Purpose::Unsubscribe).await.unwrap();
        assert_eq!(row(&seller, address.id).await.state, AddressState::Unsubscribed);
        let log = seller.db().read(|t| t.audit(None, 100)).await.unwrap();
        assert_eq!(log.iter().filter(|entry| entry.action == "email.unsubscribed").count(), 1, "the second time changes nothing");
        world.all_is_well();
        world.sleep(minutes(20)).await;
        is_refused(&seller, "A").await;
        world.sleep(hours(2)).await;
        assert_eq!(world.postbox.news().len(), 1);
        world.leaves_work();
    });
}

#[test]
fn a_link_ends_after_its_time_and_a_changed_token_leads_nowhere() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        adds(&seller, ADA, &[]).await.unwrap();
        world.sleep(minutes(11)).await;
        let confirm = token(&world.postbox.letters()[0], "confirm");
        use secrecy::ExposeSecret as _;
        let text = confirm.expose_secret().to_owned();
        let other = if text.ends_with('A') { 'B' } else { 'A' };
        for wrong in [String::new(), "x".to_owned(), format!("{}{other}", &text[..text.len() - 1]), format!("{text}A")] {
            assert!(email::look(&world.service(), &wrong.as_str().into(), Purpose::Confirm).await.is_err(), "{wrong}");
        }
        world.sleep(hours(49)).await;
        assert!(email::follow(&world.service(), &confirm, Purpose::Confirm).await.is_err());
    });
}

#[test]
fn an_address_that_its_mail_server_refuses_a_few_times_gets_no_more_mails() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let address = confirmed(&seller, ADA, &["store.needs_reauthorization"]).await;
        seller.shop("one", &["A"]).await;
        seller.shop("two", &["B"]).await;
        world.postbox.refuses(ADA);
        is_refused(&seller, "A").await;
        let refused = row(&seller, address.id).await;
        assert_eq!((refused.state, refused.problem.as_deref()), (AddressState::Confirmed, Some("550 no such user")));
        world.sleep(hours(3)).await;
        assert_eq!(row(&seller, address.id).await.state, AddressState::Refused);
        world.postbox.refuses("somebody@else.example");
        is_refused(&seller, "B").await;
        world.sleep(hours(2)).await;
        assert_eq!(world.postbox.news(), []);
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn nobody_can_have_a_stranger_flooded_with_requests() {
    story_of_days(START, async |world| {
        let [ada, ben] = [world.seller(off).await, world.seller(off).await];
        let stranger = "stranger@example.com";
        let again = async |seller: &Seller<'_>| -> bool {
            let there = seller.db().read(|t| t.email_addresses()).await.unwrap();
            let id = there.iter().find(|address| address.address == stranger).unwrap().id;
            email::remove(&world.service(), &seller.caller(), id).await.unwrap();
            adds(seller, stranger, &[]).await.is_ok()
        };
        adds(&ada, stranger, &[]).await.unwrap();
        adds(&ben, stranger, &[]).await.unwrap();
        world.sleep(minutes(11)).await;
        assert!(again(&ada).await, "the third");
        for same in ["Stranger@example.com", "stranger+2@example.com"] {
            assert!(adds(&ben, same, &[]).await.is_err(), "the same mailbox");
        }
        assert!(!again(&ben).await, "the fourth of one day");
        world.sleep(hours(12)).await;
        assert_eq!(world.postbox.letters().len(), 3);
        world.sleep(hours(13)).await;
        adds(&ben, stranger, &[]).await.unwrap();
    });
}

#[test]
fn whoever_unsubscribes_twice_is_not_asked_again() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        let ask = async || {
            let there = seller.db().read(|t| t.email_addresses()).await.unwrap();
            for address in there {
                email::remove(&world.service(), &seller.caller(), address.id).await.unwrap();
            }
            adds(&seller, ADA, &[]).await.is_ok()
        };
        for _ in 0..2 {
            assert!(ask().await, "the first time may have been a mistake");
            world.sleep(minutes(11)).await;
            let leave = token(world.postbox.letters().last().unwrap(), "unsubscribe");
            for _ in 0..3 {
                email::follow(&world.service(), &leave, Purpose::Unsubscribe).await.unwrap();
            }
        }
        world.sleep(days(2)).await;
        assert!(!ask().await);
        assert!(adds(&world.seller(off).await, ADA, &[]).await.is_ok(), "another seller was not declined");
        world.sleep(days(29)).await;
        assert!(ask().await, "a month later");
    });
}

#[test]
fn whoever_unsubscribes_whenever_it_is_asked_is_soon_not_asked_again() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        let address = adds(&seller, ADA, &[]).await.unwrap();
        let declines = async || {
            world.sleep(minutes(11)).await;
            let leave = token(world.postbox.letters().last().unwrap(), "unsubscribe");
            email::follow(&world.service(), &leave, Purpose::Unsubscribe).await.unwrap();
        };
        let asked = async || email::ask_again(&world.service(), &seller.caller(), address.id).await;
        declines().await;
        asked().await.unwrap();
        assert_eq!(row(&seller, address.id).await.state, AddressState::Unconfirmed);
        declines().await;
        world.sleep(days(2)).await;
        assert!(asked().await.is_err());
        assert_eq!((world.postbox.letters().len(), row(&seller, address.id).await.state), (2, AddressState::Unsubscribed));
    });
}

#[test]
fn each_address_reads_of_its_own_sellers_affairs_and_of_nothing_that_it_has_not_asked_for() {
    story_of_days(START, async |world| {
        let [ada, ben] = [world.seller(incremental).await, world.seller(incremental).await];
        let everything = vec!["run.finished", "store.needs_reauthorization"];
        for (seller, address, topics) in
            [(&ada, ADA, everything.clone()), (&ada, "second@example.com", vec!["run.finished"]), (&ben, "ben@example.com", everything)]
        {
            confirmed(seller, address, &topics).await;
        }
        for (seller, name) in [(&ada, "adas"), (&ben, "bens")] {
            seller.shop(name, &["A"]).await;
            seller.sync(RunFilter::default()).await;
        }
        world.sleep(minutes(1)).await;
        is_refused(&ada, "A").await;
        is_refused(&ben, "A").await;
        world.sleep(days(1)).await;
        let news = world.postbox.news();
        for (address, own, others) in
            [(ADA, "adas refuses", "bens"), ("ben@example.com", "bens refuses", "adas"), ("second@example.com", "", "refuses")]
        {
            let text: String = news.iter().filter(|letter| letter.to == address).map(|letter| letter.text.as_str()).collect();
            assert!(text.contains(own) && !text.contains(others), "{address}: {text}");
            assert_eq!(text.matches("A manual sync has finished.").count(), 1, "{address}: {text}");
        }
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn a_run_that_waits_for_an_answer_is_mailed_at_once_with_its_question_and_rejected_updates_once_a_day_by_their_number() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        confirmed(&seller, ADA, &[]).await;
        let names: Vec<String> = (0..20).map(|n| format!("S{n}")).collect();
        let skus: Vec<&str> = names.iter().map(String::as_str).collect();
        seller.shop("full", &skus).await;
        for sku in &skus {
            seller.purchase(sku, 7).await;
        }
        world.sleep(minutes(1)).await;
        for sku in &skus {
            seller.event(sku, stocktide::domain::stock::EventKind::Count, 0).await;
        }
        seller.sync(RunFilter::default()).await;
        world.sleep(minutes(11)).await;
        let news = world.postbox.news();
        assert_eq!(news.len(), 1, "{news:?}");
        assert!(news[0].text.contains("A manual sync waits for an answer.") && news[0].text.contains("20 of 20 listings"));
        assert!(news[0].html.contains("/console/records/runs/"));
        world.faults(|f| f.reject_items = names.clone());
        for sku in &skus {
            seller.purchase(sku, 1).await;
        }
        world.sleep_until("2026-03-03T08:11:00Z").await;
        let news = world.postbox.news();
        let digest = news.last().unwrap();
        assert!(digest.text.contains("full has rejected 20 updates.") && digest.text.contains("unknown item"), "{}", digest.text);
        world.all_is_well();
        world.leaves_work();
    });
}
