//! Which rows of a bulk upsert conflict: with each other, or with a listing that keeps its SKU.
use crate::domain::FieldError;
use std::collections::{HashMap, HashSet};

/// A row: the listing's external id, and the SKU that it is to have.
pub(super) type Wanted<'a> = (&'a str, &'a str);

/// What is wrong with each row, given the listings that are there: which has a SKU, and which SKU one has. Conflicts are about
/// the result, so the order of the rows does not matter, except that of two rows for one listing or one SKU the first counts.
pub(super) fn find<'a>(
    rows: &[Wanted<'a>],
    holders: impl Iterator<Item = (&'a str, &'a str)>,
    sku_of: impl Fn(&str) -> Option<&'a str>,
) -> Vec<Option<FieldError>> {
    let mut errors: Vec<Option<FieldError>> = vec![None; rows.len()];
    // The rows that count: by listing, and by the SKU that they claim.
    let (mut by_listing, mut by_sku): (HashMap<&str, usize>, HashMap<&str, usize>) = (HashMap::new(), HashMap::new());
    for (index, ((listing, sku), error)) in rows.iter().zip(&mut errors).enumerate() {
        if by_listing.contains_key(listing) {
            *error = Some(FieldError::new("/external_id", "appears more than once in this request"));
            continue;
        }
        by_listing.insert(listing, index);
        match by_sku.get(sku).and_then(|first| rows.get(*first)) {
            Some((first, _)) => *error = Some(taken(first)),
            None => {
                by_sku.insert(sku, index);
            }
        }
    }
    // A listing keeps its SKU if no row moves it; then the row that claims that SKU is rejected, so its own listing keeps
    // its SKU as well, and so on.
    let mut keeping: Vec<(&str, &str)> = Vec::new();
    for (sku, holder) in holders {
        let row = by_listing.get(holder).and_then(|index| rows.get(*index).zip(errors.get(*index)));
        if row.is_none_or(|((_, wanted), error)| error.is_some() || *wanted == sku) {
            keeping.push((sku, holder));
        }
    }
    while let Some((sku, holder)) = keeping.pop() {
        let claim = by_sku.get(sku).and_then(|index| rows.get(*index).zip(errors.get_mut(*index)));
        let Some(((listing, _), error)) = claim.filter(|((listing, _), error)| *listing != holder && error.is_none()) else { continue };
        *error = Some(taken(holder));
        keeping.extend(sku_of(listing).map(|own| (own, *listing)));
    }
    errors
}

/// Which rows take a SKU from a listing that another row moves, are that other row, or want the same SKU as one of these.
/// The others do not depend on them, so the result is the same if they are saved later. `holder_of` tells which listing has
/// a SKU.
pub(super) fn passing<'a>(rows: &[Wanted<'_>], holder_of: impl Fn(&str) -> Option<&'a str>) -> Vec<bool> {
    let moved: HashMap<&str, &str> = rows.iter().rev().copied().collect();
    // The listings that give or take, and the SKUs that they are to have.
    let (mut listings, mut skus): (HashSet<&str>, HashSet<&str>) = (HashSet::new(), HashSet::new());
    for (listing, sku) in rows {
        let Some(holder) = holder_of(sku).filter(|holder| holder != listing) else { continue };
        let Some(other) = moved.get(holder).filter(|other| *other != sku) else { continue };
        listings.extend([*listing, holder]);
        skus.extend([*sku, *other]);
    }
    rows.iter().map(|(listing, sku)| listings.contains(listing) || skus.contains(sku)).collect()
}

/// Which rows have a SKU of digits that differs from that of another row only by zeros in front.
pub(super) fn alike_but_for_zeros(rows: &[Wanted<'_>]) -> Vec<bool> {
    let without_zeros = |sku: &str| sku.bytes().all(|byte| byte.is_ascii_digit()).then(|| sku.trim_start_matches('0').to_owned());
    let mut forms: HashMap<String, HashSet<&str>> = HashMap::new();
    for (_, sku) in rows {
        if let Some(form) = without_zeros(sku) {
            forms.entry(form).or_default().insert(sku);
        }
    }
    let has_several = |form: String| forms.get(&form).is_some_and(|skus| skus.len() > 1);
    rows.iter().map(|(_, sku)| without_zeros(sku).is_some_and(has_several)).collect()
}

fn taken(external_id: &str) -> FieldError {
    FieldError::new(
        "/sku",
        format!("is already paired with the listing {external_id} of this store; a SKU has only one listing in a store"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which rows conflict, given the listings that are there.
    fn conflicts(rows: &[Wanted<'static>], there: &'static [Wanted<'static>]) -> Vec<bool> {
        let sku_of = |listing: &str| there.iter().find(|(id, _)| *id == listing).map(|(_, sku)| *sku);
        find(rows, there.iter().map(|(id, sku)| (*sku, *id)), sku_of).iter().map(Option::is_some).collect()
    }

    #[test]
    fn skus_may_pass_round_in_any_order_and_a_kept_one_stops_all_that_depend_on_it() {
        let there = &[("1", "A"), ("2", "B"), ("3", "C")];
        assert_eq!(conflicts(&[("1", "B"), ("2", "C"), ("3", "A")], there), [false; 3]);
        assert_eq!(conflicts(&[("1", "B")], there), [true], "listing 2 keeps B");
        assert_eq!(conflicts(&[("1", "B"), ("2", "C")], there), [true, true], "3 keeps C, so 2 keeps B");
        assert_eq!(conflicts(&[("2", "D"), ("1", "B")], there), [false, false]);
        assert_eq!(conflicts(&[("1", "X"), ("1", "Y"), ("4", "X")], there), [false, true, true]);
        assert_eq!(conflicts(&[("1", "A"), ("4", "A")], there), [false, true]);
    }

    #[test]
    fn skus_that_differ_by_zeros_in_front_belong_together() {
        let alike = |skus: &[&'static str]| alike_but_for_zeros(&skus.iter().map(|sku| ("1", *sku)).collect::<Vec<_>>());
        assert_eq!(alike(&["123", "A", "00123", "1230", "0123"]), [true, false, true, false, true]);
        assert_eq!(alike(&["00123", "00123", "A1", "0A1", "0", "000"]), [false, false, false, false, true, true]);
    }

    #[test]
    fn rows_that_pass_skus_to_each_other_belong_together() {
        let there = [("1", "A"), ("2", "B"), ("3", "C")];
        let passing =
            |rows: &[Wanted<'static>]| passing(rows, |sku| there.iter().find(|(_, held)| *held == sku).map(|(listing, _)| *listing));
        assert_eq!(passing(&[("1", "B"), ("4", "D"), ("2", "A")]), [true, false, true]);
        assert_eq!(passing(&[("1", "B"), ("2", "C"), ("3", "X")]), [true; 3]);
        assert_eq!(passing(&[("1", "B"), ("2", "X"), ("4", "X"), ("3", "C")]), [true, true, true, false]);
        assert_eq!(passing(&[("1", "X"), ("2", "B"), ("4", "C"), ("5", "D")]), [false; 4], "nothing that is released is wanted");
    }
}
