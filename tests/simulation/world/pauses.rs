//! Pauses beside those of single stores, and frozen windows.
use super::{OPERATOR_KEY, Verdict, World, fail};
use crate::story::{Paused, SKUS};
use actix_web::test::TestRequest;
use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};

impl World {
    pub(super) async fn pause(&mut self, seller: usize, what: Paused, on: bool) -> Verdict {
        match (what, on) {
            (Paused::Platform, _) => {
                let request = move || {
                    let path = "/admin/platforms/simulated/pause";
                    let request = if on { TestRequest::put() } else { TestRequest::delete() };
                    request.uri(path).insert_header(("authorization", format!("Bearer {OPERATOR_KEY}")))
                };
                let (status, answer) = self.ask(request).await;
                if !(200..300).contains(&status) {
                    return fail("request refused", format!("{status} {answer}"));
                }
            }
            (Paused::Everything, true) => drop(self.expect(seller, "POST", "/v1/pause", None).await?),
            (Paused::Everything, false) => drop(self.expect(seller, "POST", "/v1/resume", None).await?),
            (Paused::Sku(sku), _) => {
                let method = if on { "PUT" } else { "DELETE" };
                self.expect(seller, method, &format!("/v1/skus/{}/pause", SKUS[sku]), None).await?;
            }
        }
        if on {
            self.count(match what {
                Paused::Platform => "pause of a platform",
                Paused::Everything => "pause of everything",
                Paused::Sku(_) => "pause of a SKU",
            });
        }
        Ok(())
    }

    pub(super) async fn go_live(&mut self, seller: usize, store: usize, overwrite: bool) -> Verdict {
        let (id, _) = self.shop(seller, store);
        let body = json!({ "overwrite": overwrite });
        match self.as_seller(seller, "POST", &format!("/v1/stores/{id}/go-live"), Some(body)).await {
            (200, _) => self.count(if overwrite { "rehearsal ended by an overwrite" } else { "rehearsal ended" }),
            // It is over already, or a frozen window forbids the overwrite.
            (409, _) => {}
            (status, answer) => return fail("request refused", format!("{status} {answer}")),
        }
        Ok(())
    }

    pub(super) async fn freeze(&mut self, seller: usize, store: Option<usize>, from_min: i64, for_min: i64) -> Verdict {
        let settings = self.expect(seller, "GET", "/v1/sync-settings", None).await?;
        let zone: chrono_tz::Tz = settings["timezone"].as_str().unwrap().parse().unwrap();
        let local = |at: DateTime<chrono::Utc>| at.with_timezone(&zone).format("%Y-%m-%dT%H:%M").to_string();
        let from = self.now() + TimeDelta::minutes(from_min);
        let body = json!({
            "name": "frozen", "from": local(from), "to": local(from + TimeDelta::minutes(for_min)),
            "store_ids": store.map(|store| vec![self.shop(seller, store).0]),
        });
        let (status, answer) = self.as_seller(seller, "POST", "/v1/frozen-windows", Some(body)).await;
        match status {
            201 => self.count("frozen window"),
            // It is over already, or has no time at all where an hour is repeated or skipped; or there are too many.
            409 | 422 => {}
            _ => return fail("request refused", format!("{status} {answer}")),
        }
        Ok(())
    }

    /// Deletes all windows of a seller.
    pub(super) async fn thaw(&mut self, seller: usize) -> Verdict {
        let windows = self.expect(seller, "GET", "/v1/frozen-windows", None).await?;
        for window in windows["items"].as_array().unwrap() {
            let (status, answer) =
                self.as_seller(seller, "DELETE", &format!("/v1/frozen-windows/{}", window["id"].as_str().unwrap()), None::<Value>).await;
            // 404 if it was already deleted by a request whose answer was lost.
            if !matches!(status, 204 | 404) {
                return fail("request refused", format!("{status} {answer}"));
            }
        }
        Ok(())
    }

    /// Ends everything of this kind.
    pub(super) async fn end_pauses(&mut self, seller: usize) -> Verdict {
        self.pause(seller, Paused::Platform, false).await?;
        self.pause(seller, Paused::Everything, false).await?;
        for sku in 0..SKUS.len() {
            self.pause(seller, Paused::Sku(sku), false).await?;
        }
        self.thaw(seller).await
    }
}
