//! Adding and editing a store, with the fields of its platform.
use super::connect::connectable;
use super::field::Field;
use super::form::{Fields, Posted};
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::percent_number;
use super::stores::{WORKS, checked, does_not_work};
use crate::db::stores::Store;
use crate::db::warehouses::Warehouse;
use crate::domain::StoreId;
use crate::domain::falls::{Reason, Restocks};
use crate::domain::limits::MAX_WAREHOUSES;
use crate::domain::unseen::{DEFAULT_HOURS, HOURS};
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::platforms::form::{FORMS, FieldKind, StoreField, StoreForm, form_of};
use crate::service::shares::free_share;
use crate::service::stores::{self, StoreChange};
use actix_web::web::{Path, Query};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

struct WarehouseBox {
    code: String,
    name: String,
    ticked: bool,
}

/// A reason for falls, with the words for it.
struct FallBox {
    word: &'static str,
    label: &'static str,
    ticked: bool,
}

#[derive(Template)]
#[template(path = "store_form.html")]
struct StoreFormPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    /// The id and name of the store; `None` for a new one.
    store: Option<(String, String)>,
    platform: &'static str,
    platform_label: &'static str,
    name: Field,
    share: Field,
    own: Vec<Field>,
    warehouses: Vec<WarehouseBox>,
    warehouses_error: Option<String>,
    sync_enabled: bool,
    rehearsal: bool,
    protect: bool,
    unseen_hours: Field,
    falls: Vec<FallBox>,
    restocks: Restocks,
    /// Whether a sale has named the store.
    sales_named: bool,
    errors: Vec<String>,
}

#[derive(Template)]
#[template(path = "platforms.html")]
struct PlatformsPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    forms: &'static [StoreForm],
    /// The platforms whose shops can be connected by consent, each with its label.
    connectable: Vec<(&'static str, &'static str)>,
    /// What to ask the operator for, if not all of them can be.
    missing: Option<String>,
}

/// What the seller typed, valid or not, except secrets, which must be typed again.
struct Typed {
    name: String,
    share: String,
    own: Vec<String>,
    warehouses: Vec<String>,
    sync_enabled: bool,
    rehearsal: bool,
    protect: bool,
    unseen_hours: String,
    falls: Vec<String>,
    restocks: Restocks,
}

fn label_of(reason: Reason) -> &'static str {
    match reason {
        Reason::Adjustment => "A correction takes units off: damage, loss",
        Reason::Count => "A count finds less",
        Reason::Transfer => "Units go to a warehouse that doesn't feed this store",
        Reason::OfflineSale => "A sale names no store: over the counter, by telephone",
        Reason::SaleElsewhere => "Another store sells",
    }
}

fn own_value(field: &StoreField, store: &Store) -> String {
    let config: Map<String, Value> = serde_json::from_str(&store.config).unwrap_or_default();
    match field.kind {
        FieldKind::Address => store.base_url.clone().unwrap_or_default(),
        FieldKind::Setting => config.get(field.name).and_then(Value::as_str).unwrap_or_default().to_owned(),
        FieldKind::Secret => String::new(),
    }
}

/// The pointer that the API uses for errors of this field.
fn pointer(field: &StoreField) -> String {
    match field.kind {
        FieldKind::Address => "/base_url".to_owned(),
        FieldKind::Setting => format!("/{}", field.name),
        FieldKind::Secret => format!("/credentials/{}", field.name),
    }
}

impl Typed {
    fn new_store(form: &StoreForm, share: Option<f64>) -> Self {
        let own = vec![String::new(); form.fields.len()];
        Self {
            name: String::new(),
            share: share.map(percent_number).unwrap_or_default(),
            own,
            warehouses: Vec::new(),
            sync_enabled: true,
            rehearsal: true,
            protect: true,
            unseen_hours: DEFAULT_HOURS.to_string(),
            falls: Vec::new(),
            restocks: Restocks::default(),
        }
    }

    fn of(store: &Store, form: &StoreForm) -> Self {
        Self {
            name: store.name.clone(),
            share: store.share.map(|share| percent_number(share.percent())).unwrap_or_default(),
            own: form.fields.iter().map(|field| own_value(field, store)).collect(),
            warehouses: store.warehouses.iter().flatten().map(ToString::to_string).collect(),
            sync_enabled: store.sync_enabled,
            rehearsal: store.rehearsal,
            protect: store.protect_unseen_sales,
            unseen_hours: store.unseen_sales_hours.to_string(),
            falls: store.falls.words().into_iter().map(str::to_owned).collect(),
            restocks: store.restocks,
        }
    }

