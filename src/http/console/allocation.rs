//! *Edit allocation*: the mode, the safety buffer and the stores' shares.
use super::components::{extent_text, own_rules_text};
use super::field::Field;
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::percent_number;
use super::split::{self, Split};
use crate::db::Tenant;
use crate::db::runs::{Extent, RunFilter};
use crate::db::stores::Store;
use crate::domain::StoreId;
use crate::domain::allocation::{AllocationMode, Share};
use crate::domain::limits::MAX_STORES;
use crate::domain::settings::{MAX_RULE_UNITS, SyncSettings};
use crate::http::state::State;
use crate::service::settings::{Allocation, allocate};
use crate::service::{self, syncs};
use askama::Template;
use std::collections::HashMap;

struct ShareRow {
    field: Field,
    off: bool,
    /// SKUs with rules of their own, and the page that lists them.
    own_rules: Option<(String, String)>,
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
    any_listing: bool,
    overwrite: bool,
    shares_error: Option<String>,
    errors: Vec<String>,
}

/// What the seller typed, valid or not.
struct AllocationForm {
    exclusive: bool,
    buffer: String,
    shares: Vec<String>,
    overwrite: bool,
}

impl AllocationForm {
    fn of(settings: &SyncSettings, stores: &[Store]) -> Self {
        let share = |store: &Store| store.share.map(|share| percent_number(share.percent())).unwrap_or_default();
        Self {
            exclusive: settings.allocation_mode == AllocationMode::Exclusive,
            buffer: settings.buffer.to_string(),
            shares: stores.iter().map(share).collect(),
            overwrite: true,
        }
    }

    fn page<'a>(&self, frame: &'a Frame, Facts { stores, extent, own_rules: own, .. }: &Facts, errors: &FormErrors) -> AllocationPage<'a> {
        let extent = *extent;
        let row = |(store, text): (&Store, &String)| ShareRow {
            off: !store.sync_enabled,
            own_rules: own.get(&store.id).map(|skus| (own_rules_text(*skus), format!("/console/stores/{}?own_rules=on", store.id))),
            field: Field::new(format!("share-{}", store.id), store.name.clone(), "number")
                .value(text)
                .within(0, 100, "0.01")
                .suffix("%")
                .optional_unmarked()
                .checked(errors, &format!("/shares/{}", store.id)),
        };
        let share = |store: &Store, text: &str| text.parse().ok().and_then(Share::from_percent).filter(|_| store.sync_enabled);
        let typed = stores.iter().zip(&self.shares).map(|(store, text)| (store.name.clone(), share(store, text)));
        AllocationPage {
            frame,
            here: "sales-channel",
            exclusive: self.exclusive,
            buffer: Field::new("buffer", "Safety buffer", "number")
                .value(&self.buffer)
                .within(0, MAX_RULE_UNITS, "1")
                .suffix("units")
                .help("Units of each SKU kept back from all stores.")
                .checked(errors, "/buffer"),
            rows: stores.iter().zip(&self.shares).map(row).collect(),
            split: split::of_shares(typed),
            any_listing: extent.listings > 0,
            extent: extent_text(extent),
            overwrite: self.overwrite,
            shares_error: errors.exactly_at("/shares"),
            errors: errors.elsewhere(&["/buffer", "/shares"]),
        }
    }
}

/// What the page shows beside what was typed.
struct Facts {
    settings: SyncSettings,
    stores: Vec<Store>,
    extent: Extent,
    /// How many listings of each store have a SKU with rules of its own.
    own_rules: HashMap<StoreId, i64>,
}

async fn facts(visit: &SellerVisit) -> Result<Facts, crate::db::Error> {
    let read = |t: &mut Tenant<'_>| {
        let (settings, stores) = (t.sync_settings()?, t.stores(None, MAX_STORES)?);
        Ok(Facts { settings, stores, extent: t.overwrite_extent()?, own_rules: t.own_rules()? })
    };
    visit.caller.db.read(read).await
}

pub(super) async fn page(visit: SellerVisit) -> PageAnswer {
    let facts = facts(&visit).await?;
    visit.frame.page(&AllocationForm::of(&facts.settings, &facts.stores).page(&visit.frame, &facts, &FormErrors::default()))
}

/// *Save* saves the form and overwrites the listings if asked to; *Update preview* only redraws the bar.
pub(super) async fn save(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    let facts = facts(visit).await?;
    let stores = &facts.stores;
    let form = AllocationForm {
        exclusive: fields.text("allocation_mode") == "exclusive",
        buffer: fields.text("buffer").to_owned(),
        shares: stores.iter().map(|store| fields.text(&format!("share-{}", store.id)).to_owned()).collect(),
        overwrite: fields.has("overwrite"),
    };
    if fields.text("do") == "show" {
        return visit.frame.page(&form.page(&visit.frame, &facts, &FormErrors::default()));
    }
    // -1 is out of bounds, so text that is not a number gets the same error.
    let percent = |text: &String| (!text.is_empty()).then(|| text.parse().unwrap_or(-1.0));
    let wanted = Allocation {
        mode: if form.exclusive { AllocationMode::Exclusive } else { AllocationMode::Shared },
        buffer: form.buffer.parse().unwrap_or(-1),
        shares: stores.iter().map(|store| store.id).zip(form.shares.iter().map(percent)).collect(),
    };
    if let Err(errors) = field_errors(allocate(&state.service, &visit.caller, wanted).await)? {
        return visit.frame.rejected(&form.page(&visit.frame, &facts, &errors));
    }
    let notice = if form.overwrite && facts.extent.listings > 0 {
        match syncs::start(&state.service, &visit.caller, RunFilter::default()).await {
            Err(service::Error::Rows(crate::db::Error::Conflict(why))) => {
                let notice = format!("Allocation is saved. Nothing is overwritten: {why}");
                return Ok(go_warning("/console/sales-channel", &notice));
            }
            run => drop(run?),
        }
        let extent = visit.caller.db.read(|t| t.overwrite_extent()).await?;
        format!("Allocation is saved. Overwriting {} now.", extent_text(extent))
    } else if facts.extent.listings == 0 {
        "Allocation is saved.".to_owned()
    } else {
        "Allocation is saved. Stores keep their current quantities until the next increase or overwrite.".to_owned()
    };
    Ok(go_saying("/console/sales-channel", &notice))
}
