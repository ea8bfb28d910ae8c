//! Sellers who undo and cancel runs.
use super::{Verdict, World, fail};
use serde_json::Value;

impl World {
    pub(super) async fn undo(&mut self, seller: usize, back: usize) -> Verdict {
        let listed = self.expect(seller, "GET", "/v1/syncs?limit=30", None).await?;
        let may_be = |run: &&Value| run["kind"] != "undo" && !run["finished_at"].is_null() && run["done"] != 0;
        let runs: Vec<&Value> = listed["items"].as_array().unwrap().iter().filter(may_be).collect();
        let Some(run) = runs.get(back.min(runs.len().saturating_sub(1))) else { return Ok(()) };
        let path = format!("/v1/syncs/{}/undo", run["id"].as_str().unwrap());
        let (status, answer) = self.as_seller(seller, "POST", &path, None).await;
        match status {
            202 => self.count("undo"),
            // It was undone before, perhaps by a request whose answer was lost.
            409 => {}
            _ => return fail("request refused", format!("{status} {answer}")),
        }
        Ok(())
    }

    pub(super) async fn cancel_run(&mut self, seller: usize) -> Verdict {
        let listed = self.expect(seller, "GET", "/v1/syncs?limit=30", None).await?;
        let Some(run) = listed["items"].as_array().unwrap().iter().find(|run| run["finished_at"].is_null()) else { return Ok(()) };
        let path = format!("/v1/syncs/{}/cancel", run["id"].as_str().unwrap());
        let (status, answer) = self.as_seller(seller, "POST", &path, None).await;
        match status {
            200 => self.count("run canceled"),
            // It has ended meanwhile.
            409 => {}
            _ => return fail("request refused", format!("{status} {answer}")),
        }
        Ok(())
    }
}
