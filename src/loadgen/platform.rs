//! A client for the `/control` endpoints of the running simulated platform: faults, quantities shown, receipts.
use super::api::{Api, Error, OnLost};
use super::plan::Plan;
use crate::simulator::shopee::{NewShop, Tokens};
use crate::simulator::{Faults, Receipt, Stats};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Receipts or items per page.
const PAGE: usize = 20_000;

#[derive(Debug)]
pub(super) struct Platform {
    api: Api,
}

#[derive(Deserialize)]
struct Receipts {
    items: Vec<Receipt>,
}

#[derive(Deserialize)]
struct Items {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    external_id: String,
    quantity: i64,
}

impl Platform {
    pub(super) fn new(plan: &Plan) -> Result<Self, Error> {
        Ok(Self { api: Api::new(&plan.platform, plan.patience)? })
    }

    pub(super) async fn faults(&self) -> Result<Faults, Error> {
        self.api.get("/control/faults", None).await
    }

    pub(super) async fn set_faults(&self, faults: &Faults) -> Result<(), Error> {
        self.api.json::<Faults>(Method::PUT, "/control/faults", None, Some(faults), OnLost::Repeat).await.map(drop)
    }

    pub(super) async fn stats(&self) -> Result<Stats, Error> {
        self.api.get("/control/stats", None).await
    }

    /// Passes every receipt after number `after` to `take`, in order. Returns whether there was no gap: the platform
    /// keeps a bounded number of receipts and forgets the oldest.
    pub(super) async fn receipts(&self, mut after: u64, mut take: impl FnMut(Receipt)) -> Result<bool, Error> {
        let mut complete = true;
        loop {
            let page: Receipts = self.api.get(&format!("/control/receipts?after={after}&limit={PAGE}"), None).await?;
            let Some(last) = page.items.last().map(|r| r.seq) else { return Ok(complete) };
            complete &= page.items.first().is_some_and(|first| first.seq == after + 1);
            page.items.into_iter().for_each(&mut take);
            after = last;
        }
    }

    /// Adds these items to a store, with a quantity of 0.
    pub(super) async fn add_items(&self, store: &str, items: Vec<String>) -> Result<(), Error> {
        let item = |external_id: &String| json!({ "external_id": external_id, "quantity": 0 });
        let body = json!({ "items": items.iter().map(item).collect::<Vec<_>>() });
        self.api.json::<Value>(Method::PUT, &format!("/control/stores/{store}/items"), None, Some(&body), OnLost::Repeat).await.map(drop)
    }

    pub(super) async fn open_shopee_shop(&self, shop: &str, new: &NewShop) -> Result<Tokens, Error> {
        self.api.json(Method::PUT, &format!("/control/shopee/{shop}"), None, Some(new), OnLost::Repeat).await
    }

    /// The quantities that a store shows, by item.
    pub(super) async fn shown(&self, store: &str) -> Result<BTreeMap<String, i64>, Error> {
        let mut shown = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let from = after.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
            let page: Items = self.api.get(&format!("/control/stores/{store}/items?limit={PAGE}{from}"), None).await?;
            shown.extend(page.items.into_iter().map(|item| (item.external_id, item.quantity)));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(shown),
            }
        }
    }

    /// Sets the abilities and faults of the plan, and returns the faults that were set before.
    pub(super) async fn prepare(&self, plan: &Plan) -> Result<Faults, Error> {
        let before = self.faults().await?;
        let mut faults = before.clone();
        plan.faults.apply_to(&mut faults);
        faults.check().map_err(Error::Plan)?;
        let abilities = plan.offers.abilities();
        (faults.adjust, faults.idempotency, faults.compare_and_set) = (abilities.adjust, abilities.idempotency, abilities.compare_and_set);
        self.set_faults(&faults).await?;
        Ok(before)
    }

    /// Removes all faults and keeps the plan's abilities, the rate limit and the token.
    pub(super) async fn clear_faults(&self, plan: &Plan) -> Result<(), Error> {
        let now = self.faults().await?;
        let abilities = plan.offers.abilities();
        self.set_faults(&Faults {
            rate_limit: now.rate_limit,
            token: now.token,
            adjust: abilities.adjust,
            idempotency: abilities.idempotency,
            compare_and_set: abilities.compare_and_set,
            ..Faults::default()
        })
        .await
    }
}

/// What the platform counted between `before` and `after`.
pub(super) fn stats_between(before: &Stats, after: Stats) -> Stats {
    let fault = |(name, count): (String, u64)| {
        let earlier = before.faults.get(&name).copied().unwrap_or(0);
        (count > earlier).then(|| (name, count - earlier))
    };
    Stats {
        calls: after.calls.saturating_sub(before.calls),
        items: after.items.saturating_sub(before.items),
        over_limit: after.over_limit.saturating_sub(before.over_limit),
        repeats: after.repeats.saturating_sub(before.repeats),
        faults: after.faults.into_iter().filter_map(fault).collect(),
    }
}
