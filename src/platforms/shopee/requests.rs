//! Shopee's requests: their signed URLs, and the bodies of the calls about stock.
use super::super::call::{Call, CallItem, Method, Request, StoreConnection};
use super::super::connector::Stamp;
use super::super::fields::{base, listing_or_store_setting, number, whole};
use super::super::sign::{hmac_sha256_hex, percent};
use super::fields::{HOSTS, ITEM_ID, LOCATION_ID};
use super::wire::{OutModel, OutStock, OutUpdate};
use secrecy::ExposeSecret;

const UPDATE_STOCK: &str = "/api/v2/product/update_stock";
pub(super) const MODEL_LIST: &str = "/api/v2/product/get_model_list";
pub(super) const ITEM_INFO: &str = "/api/v2/product/get_item_base_info";
pub(super) const ITEM_LIST: &str = "/api/v2/product/get_item_list";
const WAREHOUSES: &str = "/api/v2/shop/get_warehouse_detail";
pub(super) const TOKEN_GET: &str = "/api/v2/auth/token/get";
pub(super) const TOKEN_REFRESH: &str = "/api/v2/auth/access_token/get";

/// The item and the model of a listing; model 0 stands for an item without models.
pub(super) fn ids(listing: &CallItem) -> Result<(u64, u64), String> {
    let item = listing.extra.get(ITEM_ID).ok_or("The listing has no item_id. Pair it again with the ID of its Shopee item.")?;
    let item_id = whole(item).ok_or_else(|| format!("The listing's item_id {item} is not the ID of a Shopee item."))?;
    let model = &listing.external_id;
    let model_id = whole(model).ok_or_else(|| format!("The listing's external_id {model} is not the ID of a Shopee model."))?;
    Ok((item_id, if model_id == item_id { 0 } else { model_id }))
}

/// The item of a call, and whether it is an item without models.
fn item_of(call: &Call) -> Result<(u64, bool), String> {
    let mut all = call.items.iter().map(ids);
    let (item_id, first) = all.next().ok_or("This call has no listings.")??;
    let mut without_models = first == 0;
    for next in all {
        let (other, model) = next?;
        if other != item_id {
            return Err("Shopee accepts only models of one item per call.".to_owned());
        }
        without_models &= model == 0;
    }
    Ok((item_id, without_models))
}

/// The signed URL of a call; `more` is the rest of its query. Calls for a shop also carry the token and the shop.
pub(super) fn signed_url(store: &StoreConnection, path: &str, for_shop: bool, more: &str, stamp: &Stamp) -> Result<String, String> {
    let [(_, default), ..] = HOSTS;
    let host = HOSTS.iter().find(|(name, _)| store.setting("region") == Some(name)).map_or(default, |(_, host)| host);
    let partner_id = number(store, "partner_id").ok_or("The store's partner_id is missing.")?;
    let timestamp = stamp.now.timestamp();
    let mut text = format!("{partner_id}{path}{timestamp}");
    let mut query = format!("partner_id={partner_id}&timestamp={timestamp}");
    if for_shop {
        let shop_id = number(store, "shop_id").ok_or("The store's shop_id is missing.")?;
        let token = store.secret("access_token")?.expose_secret();
        text = format!("{text}{token}{shop_id}");
        query = format!("{query}&access_token={}&shop_id={shop_id}", percent(token));
    }
    let sign = hmac_sha256_hex(store.secret("partner_key")?, &text);
    Ok(format!("{}{path}?{query}&sign={sign}{more}", base(store, host)))
}

pub(super) fn set_request(store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
    let (item_id, _) = item_of(call)?;
    let models = call.items.iter().map(|item| {
        if item.quantity < 0 {
            return Err("Shopee accepts no quantity below 0.".to_owned());
        }
        let stock = OutStock { location_id: listing_or_store_setting(item, store, LOCATION_ID), stock: item.quantity };
        Ok(OutModel { model_id: ids(item)?.1, seller_stock: [stock] })
    });
    let body = OutUpdate { item_id, stock_list: models.collect::<Result<_, String>>()? };
    Request::json(Method::Post, signed_url(store, UPDATE_STOCK, true, "", stamp)?, &body)
}

pub(super) fn read_request(store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
    let (item_id, without_models) = item_of(call)?;
    let url = if without_models {
        signed_url(store, ITEM_INFO, true, &format!("&item_id_list={item_id}"), stamp)
    } else {
        signed_url(store, MODEL_LIST, true, &format!("&item_id={item_id}"), stamp)
    };
    url.map(Request::get)
}

/// Asks for the shop's locations if the store has a `location_id`, and otherwise for one item.
pub(super) fn check_request(store: &StoreConnection, stamp: &Stamp) -> Result<Request, String> {
    if store.setting(LOCATION_ID).is_some() {
        return signed_url(store, WAREHOUSES, true, "", stamp).map(Request::get);
    }
    signed_url(store, ITEM_LIST, true, "&offset=0&page_size=1&item_status=NORMAL", stamp).map(Request::get)
}
