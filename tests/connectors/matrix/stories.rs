//! The stories: what a shop does, and what it has to show in the end.
use super::faces::Face;
use super::shop::{Canned, OddQuantity};
use super::{FIRST, Stage, play};
use std::time::Duration;
use stocktide::domain::push::PushState::{Confirmed, Held, Rejected};
use stocktide::service::stores::StoreChange;

const PROXY: Canned = (502, &[("content-type", "text/html")], "<html><h1>502 Bad Gateway</h1></html>");
const MAINTENANCE: Canned =
    (503, &[("content-type", "text/html")], "<h1>Briefly unavailable for scheduled maintenance. Check back in a minute.</h1>");
const CHALLENGE: Canned = (202, &[("content-type", "text/html"), ("sg-captcha", "challenge")], "<html></html>");
const FIREWALL: Canned = (403, &[("content-type", "text/html")], "<html><h1>403 Forbidden</h1></html>");
const NOTICE: &str = "<br />\n<b>Notice</b>:  Undefined index: tax in <b>/srv/shop/plugin.php</b> on line <b>12</b><br />\n";

/// Shows 10; +5 is applied and answered like this; then +3.
fn after_applying(face: Face, answer: Canned) {
    play(face, 3, async |stage| {
        stage.shop.trouble(|trouble| trouble.after_writing = Some(answer));
        stage.arrive(5).await;
        stage.sleep(1).await;
        stage.shop.recovers();
        stage.sleep(900).await;
        stage.all_show(15).await;
        stage.arrive(3).await;
        stage.sleep(900).await;
        stage.all_show(18).await;
    });
}

pub fn a_503_after_applying(face: Face) {
    after_applying(face, (503, &[], ""));
}

pub fn a_502_page_of_a_proxy_after_applying(face: Face) {
    after_applying(face, PROXY);
}

/// It may have been applied, it names what answered, and the store is held until the page is gone.
pub fn a_maintenance_page_after_applying(face: Face) {
    play(face, 3, async |stage| {
        stage.shop.trouble(|trouble| trouble.after_writing = Some(MAINTENANCE));
        stage.arrive(5).await;
        stage.sleep(1).await;
        let store = stage.store().await;
        assert!(store.needs_reauthorisation && store.problem.as_deref().is_some_and(|why| why.contains("maintenance")), "{store:?}");
        assert!(!store.problem.unwrap_or_default().contains("credentials"));
        stage.shop.recovers();
        stage.sleep(1800).await;
        stage.all_show(15).await;
    });
}

pub fn a_5xx_after_an_overwrite(face: Face) {
    play(face, 3, async |stage| {
        stage.numbers().for_each(|n| stage.shop.sells(n, 4));
        stage.shop.trouble(|trouble| trouble.after_writing = Some((503, &[], "")));
        stage.overwrite().await;
        stage.sleep(1).await;
        stage.shop.recovers();
        stage.sleep(900).await;
        stage.all_show(10).await;
    });
}

/// Overwritten with 10, sells 2, then +5: 13, and nothing "heals" it to 15.
pub fn a_sale_after_an_overwrite(face: Face) {
    play(face, 1, async |stage| {
        stage.shop.sells(FIRST, 7);
        stage.overwrite().await;
        stage.sleep(60).await;
        stage.shop.sells(FIRST, 2);
        stage.arrive(5).await;
        stage.sleep(3600).await;
        stage.all_show(13).await;
    });
}

/// Of 200 listings (or as many as need several calls) one is refused. Another needs at most two calls more than it takes
/// to halve the batch until the bad one is alone, and nobody waits.
pub fn one_bad_listing(face: Face) {
    let batch = face.batch;
    play(face, 2 * batch as u64, async |stage| {
        let bad = FIRST + batch as u64 / 2 + 1;
        stage.shop.trouble(|trouble| trouble.bad = Some(bad));
        let before = stage.calls().0;
        stage.overwrite().await;
        stage.sleep(15).await;
        let rejected = stage.in_state(Rejected).await;
        assert!(matches!(&rejected[..], [push] if push.sku == bad.to_string()), "{rejected:#?}");
        assert_eq!(stage.in_state(Confirmed).await.len(), 2 * batch - 1);
        let halvings = batch.next_power_of_two().ilog2() as usize;
        let writes = stage.calls().0 - before;
        assert!(writes <= 2 * (halvings + 2), "{writes} calls for {} listings", 2 * batch);
        let state = stage.shop.state();
        let of = |n: u64| {
            state.log.iter().filter(|(_, ask)| matches!(ask, super::shop::Ask::Set(rows) if rows.iter().any(|(id, _)| *id == n))).count()
        };
        let most = stage.numbers().filter(|n| *n != bad).map(of).max().unwrap();
        assert!(most <= halvings + 2, "{most} calls for a good listing");
    });
}

