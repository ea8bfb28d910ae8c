//! The page of one seller, as the operator sees it, and the small pages around it: a question, a new key.
use super::components::{StoreFigures, StoreRow, circuits_since};
use super::field::Field;
use super::page::{FormErrors, Frame, PageAnswer};
use super::session::OperatorVisit;
use super::show::{self, Badge, Stamp, units};
use crate::db::sellers::{self, ApiKey, Seller};
use crate::domain::SellerId;
use crate::domain::limits::MAX_STORES;
use crate::domain::seller_limits::{Allowed, CommonLimits, SellerLimits};
use crate::domain::usage::{Range, Usage, UsageOfDay, day_of, overview};
use crate::http::state::State;
use crate::service::sellers::NewKey;
use actix_web::web::Path;
use askama::Template;
use secrecy::ExposeSecret;

/// The list of sellers.
pub(super) const LIST: &str = "/console/operator/sellers";

/// The page of a seller.
pub(super) fn address_of(id: SellerId) -> String {
    format!("{LIST}/{id}")
}

pub(super) fn state_badge(seller: &Seller) -> Badge {
    if seller.suspended { Badge::new("Suspended", "bad") } else { Badge::new("Active", "good") }
}

pub(super) struct KeyRow {
    pub id: String,
    /// Its name, or its last digits.
    pub name: String,
    pub created: Stamp,
    pub revoked: Option<Stamp>,
}

/// What a key is called: its name, or the last digits of its id.
pub(super) fn name_of(key: &ApiKey) -> String {
    let id = key.id.to_string();
    key.name.clone().unwrap_or_else(|| format!("Key ending in {}", id.get(id.len().saturating_sub(4)..).unwrap_or_default()))
}

impl KeyRow {
    pub fn new(frame: &Frame, key: ApiKey) -> Self {
        Self { id: key.id.to_string(), name: name_of(&key), created: frame.day(key.created_at), revoked: frame.stamp_of(key.revoked_at) }
    }
}

/// Shows a new key, once.
#[derive(Template)]
#[template(path = "new_key.html")]
pub(super) struct KeyPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    title: String,
    seller: String,
    address: String,
    secret: &'a str,
}

impl<'a> KeyPage<'a> {
    pub fn new(frame: &'a Frame, seller: &Seller, title: String, key: &'a NewKey) -> Self {
        let secret = key.secret.expose_secret();
        Self { frame, here: "sellers", title, seller: seller.name.clone(), address: address_of(seller.id), secret }
    }
}

/// One limit on the seller's page.
struct LimitRow {
    name: &'static str,
    value: String,
    /// The operator has set it for this seller.
    own: bool,
}

/// "30", "0.5".
pub(super) fn days(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The limits that hold for a seller.
fn limits_of(own: &SellerLimits, common: &CommonLimits) -> Vec<LimitRow> {
    let Allowed { events_per_second, skus, stores, records_kept_days } = own.over(common);
    let row = |name, value, own: Option<i64>| LimitRow { name, value, own: own.is_some() };
    vec![
        row("Stock events per second", units(events_per_second), own.events_per_second),
        row("SKUs", units(skus), own.skus),
        row("Stores", units(stores), own.stores),
        row("Records are kept for", format!("{} days", days(records_kept_days)), own.records_kept_days),
    ]
}

/// What the seller has used in a time.
struct UsageRow {
    of: &'static str,
    events: String,
    pushes: String,
    calls: String,
}

fn usage_rows(days: &[UsageOfDay], frame: &Frame) -> Vec<UsageRow> {
    let row = |(of, usage): (&'static str, Usage)| {
        let [events, pushes, calls] = [usage.events, usage.pushes, usage.calls].map(units);
        UsageRow { of, events, pushes, calls }
    };
    ["Today", "Yesterday", "This month", "Last month"].into_iter().zip(overview(days, day_of(frame.now))).map(row).collect()
}

#[derive(Template)]
#[template(path = "seller.html")]
struct SellerPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    name: String,
    id: String,
    suspended: bool,
    state: Badge,
    zone: String,
    created: Stamp,
    skus: String,
    stores: Vec<StoreRow>,
    limits: Vec<LimitRow>,
    usage: Vec<UsageRow>,
    counted_to: Option<Stamp>,
    keys: Vec<KeyRow>,
    key_name: Field,
    errors: Vec<String>,
}

/// The page of a seller; `key_name` and `errors` are those of the form for a new key.
pub(super) async fn show(visit: &OperatorVisit, state: &State, id: SellerId, key_name: &str, errors: FormErrors) -> PageAnswer {
    let frame = &visit.frame;
    let (seller, keys) = state.db.read(move |conn| Ok((sellers::seller(conn, id)?, sellers::keys(conn, id)?))).await?;
    let since = circuits_since(frame);
    let db = state.db.seller(id);
    let months = Range::of_two_months(day_of(frame.now));
    let read = db.read(move |t| {
        let stores = t.stores(None, MAX_STORES)?;
        let figures = StoreFigures::read(t, &stores, since)?;
        Ok((stores, figures, t.usage(months)?))
    });
    let (stores, figures, (days_of_use, counted_to)) = read.await?;
    let page = SellerPage {
        frame,
        here: "sellers",
        suspended: seller.suspended,
        state: state_badge(&seller),
        zone: show::zone_name(seller.timezone, frame.now),
        created: frame.day(seller.created_at),
        skus: units(seller.sku_count),
        id: seller.id.to_string(),
        name: seller.name,
        stores: stores.iter().map(|store| figures.row(frame, store)).collect(),
        limits: limits_of(&seller.limits, &state.common_limits()),
        usage: usage_rows(&days_of_use, frame),
        counted_to: frame.stamp_of(counted_to),
        keys: keys.into_iter().map(|key| KeyRow::new(frame, key)).collect(),
        key_name: Field::new("name", "Name of the new key", "text")
            .value(key_name)
            .optional()
            .help("What uses it, such as “warehouse system”.")
            .checked(&errors, "/name"),
        errors: errors.elsewhere(&["/name"]),
    };
    if errors.0.is_empty() { frame.page(&page) } else { frame.rejected(&page) }
}

pub(super) async fn one(visit: OperatorVisit, state: State, id: Path<SellerId>) -> PageAnswer {
    show(&visit, &state, id.into_inner(), "", FormErrors::default()).await
}

/// Asks the operator for confirmation.
#[derive(Template)]
#[template(path = "operator_confirm.html")]
pub(super) struct ConfirmPage<'a> {
    pub frame: &'a Frame,
    pub here: &'static str,
    pub seller: String,
    pub question: String,
    pub consequences: &'static [&'static str],
    /// A field of the form.
    pub field: (&'static str, &'static str),
    pub action: String,
    pub button: &'static str,
    pub back: String,
}
