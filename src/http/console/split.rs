//! Allocation: the mode, the buffer and the stores' shares, with the split drawn as a bar that adds up.
use super::field::Field;
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying};
use super::sales_channel::extent_text;
use super::session::SellerVisit;
use super::show::percent;
use crate::db::runs::{Extent, RunFilter};
use crate::db::stores::Store;
use crate::domain::allocation::{AllocationMode, Share};
use crate::domain::limits::MAX_STORES;
use crate::domain::settings::{MAX_RULE_UNITS, SyncSettings};
use crate::http::state::State;
use crate::service::settings::{Allocation, allocate};
use crate::service::syncs;
use askama::Template;
use askama::filters::HtmlSafe;

/// The colours of the bar, as classes of the style sheet.
const COLOURS: usize = 8;

/// A part of the bar. Places and widths are in hundredths of a percent of the whole.
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
    /// How long the bar is: the pool, or the shares where they are more.
    whole: i64,
    unallocated: Option<Part>,
    /// How far the shares go beyond 100 %.
    beyond: Option<String>,
    label: String,
}
impl HtmlSafe for Split {}

/// Draws the shares of stores that are pushed to.
pub(super) fn split(stores: &[Store]) -> Split {
    split_of(stores.iter().filter(|store| store.sync_enabled).filter_map(|store| Some((store.name.clone(), store.share?))))
}

fn split_of(shares: impl Iterator<Item = (String, Share)>) -> Split {
    let mut from = 0;
    let mut parts = Vec::new();
    for (index, (name, share)) in shares.enumerate() {
        let width = share.hundredths();
        parts.push(Part { name, percent: percent(share.percent()), from, width, colour: index % COLOURS });
        from += width;
    }
    #[expect(clippy::cast_precision_loss, reason = "a sum of shares is far below 2^52")]
    let as_percent = |hundredths: i64| percent(hundredths as f64 / 100.0);
    let rest = 10_000 - from;
    let unallocated =
        (rest > 0).then(|| Part { name: "Unallocated".to_owned(), percent: as_percent(rest), from, width: rest, colour: COLOURS });
    let told: Vec<String> = parts.iter().chain(&unallocated).map(|part| format!("{} {}", part.name, part.percent)).collect();
    Split { label: told.join(", "), beyond: (rest < 0).then(|| as_percent(from)), whole: from.max(10_000), parts, unallocated }
}

struct ShareRow {
    field: Field,
    off: bool,
}

#[derive(Template)]
#[template(path = "allocation.html")]
struct AllocationPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    exclusive: bool,
    buffer: Field,
    rows: Vec<ShareRow>,
    split: Split,
    extent: String,
    /// Whether there is anything to overwrite.
    any_listing: bool,
    overwrite: bool,
    shares_error: Option<String>,
    errors: Vec<String>,
}

/// What the form says, right or wrong.
struct AllocationForm {
    exclusive: bool,
    buffer: String,
    shares: Vec<String>,
    overwrite: bool,
}

impl AllocationForm {
    fn of(settings: &SyncSettings, stores: &[Store]) -> Self {
        let share = |store: &Store| store.share.map(|share| percent(share.percent()).trim_end_matches(" %").to_owned()).unwrap_or_default();
        Self {
            exclusive: settings.allocation_mode == AllocationMode::Exclusive,
            buffer: settings.buffer.to_string(),
            shares: stores.iter().map(share).collect(),
            overwrite: true,
        }
    }