/// For 60 s, reads are answered with what they were answered first: +5, then +3, is 18.
pub fn a_silent_cache(face: Face) {
    play(face, 2, async |stage| {
        stage.shop.trouble(|trouble| trouble.cached_for = Some(Duration::from_secs(60)));
        stage.arrive(5).await;
        stage.sleep(20).await;
        stage.arrive(3).await;
        stage.sleep(1200).await;
        stage.all_show(18).await;
    });
}

pub fn a_cache_that_says_so(face: Face) {
    play(face, 2, async |stage| {
        stage.shop.trouble(|trouble| (trouble.cached_for, trouble.says_cached) = (Some(Duration::from_secs(60)), true));
        stage.arrive(5).await;
        stage.sleep(5).await;
        stage.numbers().for_each(|n| stage.shop.sells(n, 1));
        stage.arrive(3).await;
        stage.sleep(2).await;
        stage.sleep(1800).await;
        stage.all_show(17).await;
    });
}

/// 0.3 s a row, all applied, with the default timeout of 10 s and the default sizes of calls.
pub fn slow_rows(face: Face) {
    play(face, 120, async |stage| {
        stage.numbers().for_each(|n| stage.shop.sells(n, 4));
        stage.shop.trouble(|trouble| trouble.per_row = Duration::from_millis(300));
        stage.overwrite().await;
        stage.sleep(960).await;
        stage.all_show(10).await;
        stage.arrive(5).await;
        stage.sleep(1800).await;
        stage.all_show(15).await;
    });
}

/// Each row of an answer has 60 kB, and every call is applied.
pub fn answers_larger_than_the_bound(face: Face) {
    play(face, 60, async |stage| {
        stage.numbers().for_each(|n| stage.shop.sells(n, 4));
        stage.shop.trouble(|trouble| trouble.weight = 60_000);
        stage.overwrite().await;
        stage.sleep(600).await;
        stage.all_show(10).await;
        stage.shop.trouble(|trouble| trouble.weight = 20_000);
        stage.arrive(5).await;
        stage.sleep(900).await;
        stage.all_show(15).await;
    });
}

pub fn a_quantity_written_as_text(face: Face) {
    play(face, 3, async |stage| {
        stage.shop.trouble(|trouble| trouble.odd = Some((FIRST, OddQuantity::Text)));
        stage.arrive(5).await;
        stage.sleep(120).await;
        stage.all_show(15).await;
    });
}

/// The others are not held up, and the one gets its units when it can be read again.
pub fn one_empty_quantity(face: Face) {
    play(face, 3, async |stage| {
        stage.shop.trouble(|trouble| trouble.odd = Some((FIRST, OddQuantity::Empty)));
        stage.arrive(5).await;
        stage.sleep(60).await;
        assert_eq!(stage.shown()[1..], [15, 15], "{:#?}", stage.pushes().await);
        stage.shop.recovers();
        stage.sleep(1800).await;
        stage.all_show(15).await;
    });
}

pub fn ids_written_as_numbers(face: Face) {
    play(face, 3, async |stage| {
        stage.shop.trouble(|trouble| trouble.ids_as_numbers = true);
        stage.arrive(5).await;
        stage.sleep(120).await;
        stage.all_show(15).await;
        assert!(stage.pushes().await.iter().all(|push| push.state == Confirmed && push.attempts == 1));
    });
}

pub fn a_byte_order_mark(face: Face) {
    play(face, 3, async |stage| {
        stage.shop.trouble(|trouble| trouble.noise = "\u{feff}");
        stage.arrive(5).await;
        stage.sleep(60).await;
        stage.all_show(15).await;
        stage.overwrite().await;
        stage.sleep(60).await;
        let (writes, _) = stage.calls();
        stage.sleep(1800).await;
        assert_eq!(stage.calls().0, writes, "nothing is repeated");
    });
}

/// Named in plain words, the store held; afterwards every unit counts once.
pub fn a_php_notice(face: Face) {
    play(face, 3, async |stage| {
        stage.shop.trouble(|trouble| trouble.noise = NOTICE);
        stage.arrive(5).await;
        stage.sleep(5).await;
        let store = stage.store().await;
        assert!(store.problem.as_deref().is_some_and(|why| why.contains("PHP message")), "{store:?}");
        stage.shop.recovers();
        stage.sleep(1800).await;
        stage.all_show(15).await;
    });
}

fn something_in_front(face: Face, answer: Canned, word: &str) {
    play(face, 3, async |stage| {
        stage.shop.trouble(|trouble| trouble.instead = Some(answer));
        stage.arrive(5).await;
        stage.sleep(5).await;
        let store = stage.store().await;
        assert!(store.needs_reauthorisation && store.problem.as_deref().is_some_and(|why| why.contains(word)), "{store:?}");
        assert!(!store.problem.unwrap_or_default().contains("credentials"));
        assert_eq!(stage.in_state(Held).await.len(), 3, "{:#?}", stage.pushes().await);
        let calls = stage.calls();
        stage.sleep(600).await;
        assert_eq!(stage.calls(), calls, "it is not hammered");
        assert!(stage.check().await.is_some_and(|why| why.contains(word)));
        stage.shop.recovers();
        stage.sleep(1800).await;
        stage.all_show(15).await;
    });
}

