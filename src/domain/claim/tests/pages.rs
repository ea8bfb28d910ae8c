//! How many pushes and listings go into one call.
use super::*;

fn listings(page: &[Push]) -> Vec<ListingId> {
    page.iter().map(Push::listing_id).collect()
}

#[test]
fn few_increases_are_read_and_set_together_and_everything_else_fills_a_call() {
    let sets = Abilities { adjust: false, ..READS };
    let page =
        |abilities, push: fn(u128) -> Push| page_of((1..=30).map(push).collect(), &ClaimTerms { limit: 25, ..terms(abilities) }).len();
    let increased: fn(u128) -> Push = |n| increase(n, 3);
    assert_eq!(page(sets, increased), 20, "what the shop sells in between comes back");
    assert_eq!((page(READS, increased), page(ALL, increased), page(sets, overwrite)), (25, 25, 25));
}

#[test]
fn a_call_that_was_refused_as_a_whole_is_followed_by_smaller_ones() {
    let (mut page, _) = sent((1..=8).map(|n| increase(n, 3)).collect(), SendBy::Increase(Method::KeyedAdjust));
    let refused = Outcome::Refused { reason: "400".into(), next_step: String::new() };
    outcome::finish(&mut page, &HashMap::new(), Answer { outcome: &refused, raw: None, now: at(1) }, &terms(ALL));
    assert_eq!(listings(&page_of(page.clone(), &terms(ALL))), [1, 2, 3, 4].map(listing));
    let fresh = increase(9, 3);
    assert_eq!(listings(&page_of([vec![fresh], page].concat(), &terms(ALL))), [9, 1, 2, 3].map(listing), "also beside one that is new");
}

#[test]
fn listings_are_looked_at_in_one_group_and_no_more_than_fit() {
    let looked = |limit, group_by| {
        let page = look_page((1..=6).map(addressee).collect(), &ClaimTerms { limit, group_by, ..terms(ALL) });
        page.iter().map(|to| to.listing_id).collect::<Vec<_>>()
    };
    assert_eq!(looked(2, Some("location")), [1, 3].map(listing));
    assert_eq!(looked(9, Some("location")), [1, 3, 5].map(listing));
    assert_eq!(looked(2, None), [1, 2].map(listing));
    assert_eq!(looked(0, None), [listing(1)], "at least one");
    assert!(look_page(Vec::new(), &terms(ALL)).is_empty());
}

#[test]
fn what_cannot_be_decided_is_given_up_together_and_what_can_be_is_left() {
    let blind = uncertain(vec![increase(1, 3), increase(3, 3)], SendBy::Increase(Method::BlindAdjust));
    let by_read = uncertain(vec![with_base(increase(2, 3), 10)], SendBy::Increase(Method::ReadAndAdjust));
    let due = || vec![blind[0].clone(), by_read[0].clone(), blind[1].clone()];
    assert_eq!(resolve_uncertain(due(), &terms(READS), at(1)), Some(Uncertain::GiveUp(blind.clone())));
    let mut read_first = due();
    read_first.swap(0, 1);
    assert_eq!(resolve_uncertain(read_first, &terms(READS), at(1)), Some(Uncertain::ReadBack(by_read.clone())));
}
