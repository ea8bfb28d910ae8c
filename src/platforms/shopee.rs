//! Shopee: Open Platform v2 (`/api/v2`). Checked in November 2026 against Shopee's own API descriptors of August 2026.
//!
//! Abilities: sets the seller's stock of 1 to 50 models of one item per call; each model succeeds or fails separately.
//! There is no adjusting, there are no idempotency keys, and there is no compare-and-set. An increase is therefore read,
//! added and written back: what the shop sells between the read and the write, some tens of milliseconds, is overwritten.
//!
//! Listings: `item_id` is Shopee's item and `external_id` the model in it; for an item without models, `external_id` is the
//! item's own ID again. `location_id`, from the listing or else from the store, is required for shops with several
//! warehouses and must be omitted for all other shops.
//!
//! Settings: `partner_id`, `shop_id`; `region` (where the app is registered), `location_id`, `rate_limit`. Credentials:
//! `partner_key`, and either `refresh_token` with or without `access_token`, or the `auth_code` that Shopee returns when the
//! seller authorizes the app (valid once, for 10 minutes: add the store, then check it).
//!
//! Limits: Shopee publishes none (its descriptors say 0), so `UNCONFIRMED` starts with a few calls per second, and the
//! store's `rate_limit` overrides it. `error_limit` is the app's daily limit, which ends at midnight, UTC+8.
//!
//! Quirks: most failures arrive with status 200 and can be recognized only by `error`. The body is not signed. A refresh
//! token can be used once, so a lost reply to a renewal means that the seller must sign in again (whether Shopee still
//! accepts the old one for a while is unconfirmed).
//!
//! `requests` builds and signs the calls; `outcomes` reads the replies, with the table in `codes`.
pub mod authorize;
mod codes;
mod cursor;
mod fields;
pub mod notice;
mod outcomes;
mod requests;
#[cfg(test)]
mod tests;
mod wire;

