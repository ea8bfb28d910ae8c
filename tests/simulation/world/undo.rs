//! Sellers who let runs go ahead, undo and cancel them.
use super::{Verdict, World, fail};
use serde_json::{Value, json};

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

    /// Lets every run go ahead that asks before it sets so many listings to 0.
    pub(super) async fn answer_runs(&mut self) -> Verdict {
        for seller in 0..self.sellers.len() {
            let listed = self.expect(seller, "GET", "/v1/syncs?limit=30", None).await?;
            for run in listed["items"].as_array().unwrap().iter().filter(|run| run["state"] == "waiting_for_answer") {
                let path = format!("/v1/syncs/{}/answer", run["id"].as_str().unwrap());
                self.expect(seller, "POST", &path, Some(json!({ "go": true }))).await?;
                self.count("run let go ahead");
            }
        }
        Ok(())
    }
}
