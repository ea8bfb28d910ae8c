//! A store is removed while something of it is in flight, or was rejected: nothing of it is left over.
use crate::support::*;
use stocktide::domain::push::PushState::{Cancelled, Rejected};
use stocktide::service::{self, pushes::Retry};

#[test]
fn a_push_whose_outcome_is_unknown_ends_when_its_store_is_removed() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(seconds(5)).await;
        seller.removes(&shop).await;
        world.sleep(minutes(1)).await;
        assert_eq!(seller.lines().await, [increase(5, Cancelled)]);
        let reason = seller.pushes().await.remove(0).reason.unwrap();
        assert!(reason.contains("whether it was applied is not known"), "{reason}");
    });
}

#[test]
fn a_push_that_is_being_sent_when_its_store_is_removed_and_the_service_dies_ends() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.never_answer = 1.0);
        seller.purchase("A", 5).await;
        world.sleep(seconds(5)).await;
        seller.removes(&shop).await;
        world.crashes().await;
        world.starts();
        world.sleep(minutes(1)).await;
        assert_eq!(seller.lines().await, [increase(5, Cancelled)]);
    });
}

#[test]
fn rejected_pushes_of_a_removed_store_do_not_keep_those_of_others_from_being_retried() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let [gone, kept] = [seller.shop("gone", &["A"]).await, seller.shop("kept", &["B"]).await];
        world.faults(|f| f.reject_items = vec!["A".to_owned(), "B".to_owned()]);
        seller.purchase("A", 5).await;
        seller.purchase("B", 3).await;
        world.a_moment().await;
        assert_eq!(seller.lines().await, [increase(5, Rejected), increase(3, Rejected)]);
        seller.removes(&gone).await;
        world.all_is_well();
        let all = Retry { state: Some(Rejected), ..Retry::default() };
        assert_eq!(service::pushes::retry(&world.service(), &seller.caller(), all).await.unwrap(), 1);
        world.a_moment().await;
        assert_eq!(world.shown(&kept, "B"), 3);
    });
}
