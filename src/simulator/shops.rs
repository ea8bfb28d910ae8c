//! The shops opened at the Shopee face, with the app and the tokens that may call for each.
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A shop to be opened: `PUT /control/shopee/{shop}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewShop {
    /// The app that may call for this shop.
    pub partner_id: u64,
    /// The key with which the app signs its calls.
    pub partner_key: String,
    /// How long an access token is valid, in seconds.
    #[serde(default = "four_hours")]
    pub access_lives_s: i64,
    /// How long a refresh token is valid, in seconds.
    #[serde(default = "thirty_days")]
    pub refresh_lives_s: i64,
    /// Location ids; empty for a shop with a single warehouse.
    #[serde(default)]
    pub locations: Vec<String>,
}

fn four_hours() -> i64 {
    4 * 3600
}

fn thirty_days() -> i64 {
    30 * 24 * 3600
}

/// What an app receives when a seller authorizes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Sent with every call.
    pub access_token: String,
    /// Valid for one renewal.
    pub refresh_token: String,
}

pub(super) struct Shop {
    pub(super) opened: NewShop,
    pub(super) tokens: Tokens,
    /// When the access token expires, in seconds since 1970.
    pub(super) expires_at_s: i64,
    /// When the refresh token ends, in seconds since 1970.
    pub(super) refresh_ends_at_s: i64,
    /// An authorization code: it can be exchanged once, in place of a refresh token.
    pub(super) code: Option<String>,
}

/// All shops by id.
#[derive(Default)]
pub(super) struct Shops(pub(super) HashMap<String, Shop>);