    fn page<'a>(&self, frame: &'a Frame, stores: &[Store], extent: Extent, errors: &FormErrors) -> AllocationPage<'a> {
        let row = |(store, text): (&Store, &String)| ShareRow {
            off: !store.sync_enabled,
            field: Field::new(format!("share-{}", store.id), store.name.clone(), "number")
                .value(text)
                .within(0, 100, "0.01")
                .suffix("%")
                .optional_like_its_neighbours()
                .checked(errors, &format!("/shares/{}", store.id)),
        };
        let typed = stores.iter().zip(&self.shares).filter(|(store, _)| store.sync_enabled);
        let typed = typed.filter_map(|(store, text)| Some((store.name.clone(), Share::from_percent(text.parse().ok()?)?)));
        AllocationPage {
            frame,
            here: "sales-channel",
            exclusive: self.exclusive,
            buffer: Field::new("buffer", "Safety buffer", "number")
                .value(&self.buffer)
                .within(0, MAX_RULE_UNITS, "1")
                .suffix("units")
                .help("Kept back of every SKU before anything is shared out.")
                .checked(errors, "/buffer"),
            rows: stores.iter().zip(&self.shares).map(row).collect(),
            split: split_of(typed),
            any_listing: extent.listings > 0,
            extent: extent_text(extent),
            overwrite: self.overwrite,
            shares_error: errors.of("/shares"),
            errors: errors.elsewhere(&["/buffer", "/shares"]),
        }
    }
}

async fn facts(visit: &SellerVisit) -> Result<(SyncSettings, Vec<Store>, Extent), crate::db::Error> {
    visit.caller.db.read(|t| Ok((t.sync_settings()?, t.stores(None, MAX_STORES)?, t.overwrite_extent()?))).await
}

/// The form.
pub(super) async fn page(visit: SellerVisit) -> PageAnswer {
    let (settings, stores, extent) = facts(&visit).await?;
    visit.frame.page(&AllocationForm::of(&settings, &stores).page(&visit.frame, &stores, extent, &FormErrors::default()))
}

/// Saves it, and overwrites the listings once where that was asked for.
pub(super) async fn save(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    let (_, stores, extent) = facts(visit).await?;
    let form = AllocationForm {
        exclusive: fields.text("allocation_mode") == "exclusive",
        buffer: fields.text("buffer").to_owned(),
        shares: stores.iter().map(|store| fields.text(&format!("share-{}", store.id)).to_owned()).collect(),
        overwrite: fields.has("overwrite"),
    };
    if fields.text("do") == "show" {
        return visit.frame.page(&form.page(&visit.frame, &stores, extent, &FormErrors::default()));
    }
    // What is no number is out of bounds, too, and is answered so.
    let percent = |text: &String| (!text.is_empty()).then(|| text.parse().unwrap_or(-1.0));
    let wanted = Allocation {
        mode: if form.exclusive { AllocationMode::Exclusive } else { AllocationMode::Shared },
        buffer: form.buffer.parse().unwrap_or(-1),
        shares: stores.iter().map(|store| store.id).zip(form.shares.iter().map(percent)).collect(),
    };
    if let Err(errors) = field_errors(allocate(&state.service, &visit.caller, wanted).await)? {
        return visit.frame.rejected(&form.page(&visit.frame, &stores, extent, &errors));
    }
    let notice = if form.overwrite && extent.listings > 0 {
        syncs::start(&state.service, &visit.caller, RunFilter::default()).await?;
        let extent = visit.caller.db.read(|t| t.overwrite_extent()).await?;
        format!("Allocation is saved. {} will be overwritten once now.", extent_text(extent))
    } else if extent.listings == 0 {
        "Allocation is saved.".to_owned()
    } else {
        "Allocation is saved. Stores keep what they show until the next increase or overwrite.".to_owned()
    };
    Ok(go_saying("/console/sales-channel", &notice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_adds_up() {
        let shares = |values: &[i64]| values.iter().map(|v| ("s".to_owned(), Share::from_hundredths(*v).unwrap())).collect::<Vec<_>>();
        let split = split_of(shares(&[5000, 3333]).into_iter());
        let whole: i64 = split.parts.iter().chain(&split.unallocated).map(|part| part.width).sum();
        assert_eq!((whole, split.beyond), (10_000, None));
        assert_eq!(split_of(shares(&[6000, 6000]).into_iter()).beyond.as_deref(), Some("120 %"));
    }
}
