//! The split of the stock among the stores, drawn as a bar. Used by the sales channel page and the allocation page.
use super::show::percent;
use crate::db::stores::Store;
use crate::domain::allocation::Share;
use askama::Template;
use askama::filters::HtmlSafe;

/// How many `share-…` classes the style sheet has for stores.
const COLOURS: usize = 8;

/// A part of the bar. `from` and `width` are in hundredths of a percent.
struct Part {
    name: String,
    percent: String,
    from: i64,
    width: i64,
    colour: usize,
}

/// The bar and its legend.
#[derive(Template)]
#[template(path = "part/split.html")]
pub(super) struct Split {
    parts: Vec<Part>,
    /// The length of the bar: 100%, or the sum of the shares if it is larger.
    whole: i64,
    unallocated: Option<Part>,
    /// The sum of the shares if it exceeds 100%.
    beyond: Option<String>,
    label: String,
}
impl HtmlSafe for Split {}

/// Draws the shares of the stores whose synchronization is on.
pub(super) fn of_stores(stores: &[Store]) -> Split {
    let shares = stores.iter().map(|store| (store.name.clone(), store.share.filter(|_| store.sync_enabled)));
    of_shares(shares)
}

/// Draws these shares, in the order of the stores. A store without a share keeps its color for when it gets one.
pub(super) fn of_shares(shares: impl Iterator<Item = (String, Option<Share>)>) -> Split {
    let mut from = 0;
    let mut parts = Vec::new();
    for (index, (name, share)) in shares.enumerate() {
        let Some(share) = share else { continue };
        let width = share.hundredths();
        parts.push(Part { name, percent: percent(share.percent()), from, width, colour: index % COLOURS });
        from += width;
    }
    #[expect(clippy::cast_precision_loss, reason = "a sum of shares is far below 2^52")]
    let as_percent = |hundredths: i64| percent(hundredths as f64 / 100.0);
    let rest = 10_000 - from;
    let unallocated =
        (rest > 0).then(|| Part { name: "Unallocated".to_owned(), percent: as_percent(rest), from, width: rest, colour: COLOURS });
    let labels: Vec<String> = parts.iter().chain(&unallocated).map(|part| format!("{} {}", part.name, part.percent)).collect();
    Split { label: labels.join(", "), beyond: (rest < 0).then(|| as_percent(from)), whole: from.max(10_000), parts, unallocated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_bar_add_up() {
        let shares = |values: &[i64]| values.iter().map(|v| ("s".to_owned(), Share::from_hundredths(*v))).collect::<Vec<_>>();
        let split = of_shares(shares(&[5000, 3333]).into_iter());
        let whole: i64 = split.parts.iter().chain(&split.unallocated).map(|part| part.width).sum();
        assert_eq!((whole, split.beyond), (10_000, None));
        assert_eq!(of_shares(shares(&[6000, 6000]).into_iter()).beyond.as_deref(), Some("120%"));
    }

    #[test]
    fn a_store_keeps_its_color_while_another_ones_share_is_being_typed() {
        let drawn = |first: Option<i64>| {
            let shares = [first, Some(3000)].map(|share| ("s".to_owned(), share.and_then(Share::from_hundredths)));
            of_shares(shares.into_iter()).parts.iter().map(|part| part.colour).collect::<Vec<_>>()
        };
        assert_eq!((drawn(Some(5000)), drawn(None)), (vec![0, 1], vec![1]));
    }
}