    fn read(fields: &Fields, form: &StoreForm) -> Self {
        let own = |field: &StoreField| if field.kind == FieldKind::Secret { String::new() } else { fields.text(field.name).to_owned() };
        Self {
            name: fields.text("name").to_owned(),
            share: fields.text("share_percent").to_owned(),
            own: form.fields.iter().map(own).collect(),
            warehouses: fields.all("warehouses").map(str::to_owned).collect(),
            sync_enabled: fields.has("sync_enabled"),
            rehearsal: fields.has("rehearsal"),
            protect: fields.has("protect_unseen_sales"),
            unseen_hours: fields.text("unseen_sales_hours").to_owned(),
            falls: fields.all("pushed_falls").map(str::to_owned).collect(),
            restocks: Restocks { returns: fields.has("restocks_returns"), cancellations: fields.has("restocks_cancellations") },
        }
    }

    /// The same, in the form that the API takes.
    fn fields(&self, fields: &Fields, form: &StoreForm) -> StoreChange {
        let mut wanted = StoreChange {
            name: Some(self.name.clone()),
            // -1 is out of bounds, so text that is not a number gets the same error.
            share_percent: Some((!self.share.is_empty()).then(|| self.share.parse().unwrap_or(-1.0))),
            warehouses: Some((!self.warehouses.is_empty()).then(|| self.warehouses.clone())),
            sync_enabled: Some(self.sync_enabled),
            protect_unseen_sales: Some(self.protect),
            // 0 is out of bounds, so text that is not a number gets the same error.
            unseen_sales_hours: (!self.unseen_hours.is_empty()).then(|| self.unseen_hours.parse().unwrap_or(0)),
            pushed_falls: Some(self.falls.clone()),
            restocks_returns: Some(self.restocks.returns),
            restocks_cancellations: Some(self.restocks.cancellations),
            ..StoreChange::default()
        };
        let mut secrets = Vec::new();
        for (field, value) in form.fields.iter().zip(&self.own) {
            match field.kind {
                FieldKind::Address => wanted.base_url = Some((!value.is_empty()).then(|| value.clone())),
                FieldKind::Setting => {
                    let value = if value.is_empty() { Value::Null } else { Value::String(value.clone()) };
                    wanted.config.insert(field.name.to_owned(), value);
                }
                FieldKind::Secret => {
                    secrets.extend(fields.some(field.name).map(|value| (field.name.to_owned(), SecretString::from(value))))
                }
            }
        }
        if !secrets.is_empty() {
            wanted.credentials = Some(Some(secrets.into_iter().collect()));
        }
        wanted
    }

    fn page<'a>(
        &self,
        frame: &'a Frame,
        form: &'static StoreForm,
        store: Option<&Store>,
        warehouses: Vec<Warehouse>,
        errors: &FormErrors,
    ) -> StoreFormPage<'a> {
        let own = |(field, value): (&StoreField, &String)| {
            let kind = if field.kind == FieldKind::Secret { "password" } else { "text" };
            let help = match (store, field.kind) {
                (Some(store), FieldKind::Secret) if store.credentials.is_some() => {
                    format!("{} Saved, but never shown. Leave empty to keep it.", field.help)
                }
                _ => field.help.to_owned(),
            };
            let shown = Field::new(field.name, field.label, kind).value(value).help(help).checked(errors, &pointer(field));
            if field.required { shown } else { shown.optional() }
        };
        let mut beside: Vec<String> = form.fields.iter().map(pointer).collect();
        beside.extend(["/name", "/share_percent", "/warehouses", "/unseen_sales_hours"].map(str::to_owned));
        StoreFormPage {
            frame,
            here: "stores",
            store: store.map(|store| (store.id.to_string(), store.name.clone())),
            platform: form.platform,
            platform_label: form.label,
            name: Field::new("name", "Name", "text").value(&self.name).help("A name for your own use.").checked(errors, "/name"),
            share: Field::new("share_percent", "Share", "number")
                .value(&self.share)
                .within(0, 100, "0.01")
                .suffix("%")
                .optional()
                .help("The percentage of your stock that this store shows. Stores without a share aren't updated.")
                .checked(errors, "/share_percent"),
            own: form.fields.iter().zip(&self.own).map(own).collect(),
            warehouses: warehouses
                .into_iter()
                .map(|w| WarehouseBox {
                    ticked: self.warehouses.iter().any(|code| code == w.code.as_str()),
                    code: w.code.to_string(),
                    name: w.name,
                })
                .collect(),
            warehouses_error: errors.at("/warehouses"),
            sync_enabled: self.sync_enabled,
            rehearsal: self.rehearsal,
            protect: self.protect,
            unseen_hours: Field::new("unseen_sales_hours", "Wait for sales reports for", "number")
                .value(&self.unseen_hours)
                .within(*HOURS.start(), *HOURS.end(), "1")
                .suffix("hours")
                .help("Units that are missing for longer count as an error of the store's quantity, and are shown again.")
                .checked(errors, "/unseen_sales_hours"),
            falls: Reason::ALL
                .into_iter()
                .map(|reason| FallBox {
                    word: reason.as_str(),
                    label: label_of(reason),
                    ticked: self.falls.iter().any(|word| word == reason.as_str()),
                })
                .collect(),
            restocks: self.restocks,
            sales_named: store.is_some_and(|store| store.sales_named_at.is_some()),
            errors: errors.elsewhere(&beside.iter().map(String::as_str).collect::<Vec<_>>()),
        }
    }
}

