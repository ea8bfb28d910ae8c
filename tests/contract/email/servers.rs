//! Many mails at once, mail servers that are down or hang, and sellers who are suspended or deleted meanwhile.
use super::*;
use stocktide::db::email::due::any_due;
use stocktide::service::sellers::{self, EnteredSeller};
use stocktide::service::{Operator, mailing};

/// Sellers with an address each, which was confirmed, and news for the digest of tomorrow.
async fn many_with_news(world: &World, many: usize) {
    let mut sellers = Vec::new();
    for n in 0..many {
        let seller = world.seller(off).await;
        adds(&seller, &format!("reader-{n}@example.com"), &[]).await.unwrap();
        sellers.push(seller);
    }
    world.sleep(minutes(11)).await;
    for letter in world.postbox.letters() {
        email::follow(&world.service(), &token(&letter, "confirm"), Purpose::Confirm).await.unwrap();
    }
    for seller in &sellers {
        seller.shop("corner", &["A"]).await;
        seller.sync(RunFilter::default()).await;
    }
}

#[test]
fn digests_that_are_due_at_the_same_minute_are_sent_once_each_and_few_at_once() {
    story_of_days(START, async |world| {
        many_with_news(world, 60).await;
        world.sleep_until("2026-03-03T08:11:00Z").await;
        let to: BTreeSet<String> = world.postbox.news().into_iter().map(|letter| letter.to).collect();
        assert_eq!((to.len(), world.postbox.news().len()), (60, 60));
        assert_eq!(world.postbox.attempts(), (120, 8), "with the requests to confirm");
        world.sleep(days(1)).await;
        assert_eq!(world.postbox.news().len(), 60);
    });
}

#[test]
fn no_minute_has_more_mails_than_the_operator_allows() {
    story_of_days(START, async |world| {
        many_with_news(world, 60).await;
        world.sleep_until("2026-03-03T07:55:00Z").await;
        let (db, before) = (world.db(), world.postbox.news().len());
        world.stops().await;
        world.sleep(minutes(6)).await;
        let (post, clock) = (world.postbox.post_at_most(25), world.clock.clone());
        for sent in [25, 50, 60] {
            while mailing::send_due(&db, (&post, &clock), || 0.5).await.unwrap().taken > 0 {}
            assert_eq!(world.postbox.news().len() - before, sent);
            world.sleep(minutes(2)).await;
        }
    });
}

#[test]
fn a_mail_server_that_takes_nothing_is_not_hammered_and_gets_everything_later() {
    story_of_days(START, async |world| {
        many_with_news(world, 60).await;
        world.sleep_until("2026-03-03T07:55:00Z").await;
        let before = world.postbox.attempts().0;
        world.postbox.is_down(true);
        world.sleep(hours(3)).await;
        let attempts = world.postbox.attempts().0 - before;
        assert!((18..=8 * 19).contains(&attempts), "eight at each look: {attempts}");
        world.postbox.is_down(false);
        world.sleep(hours(1)).await;
        assert_eq!(world.postbox.news().len(), 60);
    });
}

#[test]
fn a_mail_server_that_hangs_holds_up_nothing_else() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        confirmed(&seller, ADA, &["store.needs_reauthorization"]).await;
        seller.shop("one", &["A"]).await;
        world.postbox.never_answers(true);
        is_refused(&seller, "A").await;
        assert_eq!(world.postbox.attempts().1, 1);
        world.all_is_well();
        let other = world.seller(incremental).await;
        let shop = other.shop("two", &["B"]).await;
        other.purchase("B", 4).await;
        world.sleep(seconds(1)).await;
        assert_eq!(world.received(&shop), [add("B", 4)]);
        world.leaves_work();
    });
}

#[test]
fn a_suspended_seller_gets_its_mails_afterwards_and_a_deleted_one_none() {
    story(async |world| {
        let [ada, ben] = [world.seller(incremental).await, world.seller(incremental).await];
        for (seller, address, shop, sku) in [(&ada, ADA, "one", "A"), (&ben, "ben@example.com", "two", "B")] {
            confirmed(seller, address, &["store.needs_reauthorization"]).await;
            seller.shop(shop, &[sku]).await;
        }
        world.postbox.is_down(true);
        is_refused(&ada, "A").await;
        is_refused(&ben, "B").await;
        let service = world.service();
        let suspend = async |suspended| {
            let entered = EnteredSeller { suspended: Some(suspended), ..EnteredSeller::default() };
            sellers::change(&service, Operator, ada.id, entered).await.unwrap();
        };
        suspend(true).await;
        sellers::delete(&service, Operator, ben.id).await.unwrap();
        world.postbox.is_down(false);
        world.sleep(hours(2)).await;
        assert_eq!(world.postbox.news(), []);
        suspend(false).await;
        world.sleep(minutes(1)).await;
        let to: Vec<String> = world.postbox.news().into_iter().map(|letter| letter.to).collect();
        assert_eq!(to, [ADA]);
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn a_mail_that_is_not_sent_leaves_no_links_behind() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        confirmed(&seller, ADA, &["store.needs_reauthorization"]).await;
        seller.shop("one", &["A"]).await;
        world.execute("DELETE FROM email_links");
        world.postbox.is_down(true);
        is_refused(&seller, "A").await;
        world.sleep(hours(1)).await;
        assert!(world.postbox.attempts().0 > 5);
        // Fails if there is a row, which would be there twice.
        world.execute("INSERT INTO email_links SELECT * FROM email_links");
        world.postbox.is_down(false);
        world.sleep(minutes(16)).await;
        let leave = token(&world.postbox.news()[0], "unsubscribe");
        email::look(&world.service(), &leave, Purpose::Unsubscribe).await.unwrap();
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn a_mail_is_made_only_if_none_is_on_its_way_and_the_last_one_was_an_hour_ago_whoever_has_found_it_due() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let address = confirmed(&seller, ADA, &["store.needs_reauthorization"]).await;
        seller.shop("one", &["A"]).await;
        seller.shop("two", &["B"]).await;
        let make = async |now| seller.db().write(move |t| t.make_mail(address.id, now)).await.unwrap();
        world.postbox.is_down(true);
        is_refused(&seller, "A").await;
        is_refused(&seller, "B").await;
        make(world.now() + hours(2)).await;
        world.postbox.is_down(false);
        world.sleep(minutes(16)).await;
        make(world.now()).await;
        world.sleep(minutes(5)).await;
        let news = world.postbox.news();
        assert!(news.len() == 1 && news[0].text.contains("one refuses") && !news[0].text.contains("two refuses"), "{news:?}");
        world.sleep(hours(1)).await;
        assert_eq!(world.postbox.news().len(), 2);
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn a_mail_that_waits_for_an_hour_is_not_due_to_whoever_has_read_the_clock_before_it_was_saved() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        confirmed(&seller, ADA, &["store.needs_reauthorization"]).await;
        seller.shop("one", &["A"]).await;
        world.postbox.refuses(ADA);
        is_refused(&seller, "A").await;
        let db = world.db();
        let is_due = async |now| db.read(move |conn| any_due(conn, now)).await.unwrap();
        assert!(!is_due(world.now()).await && !is_due(world.now() - minutes(5)).await);
        assert!(is_due(world.now() - days(1)).await, "the clock was set back");
        world.all_is_well();
        world.leaves_work();
    });
}
