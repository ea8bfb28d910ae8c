//! The plain success of an increase is exactly what a verdict on it would be.
use super::*;

#[test]
fn an_increase_succeeds_plainly_just_where_a_verdict_changes_no_more_than_what_is_shown() {
    let policy = RetryPolicy::default();
    let numbers = LatestNumbers::default().with(10);
    let mut plain = 0;
    for (base, in_doubt, cancel_requested) in [None, Some(10), Some(i64::MAX)]
        .into_iter()
        .flat_map(|base| [false, true].into_iter().flat_map(move |a| [(base, a, false), (base, a, true)]))
    {
        for known in [None, Some(20), Some(i64::MAX)] {
            for doubt_until in [None, Some(at(100)), Some(at(101))] {
                for owed_since in [None, Some(at(0))] {
                    let account =
                        Account { shown: known, doubt_until, owed_since, before: numbers, changed_at: Some(at(50)), ..Account::default() };
                    let ways = [None, Some(13), Some(40)].into_iter().flat_map(|shown| [(shown, true), (shown, false)]);
                    for (quantity, (shown, adds)) in ways.flat_map(|way| [3, -3, -30].map(|quantity| (quantity, way))) {
                        let sent = Push { quantity: Some(quantity), ..sent(PushKind::Increase, Resolution::ReadBack) };
                        let push = Push { base, in_doubt, cancel_requested, ..sent.clone() };
                        let own = SentIncrease { quantity, base, in_doubt, account };
                        let Some(found) = own.success(shown, at(100)) else {
                            assert!(in_doubt || owed_since.is_some() || doubt_until == Some(at(101)), "{own:?}");
                            continue;
                        };
                        plain += 1;
                        let mut judged = push.clone();
                        let verdict = Verdict::Item(ItemResult::Applied { shown });
                        let update = judged.apply_verdict(&account, &verdict, VerdictContext { items: 1, adds, ..ctx(100, &policy) });
                        let units = if base == Some(10) { quantity.max(-10) } else { quantity };
                        let expected = Some(Expected::Changed(units));
                        let (shown, before) = (found.shown, found.before);
                        let only = ListingUpdate { shown, before, expected, increased: Some(units), ..ListingUpdate::default() };
                        assert_eq!(found.units, units);
                        assert_eq!(update, only, "{push:?} {account:?} {shown:?} {adds}");
                        let ended = Push { cancel_requested, base, ..sent };
                        let ended = Push { state: Confirmed, updated_at: at(100), confirmed_at: Some(at(100)), ..ended };
                        assert_eq!(Push { id: ended.id, ..judged }, ended);
                    }
                }
            }
        }
    }
    assert_eq!(plain, 3 * 2 * 3 * 2 * 6 * 3);
}
