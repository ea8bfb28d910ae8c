//! What is read to explain a SKU: its past events, and what was sent to its listings. [`explain`](crate::domain::explain) makes
//! sense of it.
use super::connection::on;
use super::pushes::{CONFIRMED, PushRow, read_pushes};
use super::schema::{pushes, stock_events};
use super::{Error, Result, Tenant, id_of};
use crate::domain::explain::{PastEvent, Sent};
use crate::domain::ledger::{ComponentEvent, InCount};
use crate::domain::push::Push;
use crate::domain::stock::{EventKind, StockEvent};
use crate::domain::{EventId, ListingId, PushId, Sku, StoreId, Timestamp, WarehouseCode};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use std::collections::HashMap;

/// The confirmed pushes of a SKU that are looked at, newest first. What was sent before them is not explained.
const PUSHES_LOOKED_AT: i64 = 2000;

/// The sales of a SKU that are looked at, newest first.
const SALES_LOOKED_AT: i64 = 2000;

/// A place in the history of a SKU, which is listed backwards: the last event and the last push that were listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// When the event was recorded, and the id of its row.
    pub event: Option<(Timestamp, String)>,
    /// The push.
    pub push: Option<PushId>,
}

#[derive(Queryable)]
struct EventRow {
    event_id: String,
    kind: String,
    quantity: i64,
    warehouse: String,
    to_warehouse: Option<String>,
    occurred_at: Option<Timestamp>,
    note: Option<String>,
    accepted_at: Timestamp,
    in_count: Option<i16>,
    store_id: Option<Vec<u8>>,
}

impl EventRow {
    fn read(self, sku: &Sku) -> Result<PastEvent> {
        let corrupt = |column: &str| Error::Corrupt(format!("stock_events {}: {column}", self.event_id));
        let code = |text: &str| WarehouseCode::parse(text).map_err(Error::Corrupt);
        let of_bundle = ComponentEvent::event_of(&self.event_id);
        let event = StockEvent {
            event_id: EventId::parse(of_bundle.unwrap_or(&self.event_id)).map_err(|_| corrupt("event_id"))?,
            sku: sku.clone(),
            kind: EventKind::from_word(&self.kind).ok_or_else(|| corrupt("kind"))?,
            quantity: self.quantity,
            warehouse: code(&self.warehouse)?,
            to_warehouse: self.to_warehouse.as_deref().map(code).transpose()?,
            occurred_at: self.occurred_at,
            note: self.note,
        };
        let of_bundle = of_bundle.is_some();
        let store = self.store_id.as_deref().map(|id| id_of(id, StoreId::from_bytes, "stock_events.store_id")).transpose()?;
        Ok(PastEvent { event, accepted_at: self.accepted_at, in_count: InCount::from_bits(self.in_count), store, of_bundle })
    }
}

impl Tenant<'_> {
    /// The events of a SKU, newest first, starting below this one.
    pub fn past_events(&mut self, sku: &Sku, before: Option<&(Timestamp, String)>, limit: i64) -> Result<Vec<PastEvent>> {
        let scope = self.scope();
        let columns = (
            stock_events::event_id,
            stock_events::kind,
            stock_events::quantity,
            stock_events::warehouse,
            stock_events::to_warehouse,
            stock_events::occurred_at,
            stock_events::note,
            stock_events::accepted_at,
            stock_events::in_count,
            stock_events::store_id,
        );
        let rows: Vec<EventRow> = on!(self.conn, c => {
            let mut query = scope.stock_events().select(columns).filter(stock_events::sku.eq(sku.as_str()))
                .order((stock_events::accepted_at.desc(), stock_events::event_id.desc())).limit(limit).into_boxed();
            if let Some((at, id)) = before {
                let is_earlier = stock_events::accepted_at.lt(*at).or(stock_events::event_id.lt(id));
                query = query.filter(stock_events::accepted_at.le(*at)).filter(is_earlier);
            }
            query.load(c)?
        });
        rows.into_iter().map(|row| row.read(sku)).collect()
    }

    /// What the events of a SKU that were recorded after `at` did, summed by kind and warehouses.
    pub fn events_after(&mut self, sku: &Sku, at: Timestamp) -> Result<Vec<PastEvent>> {
        type Row = (String, String, Option<String>, Option<i16>, i64);
        let scope = self.scope();
        let by = (stock_events::kind, stock_events::warehouse, stock_events::to_warehouse, stock_events::in_count);
        let rows: Vec<Row> = on!(self.conn, c => scope.stock_events().filter(stock_events::sku.eq(sku.as_str())).filter(stock_events::accepted_at.gt(at))
            .group_by(by).select((stock_events::kind, stock_events::warehouse, stock_events::to_warehouse, stock_events::in_count,
                sql::<BigInt>("CAST(SUM(quantity) AS BIGINT)"))).load(c))?;
        let read = |(kind, warehouse, to_warehouse, in_count, quantity): Row| {
            let event_id = "sum".to_owned();
            let row = EventRow {
                event_id,
                kind,
                quantity,
                warehouse,
                to_warehouse,
                occurred_at: None,
                note: None,
                accepted_at: at,
                in_count,
                store_id: None,
            };
            row.read(sku)
        };
        rows.into_iter().map(read).collect()
    }

    /// The newest sales of a SKU that name the store that has made them: the store, when they were recorded, and how many units.
    pub fn named_sales(&mut self, sku: &Sku) -> Result<Vec<(StoreId, Timestamp, i64)>> {
        let scope = self.scope();
        let rows: Vec<(Option<Vec<u8>>, Timestamp, i64)> = on!(self.conn, c => scope.stock_events().filter(stock_events::sku.eq(sku.as_str()))
            .filter(stock_events::store_id.is_not_null()).filter(stock_events::kind.eq(EventKind::Sale.as_str())).order(stock_events::accepted_at.desc()).limit(SALES_LOOKED_AT)
            .select((stock_events::store_id, stock_events::accepted_at, stock_events::quantity)).load(c))?;
        let read = |(store, at, quantity): (Option<Vec<u8>>, Timestamp, i64)| {
            Ok((id_of(&store.unwrap_or_default(), StoreId::from_bytes, "stock_events.store_id")?, at, quantity))
        };
        rows.into_iter().map(read).collect()
    }

    /// What was sent to these listings of a SKU: the newest overwrite and the increases since.
    pub fn sent_to(&mut self, sku: &Sku, of: &[ListingId]) -> Result<HashMap<ListingId, Sent>> {
        let scope = self.scope();
        let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(pushes::sku.eq(sku.as_str()))
            // The plus keeps SQLite from using the index by state, in which it would scan all the seller's pushes in that state.
            .filter(sql::<Bool>(&format!("+state = {CONFIRMED}"))).order(pushes::id.desc()).limit(PUSHES_LOOKED_AT).load(c))?;
        let mut confirmed: HashMap<ListingId, Vec<Push>> = HashMap::new();
        for push in read_pushes(rows)? {
            confirmed.entry(push.listing_id()).or_default().push(push);
        }
        let mut found = HashMap::with_capacity(of.len());
        for listing in of {
            let mut own = confirmed.remove(listing).unwrap_or_default();
            own.extend(self.last_packed(*listing, sku.as_str(), Some(CONFIRMED))?);
            found.insert(*listing, Sent::of(own));
        }
        Ok(found)
    }
}
