//! Shopify: the GraphQL Admin API, version `requests::API_VERSION`, with one endpoint per shop.
//!
//! Sources (checked November 2026): shopify.dev, "Rate limits", "Implementing idempotency", "Making changeFromQuantity
//! required", "Offline access tokens"; the introspected schema of 2026-10; recorded live replies of 2026-04.
//!
//! - An increase is `inventoryAdjustQuantities`, an overwrite `inventorySetQuantities`. Both carry `@idempotent(key:)`,
//!   which is mandatory, and `changeFromQuantity` in every row (null: no comparison), which is mandatory although the
//!   schema marks it as optional. Keys are kept for 24 h, and one key must always come with the same variables, so a
//!   request depends only on the call and the store's settings.
//! - A listing's `external_id` is an inventory item (not a variant), its `location_id` a location; either as
//!   `gid://shopify/…` or as the bare number. The store's `location_id` applies to listings without their own, and a listing
//!   with another one is rejected. A store that names none, in a shop that sells online from several locations, is asked
//!   which; none is chosen for it. (Locations may be read with `read_inventory` since version 2024-10.)
//! - 250 rows per call. A failure names its row by index in `field`; if the group of changes is null, no row was applied.
//!   Rows that change nothing are missing from `changes`, which is a success. Top-level `errors` next to data may concern
//!   one requested field while the change was applied, so `data.<mutation>` decides.
//! - Limits: points per app and shop, refilled at 100/s (Standard) to 2000/s (Enterprise). Every reply states the bucket's
//!   size, its rate and the cost of the call, and the limiter follows them.
//! - Stock of an untracked variant, or at a location where the variant's level is not active, can be written without any
//!   effect; reads and writes ask for both.
//!
//! Unconfirmed: that a call with a good and a bad row applies neither (in every recorded failure the group is null; a
//! group with changes next to failures would be read from its changes); the cost of 250 rows; the parameters of the token
//! renewal (`RENEWAL_GRANT`); buckets other than the recorded one (`STATED_LIMIT`); the status of a throttled reply (both
//! 200 and 429 are understood).
pub mod authorize;
mod id;
pub mod notice;
mod outcomes;
mod requests;
#[cfg(test)]
mod tests;
mod wire;

use super::call::{Action, Call, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::connector::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, VariantPage};
use super::fields::{max_items, page_size};
use super::oauth;
use super::sign::{EXPIRES_AT, expires_soon};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, Outcome};
use id::gid;
use outcomes::{check_outcome, failure, must_choose, mutation_outcome, parse, read_outcome, unreadable};
use requests::{CHECK, VARIANTS, VARIANTS_AT, base, graphql, mutation, read};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use wire::{FoundVariants, ReplyBody};

/// Rows per call.
const MAX_ROWS: u64 = 250;
/// The bucket of a Standard shop, as recorded; replies state the shop's own.
const STATED_LIMIT: RateLimit = RateLimit { per_second: 100.0, burst: 2000 };
/// The cost of a mutation, as recorded for one row and for two.
const MUTATION_POINTS: u32 = 13;
/// A row of a read returns three objects: item, level and quantity.
const READ_POINTS_PER_ROW: u32 = 3;
/// Variants per page, and inventory levels per variant. With item, level and location as objects, a page costs 840 of the
/// 1000 points that one request may cost. Two levels at locations that sell online are enough to ask the seller.
const VARIANTS_PAGE: usize = 20;
const VARIANT_LEVELS: u32 = 20;
/// The grant of a token renewal (unconfirmed, like the names of its parameters).
const RENEWAL_GRANT: &str = "refresh_token";
/// The grant for an app and a shop of the same organization, which has no refresh token.
const OWN_GRANT: &str = "client_credentials";

/// The Shopify connector.
#[derive(Debug)]
pub struct Shopify;

impl Platform for Shopify {
    fn name(&self) -> &'static str {
        "shopify"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        let is_shop = |shop: &str| {
            let name = shop.trim_end_matches(".myshopify.com");
            let fits = (1..=63).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            fits.then_some(()).ok_or_else(|| "must be the shop's name in Shopify, such as acme or acme.myshopify.com".to_owned())
        };
        // An app of the shop's own organization needs no other token.
        let app: &[&str] = if store.credentials.contains_key("refresh_token") {
            &["refresh_token", "client_id", "client_secret"]
        } else {
            &["client_id", "client_secret"]
        };
        Check::new(store, Need::Optional)
            .text_that("shop", Need::unless(store.base_url.is_some()), is_shop)
            .text_that("location_id", Need::Optional, |id| gid("Location", id).map(drop))
            .max_items(MAX_ROWS)
            .access_token(Need::unless(store.credentials.contains_key("client_secret")))
            .together(app)
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["location_id"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let max_items = max_items(store, MAX_ROWS, MAX_ROWS);
        Facts {
            reads_before_set: false,
            proves_writes: true,
            abilities: Abilities { adjust: true, idempotency: true, compare_and_set: true, read: true, max_items },
            group_by: None,
            location: Some("location_id"),
            per_store: STATED_LIMIT,
            per_app: None,
        }
    }

