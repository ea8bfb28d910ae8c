//! Whose wire format the service and the simulated platform speak in a run, and how stores and listings are named then.
use super::api::Error;
use super::plan::Plan;
use super::platform::Platform;
use crate::simulator::shopee::{NewShop, Tokens};
use serde_json::{Map, Value, json};

/// Models of one item of Shopee's.
const MODELS: usize = 50;
/// The first of these items: none has the number of a model, which would stand for the item itself.
const FIRST_ITEM: usize = 1_000_000_000;
const PARTNER_ID: u64 = 1_000_001;
const PARTNER_KEY: &str = "a-key-of-the-load-generator";
/// An access token that does not end within a run.
const LIVES_S: i64 = 30 * 86_400;

/// A face of the simulated platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Face {
    /// The simulated platform's own protocol.
    #[default]
    Own,
    /// Shopify's GraphQL, with cost points and idempotency keys.
    Shopify,
    /// Shopee's signed calls, which set the models of one item.
    Shopee,
}

impl Face {
    /// A store's name at the platform.
    pub(super) fn store_name(self, seller: &str, index: usize) -> String {
        match self {
            Self::Own | Self::Shopify => format!("load-{seller}-{index}"),
            // A number, and no other run's.
            Self::Shopee => rand::random_range(1_000_000_000_u64..1_000_000_000_000).to_string(),
        }
    }

    /// The `external_id` of the listing of this SKU.
    fn external_id(self, number: usize) -> String {
        match self {
            Self::Own => format!("item-{number:05}"),
            Self::Shopify | Self::Shopee => (number + 1).to_string(),
        }
    }

    /// What the platform calls it.
    pub(super) fn item(self, number: usize) -> String {
        match self {
            Self::Own | Self::Shopify => self.external_id(number),
            Self::Shopee => format!("{}/{}", shopee_item(number), self.external_id(number)),
        }
    }

    /// The pairing of this SKU.
    pub(super) fn listing(self, sku: &str, number: usize) -> Value {
        let mut row = json!({ "sku": sku, "external_id": self.external_id(number) });
        if let (Self::Shopee, Some(row)) = (self, row.as_object_mut()) {
            row.insert("item_id".to_owned(), json!(shopee_item(number).to_string()));
        }
        row
    }

    /// Makes the store at the platform, where its wire format knows no others. Answers the platform's part of what is
    /// entered at the service.
    pub(super) async fn open(self, plan: &Plan, platform: &Platform, store: &str) -> Result<Map<String, Value>, Error> {
        if self != Self::Own {
            platform.stock(store, (0..plan.skus).map(|number| self.item(number)).collect()).await?;
        }
        let fields = match self {
            Self::Own => own_fields(plan, store),
            Self::Shopify => json!({
                "platform": "shopify",
                "base_url": format!("{}/shopify/{store}", plan.platform.trim_end_matches('/')),
                "location_id": "1",
                "max_items": plan.max_items.min(250),
                "credentials": { "access_token": "a-token-of-the-load-generator" },
            }),
            Self::Shopee => {
                let shop =
                    NewShop { partner_id: PARTNER_ID, partner_key: PARTNER_KEY.to_owned(), access_lives_s: LIVES_S, locations: vec![] };
                let Tokens { access_token, refresh_token } = platform.open_shopee_shop(store, &shop).await?;
                json!({
                    "platform": "shopee",
                    "base_url": plan.platform,
                    "partner_id": PARTNER_ID,
                    "shop_id": store,
                    "credentials": { "partner_key": PARTNER_KEY, "access_token": access_token, "refresh_token": refresh_token },
                })
            }
        };
        Ok(fields.as_object().cloned().unwrap_or_default())
    }
}

fn shopee_item(number: usize) -> usize {
    FIRST_ITEM + number / MODELS
}

fn own_fields(plan: &Plan, store: &str) -> Value {
    let abilities = plan.offers.abilities();
    let mut fields = json!({
        "platform": "simulated",
        "base_url": plan.platform,
        "external_store": store,
        "abilities": {
            "adjust": abilities.adjust,
            "idempotency": abilities.idempotency,
            "compare_and_set": abilities.compare_and_set,
            "read": abilities.read,
            "max_items": plan.max_items,
        },
    });
    if let (Some(rate), Some(fields)) = (plan.store_rate, fields.as_object_mut()) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a burst of calls")]
        let burst = rate.burst.round().max(1.0) as u32;
        fields.insert("rate_limit".to_owned(), json!({"per_second": rate.per_second, "burst": burst}));
    }
    fields
}

/// The number of the SKU that this listing, or this item of the platform's, shows.
pub(super) fn number_of(name: &str) -> Option<usize> {
    match name.strip_prefix("item-") {
        Some(number) => number.parse().ok(),
        None => name.rsplit('/').next()?.parse::<usize>().ok()?.checked_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_and_listings_of_every_face_lead_back_to_their_sku() {
        for face in [Face::Own, Face::Shopify, Face::Shopee] {
            for number in [0, 49, 50, 12_345] {
                assert_eq!(number_of(&face.item(number)), Some(number), "{face:?}");
                assert_eq!(number_of(&face.external_id(number)), Some(number), "{face:?}");
            }
        }
        assert_eq!(Face::Shopee.item(50), "1000000001/51");
        assert_eq!((number_of("0"), number_of("mug")), (None, None));
    }
}
