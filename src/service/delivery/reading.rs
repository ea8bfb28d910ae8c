//! What a claim reads of its store before it sends.
use super::claim::Claim;
use super::items::read_item;
use super::proof::Proof;
use crate::domain::claim::{CheckReading, pages_beside};
use crate::domain::delivery::{ItemResult, Outcome};
use crate::domain::push::{Addressee, Push};
use crate::domain::{ListingId, PushId};
use crate::platforms::call::{Action, Call, CallItem};
use crate::platforms::client::Sent;
use std::collections::HashMap;

impl Claim {
    /// Reads the listings of pushes that are claimed next, and waits for most of the time that the limits demand. `None` if it was
    /// stopped.
    pub(super) async fn read_to_send(&mut self, page: &[Push]) -> Option<(Sent, Vec<PushId>)> {
        let (sent, ids) = self.read(page).await?;
        let reserved = ids.iter().zip(&sent.reserved);
        self.reserved = reserved.filter_map(|(id, units)| Some((*id, (*units)?))).collect();
        // Only what was read is sent next; a refusal is saved at once.
        if matches!(sent.outcome, Outcome::Answered(_)) && !self.until_permit_is_near().await {
            return None;
        }
        self.claimed = Proof::now(&self.outbound.clock);
        Some((sent, ids))
    }

    /// What listings show that are read beside those of overwrites; nothing of them if that fails. `None` if it was stopped.
    pub(super) async fn read_beside(&mut self, beside: Vec<Addressee>) -> Option<HashMap<ListingId, ItemResult>> {
        let mut reading = CheckReading::of(pages_beside(beside, &self.terms));
        while let Some(page) = reading.next_page() {
            let sent = self.read_listings(&page).await?;
            reading.answered(page, sent.outcome, sent.answered);
        }
        let (read, outcome, _) = reading.end();
        let results = if let Outcome::Answered(results) = outcome { results } else { Vec::new() };
        Some(read.into_iter().zip(results).collect())
    }

    /// Reads the listings of these pushes. `None` if it was stopped.
    pub(super) async fn read(&mut self, page: &[Push]) -> Option<(Sent, Vec<PushId>)> {
        let items = page.iter().map(|push| read_item(push.external_id(), push.extra())).collect();
        Some((self.read_items(items).await?, page.iter().map(Push::id).collect()))
    }

    /// Reads these listings. `None` if it was stopped.
    pub(super) async fn read_listings(&mut self, page: &[Addressee]) -> Option<Sent> {
        self.read_items(page.iter().map(|to| read_item(&to.external_id, to.extra.as_deref())).collect()).await
    }

    async fn read_items(&mut self, items: Vec<CallItem>) -> Option<Sent> {
        let call = Call { action: Action::Read, items, idempotency_key: None };
        let permit = self.permit(&call).await?;
        Some(self.exchange(&call, permit).await)
    }
}