    fn cost(&self, call: &Call) -> u32 {
        match call.action {
            Action::Adjust | Action::Set => MUTATION_POINTS,
            Action::Check => 2,
            Action::Read if call.items.is_empty() => VARIANTS_PAGE as u32 * (2 + 2 * VARIANT_LEVELS),
            Action::Read => u32::try_from(call.items.len()).unwrap_or(u32::MAX).saturating_mul(READ_POINTS_PER_ROW),
        }
    }

    fn request(&self, store: &StoreConnection, call: &Call, _: &Stamp) -> Result<Request, String> {
        match call.action {
            Action::Adjust | Action::Set => mutation(store, call),
            Action::Read => read(store, call),
            Action::Check => graphql(store, CHECK, json!({})),
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        let body = match parse(store, reply) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let found = match call.action {
            Action::Adjust => body.field("inventoryAdjustQuantities").map(|data| mutation_outcome(store, call, data)),
            Action::Set => body.field("inventorySetQuantities").map(|data| mutation_outcome(store, call, data)),
            Action::Read => read_outcome(store, call, &body),
            Action::Check => check_outcome(store, &body),
        };
        found.unwrap_or_else(|| failure(&body))
    }

    fn reserved(&self, _: &StoreConnection, _: &Call, _: &Reply) -> Vec<Option<i64>> {
        Vec::new()
    }

    fn shop(&self, reply: &Reply) -> Option<String> {
        let body = serde_json::from_str::<ReplyBody>(&reply.body).ok()?;
        body.field("shop")?.get("myshopifyDomain")?.as_str().map(str::to_owned)
    }

    fn shop_request(&self, _: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        None
    }

    fn quota(&self, reply: &Reply) -> Option<ReportedQuota> {
        let cost = serde_json::from_str::<ReplyBody>(&reply.body).ok()?.extensions?.cost?;
        let status = cost.throttle_status?;
        let whole = |points: f64| if points.is_finite() { points.clamp(0.0, 1e9) as u32 } else { 0 };
        (status.restore_rate > 0.0 && status.restore_rate.is_finite()).then(|| ReportedQuota {
            per_second: status.restore_rate,
            burst: whole(status.maximum_available),
            available: Some(whole(status.currently_available)),
            cost: cost.requested_query_cost.map(whole),
        })
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let first = page_size(store, VARIANTS_PAGE);
        match store.setting("location_id") {
            Some(id) => graphql(store, VARIANTS_AT, json!({"first": first, "location": gid("Location", id)?, "after": cursor})),
            None => graphql(store, VARIANTS, json!({"first": first, "levels": VARIANT_LEVELS, "after": cursor})),
        }
    }

    fn variants(&self, store: &StoreConnection, _: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let body = parse(store, reply)?;
        let page = body.field("productVariants").ok_or_else(|| failure(&body))?;
        let page = FoundVariants::deserialize(page).map_err(|_| unreadable())?;
        let has_location = store.setting("location_id").is_some();
        let variants = page.nodes.into_iter().map(|found| found.variant(has_location));
        let variants = variants.collect::<Result<Vec<_>, _>>().map_err(|places| must_choose(&places))?;
        Ok(VariantPage { variants, next: page.page_info.end_cursor.filter(|_| page.page_info.has_next_page) })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name| store.secret(name).ok().map(ExposeSecret::expose_secret);
        let app = [("client_id", secret("client_id")?), ("client_secret", secret("client_secret")?)];
        let token = secret("access_token");
        let grant = match (secret("auth_code"), secret("refresh_token")) {
            (Some(code), _) => [("code", code), ("expiring", "1")],
            _ if token.is_some() && !refused && !expires_soon(store, stamp) => return None,
            (None, Some(token)) => [("grant_type", RENEWAL_GRANT), ("refresh_token", token)],
            // A token without an end came from a grant of another kind.
            (None, None) if token.is_some() && !store.credentials.contains_key(EXPIRES_AT) => return None,
            (None, None) => return Some(oauth::form(token_url(store)?, &[&app[..], &[("grant_type", OWN_GRANT)]].concat())),
        };
        Some(oauth::form(token_url(store)?, &[&app[..], &grant[..]].concat()))
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        oauth::renewal(store, reply, stamp)
    }
}

fn token_url(store: &StoreConnection) -> Option<String> {
    Some(format!("{}/admin/oauth/access_token", base(store).ok()?))
}