pub fn a_challenge(face: Face) {
    something_in_front(face, CHALLENGE, "bot protection");
}

pub fn a_firewall(face: Face) {
    something_in_front(face, FIREWALL, "firewall");
}

/// 90 s ahead: nothing is sent for 90 s.
pub fn a_retry_after_that_is_a_date(face: Face) {
    play(face, 1, async |stage| {
        let headers: &[(&str, &str)] = &[("date", "Mon, 01 Mar 2027 12:00:00 GMT"), ("retry-after", "Mon, 01 Mar 2027 12:01:30 GMT")];
        stage.shop.trouble(|trouble| trouble.instead = Some((429, headers, "")));
        stage.arrive(5).await;
        stage.sleep(2).await;
        let calls = stage.shop.state().log.len();
        stage.shop.recovers();
        stage.sleep(85).await;
        assert_eq!(stage.shop.state().log.len(), calls, "it waits as long as it was asked to");
        stage.sleep(60).await;
        stage.all_show(15).await;
    });
}

/// Of 15 on hand, 3 are reserved: an overwrite with 10 makes the shop sell 10, and so it does when the order has shipped.
pub fn reserved_units(face: Face) {
    play(face, 2, async |stage| {
        stage.numbers().for_each(|n| {
            let mut state = stage.shop.state();
            let item = state.items.get_mut(&n).unwrap();
            (item.on_hand, item.reserved) = (15, 3);
        });
        stage.overwrite().await;
        stage.sleep(60).await;
        stage.all_show(10).await;
        stage.arrive(5).await;
        stage.sleep(60).await;
        stage.all_show(15).await;
        stage.numbers().for_each(|n| {
            let mut state = stage.shop.state();
            let item = state.items.get_mut(&n).unwrap();
            (item.on_hand, item.reserved) = (item.on_hand - 3, 0);
        });
        assert_eq!(stage.shown(), [15, 15]);
        stage.overwrite().await;
        stage.sleep(60).await;
        stage.all_show(15).await;
    });
}

fn track(stage: &Stage<'_>, tracked: bool) {
    stage.shop.state().items.get_mut(&FIRST).unwrap().tracked = tracked;
}

pub fn an_untracked_listing(face: Face) {
    play(face, 2, async |stage| {
        track(stage, false);
        stage.arrive(5).await;
        stage.sleep(30).await;
        let rejected = stage.in_state(Rejected).await;
        assert!(
            matches!(&rejected[..], [push] if push.sku == FIRST.to_string() && push.next_step.is_some()),
            "{:#?}",
            stage.pushes().await
        );
        assert_eq!(stage.shop.shown(FIRST + 1), 15);
    });
}

/// +5 is refused because of the listing; when the listing is live again, it is brought there without anybody asking.
pub fn a_listing_that_comes_back_to_life(face: Face) {
    play(face, 2, async |stage| {
        track(stage, false);
        stage.arrive(5).await;
        stage.sleep(3000).await;
        track(stage, true);
        stage.sleep(3600).await;
        stage.all_show(15).await;
        assert!(stage.pushes().await.iter().any(|push| push.cause.as_deref().is_some_and(|why| why.contains("written again"))));
        let calls = stage.calls();
        stage.sleep(12 * 3600).await;
        assert_eq!(stage.calls(), calls, "nothing is owed any more");
    });
}

/// The store is held for its address; with the right one, everything flows at once.
pub fn a_corrected_address(face: Face) {
    play(face, 2, async |stage| {
        stage.shop.trouble(|trouble| trouble.instead = Some(FIREWALL));
        stage.arrive(5).await;
        stage.sleep(30).await;
        assert_eq!(stage.in_state(Held).await.len(), 2, "{:#?}", stage.pushes().await);
        stage.shop.recovers();
        stage.change(StoreChange { base_url: Some(Some("https://new.example.com".to_owned())), ..StoreChange::default() }).await;
        stage.world.handle.reconfigure(stage.world.db.id());
        stage.sleep(20).await;
        stage.all_show(15).await;
    });
}

/// Nothing is sold from a level that is not active, although it can be written: the push is rejected, and made up for once the
/// level is active.
pub fn an_inactive_listing(face: Face) {
    play(face, 2, async |stage| {
        let activate = |active: bool| stage.shop.state().items.get_mut(&FIRST).unwrap().active = active;
        activate(false);
        stage.arrive(5).await;
        stage.sleep(30).await;
        let rejected = stage.in_state(Rejected).await;
        assert!(
            matches!(&rejected[..], [push] if push.sku == FIRST.to_string() && push.next_step.as_deref().is_some_and(|step| step.contains("Stock the variant"))),
            "{:#?}",
            stage.pushes().await
        );
        assert_eq!(stage.shop.shown(FIRST + 1), 15);
        activate(true);
        stage.sleep(3600).await;
        stage.all_show(15).await;
    });
}
