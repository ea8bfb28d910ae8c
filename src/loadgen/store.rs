//! Opens stores on the simulated platform, each in the wire format of the run.
use super::api::Error;
use super::face::Face;
use super::plan::Plan;
use super::platform::Platform;
use crate::simulator::shopee::{NewShop, Tokens};
use serde_json::{Map, Value, json};

const PARTNER_ID: u64 = 1_000_001;
const PARTNER_KEY: &str = "a-key-of-the-load-generator";
/// Longer than any run, so that tokens need no renewal.
const ACCESS_TOKEN_LIFE_S: i64 = 30 * 86_400;
/// Longer than any load lasts.
const REFRESH_TOKEN_LIFE_S: i64 = 30 * 24 * 3600;

/// Creates the store at the platform, if its face does not create stores implicitly, and returns the fields with which
/// it is connected to the service.
pub(super) async fn open_store(plan: &Plan, platform: &Platform, store: &str) -> Result<Map<String, Value>, Error> {
    if plan.face != Face::Own {
        platform.add_items(store, (0..plan.skus).map(|number| plan.face.item(number)).collect()).await?;
    }
    let fields = match plan.face {
        Face::Own => own_fields(plan, store),
        Face::Shopify => json!({
            "platform": "shopify",
            "base_url": format!("{}/shopify/{store}", plan.platform.trim_end_matches('/')),
            "location_id": "1",
            "max_items": plan.max_items.min(250),
            "credentials": { "access_token": "a-token-of-the-load-generator" },
        }),
        Face::Shopee => {
            let shop = NewShop {
                partner_id: PARTNER_ID,
                partner_key: PARTNER_KEY.to_owned(),
                access_lives_s: ACCESS_TOKEN_LIFE_S,
                refresh_lives_s: REFRESH_TOKEN_LIFE_S,
                locations: vec![],
            };
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