use super::call::{Action, Call, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::codes::{find, renewal, said, unreadable};
use super::connector::{Facts, Platform, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use super::fields::{number, page_size, rate_limit};
use super::sign::{expires_soon, note_refresh_end, with_access_token};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, Outcome};
use codes::CODES;
use cursor::Cursor;
use fields::{HOSTS, ITEM_ID, LOCATION_ID, UNCONFIRMED};
use outcomes::{check_result, envelope, read_results, set_results, without_module};
use requests::{ITEM_INFO, ITEM_LIST, MODEL_LIST, TOKEN_GET, TOKEN_REFRESH, check_request, read_request, set_request, signed_url};
use secrecy::ExposeSecret;
use wire::{InItems, InList, InTier, InTokens, OutCode, OutRefresh};

/// Models per call.
const MAX_MODELS: usize = 50;
/// Items per page of the list. Shopee returns up to 100, but details only for 50 at a time, and the cursor's length is
/// limited.
const ITEMS_PAGE: usize = 40;
/// The lifetime of an access token, in seconds, if the reply does not state it.
const ACCESS_LIFETIME_S: i64 = 4 * 3600;
/// The lifetime of a refresh token, in seconds. No reply states it.
const REFRESH_LIFETIME_S: i64 = 30 * 86_400;

/// The Shopee connector.
#[derive(Debug)]
pub struct Shopee;

impl Platform for Shopee {
    fn name(&self) -> &'static str {
        "shopee"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        Check::new(store, Need::Optional)
            .number("partner_id", Need::Required)
            .number("shop_id", Need::Required)
            .word("region", Need::Optional, &HOSTS.map(|(name, _)| name))
            .text(LOCATION_ID, Need::Optional)
            .rate_limit()
            .secret("partner_key", Need::Required)
            .tokens(&["refresh_token", "access_token", "auth_code"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &[ITEM_ID, LOCATION_ID]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        Facts {
            reads_before_set: false,
            proves_writes: false,
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items: MAX_MODELS },
            group_by: Some(ITEM_ID),
            location: Some(LOCATION_ID),
            per_store: rate_limit(store, UNCONFIRMED.rate).unwrap_or(UNCONFIRMED.rate),
            // The app's daily limit is not published; `error_limit` reports when it has been reached.
            per_app: None,
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        match call.action {
            Action::Set => set_request(store, call, stamp),
            Action::Read => read_request(store, call, stamp),
            Action::Check => check_request(store, stamp),
            Action::Adjust => Err("Shopee cannot add to a quantity; it can only set one.".to_owned()),
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        let body = match envelope(call, reply) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        match call.action {
            Action::Set | Action::Adjust => set_results(store, call, body.response),
            Action::Read => read_results(store, call, body.response),
            Action::Check => check_result(store.setting(LOCATION_ID), body.response),
        }
    }

    fn reserved(&self, _: &StoreConnection, _: &Call, _: &Reply) -> Vec<Option<i64>> {
        Vec::new()
    }

    fn shop(&self, _: &Reply) -> Option<String> {
        None
    }

    fn shop_request(&self, _: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        None
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String> {
        let url = match Cursor::read(cursor).ok_or("This cursor does not belong to this store's list of variants.")? {
            Cursor::List { offset } => {
                let page = format!("&offset={offset}&page_size={}&item_status=NORMAL&item_status=UNLIST", page_size(store, ITEMS_PAGE));
                signed_url(store, ITEM_LIST, true, &page, stamp)
            }
            Cursor::Items { ids, .. } => {
                let ids: Vec<String> = ids.iter().take(page_size(store, ITEMS_PAGE)).map(u64::to_string).collect();
                signed_url(store, ITEM_INFO, true, &format!("&item_id_list={}", ids.join(",")), stamp)
            }
            Cursor::Models { ids, .. } => {
                let first = ids.first().copied().unwrap_or_default();
                signed_url(store, MODEL_LIST, true, &format!("&item_id={first}"), stamp)
            }
        };
        url.map(Request::get)
    }

    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let response = envelope(&call, reply)?.response;
        let variant = |item_id: u64, model_id: u64, sku: Option<String>, title: String| Variant {
            sku: sku.filter(|sku| !sku.is_empty()),
            external_id: if model_id == 0 { item_id.to_string() } else { model_id.to_string() },
            extra: [(ITEM_ID.to_owned(), item_id.to_string())].into(),
            title,
        };
        match Cursor::read(cursor).ok_or_else(unreadable)? {
            Cursor::List { .. } => {
                let list: InList = serde_json::from_value(response).map_err(|_| unreadable())?;
                let ids: Vec<u64> = list.item.iter().map(|item| item.item_id).collect();
                let next = list.next_offset.filter(|_| list.has_next_page);
                Ok(VariantPage { variants: Vec::new(), next: Cursor::text("items", next, &ids) })
            }
            Cursor::Items { next, ids, models } => {
                let InItems { item_list, .. } = serde_json::from_value(response).map_err(|_| unreadable())?;
                let found = item_list.iter().filter(|item| item.has_model).map(|item| item.item_id);
                let with_models: Vec<u64> = models.into_iter().chain(found).collect();
                let rest = ids.get(page_size(store, ITEMS_PAGE)..).unwrap_or_default();
                let simple = item_list.into_iter().filter(|item| !item.has_model);
                let variants = simple.map(|item| variant(item.item_id, 0, item.item_sku, item.item_name)).collect();
                Ok(VariantPage { variants, next: Cursor::after_items(next, rest, &with_models) })
            }
            Cursor::Models { next, ids } => {
                let Some((item_id, rest)) = ids.split_first() else { return Err(unreadable()) };
                let InItems { model, tier_variation, .. } = serde_json::from_value(response).map_err(|_| unreadable())?;
                let variants = model.into_iter().map(|model| {
                    let options = title(&tier_variation, &model.tier_index);
                    let title = if options.is_empty() { format!("Item {item_id}") } else { options };
                    variant(*item_id, model.model_id, model.model_sku, title)
                });
                Ok(VariantPage { variants: variants.collect(), next: Cursor::text("models", next, rest) })
            }
        }
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name: &str| store.credentials.get(name).map(ExposeSecret::expose_secret);
        let (partner_id, shop_id) = (number(store, "partner_id")?, number(store, "shop_id")?);
        if let Some(code) = secret("auth_code") {
            let url = signed_url(store, TOKEN_GET, false, "", stamp).ok()?;
            return Request::json(Method::Post, url, &OutCode { code, partner_id, shop_id }).ok();
        }
        if !refused && secret("access_token").is_some() && !expires_soon(store, stamp) {
            return None;
        }
        let refresh_token = secret("refresh_token")?;
        let url = signed_url(store, TOKEN_REFRESH, false, "", stamp).ok()?;
        Request::json(Method::Post, url, &OutRefresh { refresh_token, partner_id, shop_id }).ok()
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        let Ok(tokens) = serde_json::from_str::<InTokens>(&reply.body) else {
            return Renewal::TryAgain { reason: "Shopee's response to the token renewal could not be read.".to_owned() };
        };
        if !tokens.error.is_empty() {
            return renewal(find(CODES, without_module(&tokens.error), &tokens.message), said("Shopee", &tokens.error, &tokens.message));
        }
        let (Some(access), Some(refresh)) = (tokens.access_token, tokens.refresh_token) else {
            return Renewal::TryAgain { reason: "Shopee's response contains no tokens.".to_owned() };
        };
        let mut credentials = with_access_token(store, &access, tokens.expire_in.unwrap_or(ACCESS_LIFETIME_S), stamp);
        credentials.insert("refresh_token".to_owned(), refresh.into());
        note_refresh_end(&mut credentials, Some(REFRESH_LIFETIME_S), stamp);
        credentials.remove("auth_code");
        Renewal::Renewed(credentials)
    }
}

/// The names of a model's options, such as "red, L".
fn title(tiers: &[InTier], index: &[usize]) -> String {
    let option = |(tier, at): (&InTier, &usize)| tier.option_list.get(*at).map(|option| option.option.clone());
    tiers.iter().zip(index).filter_map(option).collect::<Vec<_>>().join(", ")
}
