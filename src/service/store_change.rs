//! A new or changed store as it was entered.
use super::connection::Credentials;
use super::shares::share_of;
use crate::db::stores::Store;
use crate::domain::falls::{Reason, Restocks};
use crate::domain::ids::check_text;
use crate::domain::limits::MAX_NAME_CHARS;
use crate::domain::pause::MAX_REASON_CHARS;
use crate::domain::problem::Checks;
use crate::domain::{FieldError, WarehouseCode, unseen};
use crate::platforms::identity::tidy_address;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

/// The most characters in a base URL.
const MAX_URL: usize = 2000;
/// The most bytes in one credential.
const MAX_SECRET: usize = 8192;

/// A new or changed store as it was entered; omitted fields keep their values.
#[derive(Debug, Clone, Default)]
pub struct StoreChange {
    /// A display name.
    pub name: Option<String>,
    /// The connector; cannot be changed.
    pub platform: Option<String>,
    /// The store's address; `Some(None)` removes it.
    pub base_url: Option<Option<String>>,
    /// The connector's own secrets.
    pub credentials: Option<Option<Credentials>>,
    /// The warehouses it ships from; `Some(None)` for all.
    pub warehouses: Option<Option<Vec<String>>>,
    /// Its share of the pool, in percent; `Some(None)` for none.
    pub share_percent: Option<Option<f64>>,
    /// Whether its listings are pushed.
    pub sync_enabled: Option<bool>,
    /// While paused its pushes are held.
    pub paused: Option<bool>,
    /// Whether a new store starts in rehearsal: paused until its seller lets it go live.
    pub rehearsal: Option<bool>,
    /// Why it is paused; only together with that.
    pub pause_reason: Option<String>,
    /// Whether overwrites leave out unseen sales.
    pub protect_unseen_sales: Option<bool>,
    /// For how many hours they do so.
    pub unseen_sales_hours: Option<i64>,
    /// For which reasons falls are pushed to it, by their words.
    pub pushed_falls: Option<Vec<String>>,
    /// Whether it puts returned goods back on sale by itself.
    pub restocks_returns: Option<bool>,
    /// The same for canceled orders.
    pub restocks_cancellations: Option<bool>,
    /// The connector's own settings; null restores a default.
    pub config: Map<String, Value>,
    /// The operator's app to which the credentials belong; only with credentials.
    pub client_id: Option<String>,
}

impl StoreChange {
    /// Applies the fields to `store` and `credentials`.
    pub(super) fn apply(&self, store: &mut Store, credentials: &mut Credentials) -> Result<(), Vec<FieldError>> {
        let mut checks = Checks::default();
        if let Some(name) = &self.name {
            checks.take("/name", check_text(name, "a name", MAX_NAME_CHARS));
            store.name = name.clone();
        }
        if let Some(platform) = &self.platform
            && *platform != store.platform
        {
            checks.note("/platform", "cannot be changed; add another store");
        }
        if let Some(url) = &self.base_url {
            if url.as_ref().is_some_and(|url| url.len() > MAX_URL || url.contains('\0')) {
                checks.note("/base_url", format!("must be an address of at most {MAX_URL} characters"));
            }
            store.base_url = url.as_deref().map(tidy_address);
        }
        if let Some(given) = &self.credentials {
            *credentials = given.clone().unwrap_or_default();
            for (name, secret) in credentials.iter() {
                if secret.expose_secret().len() > MAX_SECRET {
                    checks.extend([FieldError::named("/credentials", "member", name, format!("may have at most {MAX_SECRET} bytes"))]);
                }
            }
        }
        if let Some(codes) = &self.warehouses {
            let parsed = codes.as_ref().map(|codes| {
                let parse = |(index, code): (usize, &String)| checks.take(&format!("/warehouses/{index}"), WarehouseCode::parse(code));
                codes.iter().enumerate().filter_map(parse).collect::<Vec<_>>()
            });
            if parsed.as_ref().is_some_and(Vec::is_empty) {
                checks.note("/warehouses", "must name at least one; omit it for all");
            }
            store.warehouses = parsed.map(|mut codes| {
                codes.sort();
                codes.dedup();
                codes
            });
        }
        if let Some(share) = self.share_percent {
            store.share = share.and_then(|percent| checks.take("/share_percent", share_of(percent)));
        }
        store.sync_enabled = self.sync_enabled.unwrap_or(store.sync_enabled);
        store.paused = self.paused.unwrap_or(store.paused);
        match self.rehearsal {
            Some(true) if !store.rehearsal => checks.note("/rehearsal", "is for new stores; pause this one instead"),
            Some(true) if !store.paused => checks.note("/paused", "must be true in a rehearsal"),
            Some(false) => {
                store.paused &= !store.rehearsal || self.paused == Some(true);
                store.rehearsal = false;
            }
            _ => {}
        }
        store.rehearsal &= store.paused;
        if let Some(reason) = &self.pause_reason {
            checks.take("/pause_reason", check_text(reason, "a reason", MAX_REASON_CHARS));
            if self.paused != Some(true) {
                checks.note("/pause_reason", "comes with `paused: true` only");
            }
        }
        store.protect_unseen_sales = self.protect_unseen_sales.unwrap_or(store.protect_unseen_sales);
        if let Some(hours) = self.unseen_sales_hours {
            checks.take("/unseen_sales_hours", unseen::check_hours(hours));
            store.unseen_sales_hours = hours;
        }
        if let Some(words) = &self.pushed_falls {
            let parse = |(index, word): (usize, &String)| checks.take(&format!("/pushed_falls/{index}"), Reason::parse(word));
            store.falls = words.iter().enumerate().filter_map(parse).collect();
        }
        store.restocks = Restocks {
            returns: self.restocks_returns.unwrap_or(store.restocks.returns),
            cancellations: self.restocks_cancellations.unwrap_or(store.restocks.cancellations),
        };
        let mut config: Map<String, Value> = serde_json::from_str(&store.config).unwrap_or_default();
        for (name, value) in &self.config {
            if value.is_null() {
                config.remove(name)
            } else {
                config.insert(name.clone(), value.clone())
            };
        }
        store.config = Value::Object(config).to_string();
        checks.done()
    }
}