async fn warehouses(visit: &SellerVisit) -> Result<Vec<Warehouse>, crate::db::Error> {
    visit.caller.db.read(|t| t.warehouses(None, MAX_WAREHOUSES)).await
}

#[derive(Deserialize)]
pub(super) struct NewQuery {
    platform: Option<String>,
}

/// The choice of a platform, then its form. With a single platform, its form comes first.
pub(super) async fn new_page(visit: SellerVisit, state: State, query: Query<NewQuery>) -> PageAnswer {
    let chosen = match (&query.platform, FORMS) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(platform), _) => Some(form_of(platform).ok_or_else(|| ApiError::not_found("platform"))?),
    };
    let Some(form) = chosen else {
        let (connectable, missing) = connectable(&state).await?;
        return visit.frame.page(&PlatformsPage { frame: &visit.frame, here: "stores", forms: FORMS, connectable, missing });
    };
    let page = Typed::new_store(form, visit.caller.db.read(free_share).await?).page(
        &visit.frame,
        form,
        None,
        warehouses(&visit).await?,
        &FormErrors::default(),
    );
    visit.frame.page(&page)
}

/// Adds a store and tests its connection.
pub(super) async fn create(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    let form = form_of(fields.text("platform")).ok_or_else(|| ApiError::not_found("platform"))?;
    let typed = Typed::read(fields, form);
    let mut wanted = typed.fields(fields, form);
    wanted.platform = Some(form.platform.to_owned());
    wanted.rehearsal = Some(typed.rehearsal);
    // A new store has no settings to reset to their defaults.
    wanted.config.retain(|_, value| !value.is_null());
    match field_errors(stores::create(&state.service, &visit.caller, wanted).await)? {
        Err(errors) => visit.frame.rejected(&typed.page(&visit.frame, form, None, warehouses(visit).await?, &errors)),
        Ok(store) => {
            let here = format!("/console/stores/{}", store.id);
            let stores::Checked { reason, note } = checked(&state, &visit.caller, store.id).await?;
            Ok(match reason {
                None => {
                    let next = "Next, pair its listings with your SKUs.".to_owned();
                    let rest = note.into_iter().chain([next]).collect::<Vec<_>>().join(" ");
                    go_saying(&here, &format!("{} is added. {WORKS} {rest}", store.name))
                }
                Some(reason) => go_warning(&here, &format!("{} is added. {}", store.name, does_not_work(&reason))),
            })
        }
    }
}

fn form_of_store(store: &Store) -> Result<&'static StoreForm, ApiError> {
    form_of(&store.platform).ok_or_else(|| ApiError::not_found("platform"))
}

pub(super) async fn edit_page(visit: SellerVisit, id: Path<StoreId>) -> PageAnswer {
    let id = id.into_inner();
    let store = visit.caller.db.read(move |t| t.store(id)).await?;
    let form = form_of_store(&store)?;
    let page = Typed::of(&store, form).page(&visit.frame, form, Some(&store), warehouses(&visit).await?, &FormErrors::default());
    visit.frame.page(&page)
}

pub(super) async fn edit(posted: Posted<SellerVisit>, state: State, id: Path<StoreId>) -> PageAnswer {
    let (visit, fields, id) = (&posted.visit, &posted.fields, id.into_inner());
    let store = visit.caller.db.read(move |t| t.store(id)).await?;
    let form = form_of_store(&store)?;
    let typed = Typed::read(fields, form);
    match field_errors(stores::change(&state.service, &visit.caller, id, typed.fields(fields, form)).await)? {
        Err(errors) => visit.frame.rejected(&typed.page(&visit.frame, form, Some(&store), warehouses(visit).await?, &errors)),
        Ok(store) => Ok(go_saying(&format!("/console/stores/{id}"), &format!("{} is saved.", store.name))),
    }
}
