//! Which rows of a bulk upsert conflict: with each other, or with a listing that keeps its SKU.
use super::{Existing, NewListing};
use crate::domain::FieldError;
use std::collections::HashMap;

/// What is wrong with each row. Conflicts are about the result, so the order of the rows does not matter, except that of two
/// rows for one listing or one SKU the first counts.
pub(super) fn find(rows: &[NewListing], existing: &Existing) -> Vec<Option<FieldError>> {
    let mut errors: Vec<Option<FieldError>> = vec![None; rows.len()];
    // The rows that count: by listing, and by the SKU that they claim.
    let (mut by_listing, mut by_sku) = (HashMap::new(), HashMap::new());
    for (index, (row, error)) in rows.iter().zip(&mut errors).enumerate() {
        if by_listing.contains_key(row.external_id.as_str()) {
            *error = Some(FieldError::new("/external_id", "appears more than once in this request"));
            continue;
        }
        by_listing.insert(row.external_id.as_str(), index);
        match by_sku.get(row.sku.as_str()).and_then(|first: &usize| rows.get(*first)) {
            Some(first) => *error = Some(taken(&first.external_id)),
            None => {
                by_sku.insert(row.sku.as_str(), index);
            }
        }
    }
    // A listing keeps its SKU if no row moves it; then the row that claims that SKU is rejected, so its own listing keeps
    // its SKU as well, and so on.
    let mut keeping: Vec<(&str, &str)> = Vec::new();
    for (sku, holder) in &existing.by_sku {
        let row = by_listing.get(holder.as_str()).and_then(|index| rows.get(*index).zip(errors.get(*index)));
        if row.is_none_or(|(row, error)| error.is_some() || row.sku.as_str() == sku) {
            keeping.push((sku, holder));
        }
    }
    while let Some((sku, holder)) = keeping.pop() {
        let claim = by_sku.get(sku).and_then(|index| rows.get(*index).zip(errors.get_mut(*index)));
        let Some((row, error)) = claim.filter(|(row, error)| row.external_id != holder && error.is_none()) else { continue };
        *error = Some(taken(holder));
        if let Some(own) = existing.by_external_id.get(&row.external_id) {
            keeping.push((&own.sku, &row.external_id));
        }
    }
    errors
}

fn taken(external_id: &str) -> FieldError {
    FieldError::new(
        "/sku",
        format!("is already paired with the listing {external_id} of this store; a SKU has only one listing in a store"),
    )
}
