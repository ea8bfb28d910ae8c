//! What a seller has paused, by whom and why; the seller's frozen windows; and what follows from both for the rows of its stores.
use super::connection::on;
use super::literal::{Literal, is};
use super::platform_pauses::{PlatformPause, is_platform_paused, platform_pauses};
use super::schema::{frozen_windows, pauses, stores};
use super::stores::Store;
use super::{Changed, Error, Result, Tenant, id_of};
use crate::domain::frozen::{self, FrozenWindow, LOCAL, parse_local};
use crate::domain::limits::MAX_STORES;
use crate::domain::pause::Above;
use crate::domain::{FrozenWindowId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::Bool;

/// The level of paused SKUs in the table.
pub(super) const SKU_LEVEL: i16 = 3;

/// Pushes of which the SKU is not paused.
pub(super) fn is_of_running_sku() -> Literal<Bool> {
    is("NOT EXISTS (SELECT 1 FROM pauses WHERE pauses.seller_id = pushes.seller_id AND pauses.level = 3 AND pauses.subject = pushes.sku)")
}

/// Pushes of which the SKU is paused.
pub(super) fn is_of_paused_sku() -> Literal<Bool> {
    is("EXISTS (SELECT 1 FROM pauses WHERE pauses.seller_id = pushes.seller_id AND pauses.level = 3 AND pauses.subject = pushes.sku)")
}

/// What a seller can pause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// All stores.
    Everything,
    /// One store.
    Store(StoreId),
    /// One SKU.
    Sku(String),
}

impl Subject {
    fn columns(&self) -> (i16, String) {
        match self {
            Self::Everything => (1, String::new()),
            Self::Store(id) => (2, id.to_string()),
            Self::Sku(sku) => (SKU_LEVEL, sku.clone()),
        }
    }

    fn read(level: i16, subject: String) -> Result<Self> {
        match (level, subject.parse()) {
            (1, _) => Ok(Self::Everything),
            (2, Ok(id)) => Ok(Self::Store(id)),
            (SKU_LEVEL, _) => Ok(Self::Sku(subject)),
            _ => Err(Error::Corrupt("pauses".to_owned())),
        }
    }
}

/// A pause, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// What is paused.
    pub subject: Subject,
    /// Since when.
    pub since: Timestamp,
    /// By whom.
    pub by: String,
    /// Why, in the words of whoever did it.
    pub reason: Option<String>,
}

type Row = (i16, String, Timestamp, String, Option<String>);

fn paused((level, subject, since, by, reason): Row) -> Result<Paused> {
    Ok(Paused { subject: Subject::read(level, subject)?, since, by, reason })
}

macro_rules! pause_columns {
    () => {
        (pauses::level, pauses::subject, pauses::paused_at, pauses::paused_by, pauses::reason)
    };
}

impl Tenant<'_> {
    /// What the seller has paused: everything, then stores, then SKUs.
    pub fn pauses(&mut self) -> Result<Vec<Paused>> {
        let scope = self.scope();
        let rows: Vec<Row> = on!(self.conn, c => scope.pauses().select(pause_columns!()).order((pauses::level, pauses::subject)).load(c))?;
        rows.into_iter().map(paused).collect()
    }

    /// The platforms that the operator has paused.
    pub fn platform_pauses(&mut self) -> Result<Vec<PlatformPause>> {
        platform_pauses(self.conn)
    }

    /// The pause of this subject, if it is paused.
    pub fn pause_of(&mut self, subject: &Subject) -> Result<Option<Paused>> {
        let (scope, (level, subject)) = (self.scope(), subject.columns());
        let row: Option<Row> = on!(self.conn, c => scope.pauses().select(pause_columns!())
            .filter(pauses::level.eq(level)).filter(pauses::subject.eq(&subject)).get_result(c).optional())?;
        row.map(paused).transpose()
    }

    /// How many SKUs are paused.
    pub fn paused_sku_count(&mut self) -> Result<i64> {
        let scope = self.scope();
        Ok(on!(self.conn, c => scope.pauses().filter(pauses::level.eq(SKU_LEVEL)).count().get_result(c))?)
    }

    /// Records a pause, and pauses the rows of the stores that it concerns, except for a single store.
    pub fn add_pause(&mut self, new: &Paused) -> Result<()> {
        let (level, subject) = new.subject.columns();
        let key = self.key();
        on!(self.conn, c => diesel::insert_into(pauses::table).values((
            pauses::seller_id.eq(&key), pauses::level.eq(level), pauses::subject.eq(&subject), pauses::paused_at.eq(new.since),
            pauses::paused_by.eq(&new.by), pauses::reason.eq(&new.reason),
        )).on_conflict((pauses::seller_id, pauses::level, pauses::subject)).do_nothing().execute(c))?;
        self.note(Changed::Configuration);
        if new.subject == Subject::Everything {
            let scope = self.scope();
            on!(self.conn, c => diesel::update(scope.stores()).set(stores::seller_paused.eq(true)).execute(c))?;
        }
        Ok(())
    }

    /// Ends a pause. What was held because of it is looked at at once.
    pub fn end_pause(&mut self, subject: &Subject, now: Timestamp) -> Result<()> {
        let (scope, (level, name)) = (self.scope(), subject.columns());
        on!(self.conn, c => diesel::delete(scope.pauses().filter(pauses::level.eq(level)).filter(pauses::subject.eq(&name))).execute(c))?;
        self.note(Changed::Configuration);
        match subject {
            Subject::Everything => {
                let resumed = (stores::seller_paused.eq(false), stores::resumes_at.eq(now));
                on!(self.conn, c => diesel::update(scope.stores()).set(resumed).execute(c))?;
            }
            Subject::Sku(_) => {
                on!(self.conn, c => diesel::update(scope.stores()).set(stores::resumes_at.eq(now)).execute(c))?;
            }
            Subject::Store(_) => {}
        }
        Ok(())
    }

    /// The pauses from above a store that is being added.
    pub fn above(&mut self, store: &Store) -> Result<Above> {
        let seller = self.pause_of(&Subject::Everything)?.is_some();
        let (zone, windows) = (self.sync_settings()?.timezone, self.frozen_windows()?);
        let platform = is_platform_paused(self.conn, &store.platform)?;
        Ok(Above { seller, platform, frozen: frozen::of_store(&windows, store.id, zone) })
    }

    /// The seller's frozen windows, in the order in which they begin.
    pub fn frozen_windows(&mut self) -> Result<Vec<FrozenWindow>> {
        type Row = (Vec<u8>, String, String, String, Option<String>, Timestamp, String);
        let scope = self.scope();
        let columns = (
            frozen_windows::id,
            frozen_windows::name,
            frozen_windows::from_local,
            frozen_windows::to_local,
            frozen_windows::store_ids,
            frozen_windows::created_at,
            frozen_windows::created_by,
        );
        let rows: Vec<Row> = on!(self.conn, c => scope.frozen_windows().select(columns)
            .order((frozen_windows::from_local, frozen_windows::id)).load(c))?;
        let corrupt = |column: &str| Error::Corrupt(format!("frozen_windows.{column}"));
        let read = |(id, name, from, to, store_ids, created_at, created_by): Row| {
            let store_ids = store_ids.as_deref().map(serde_json::from_str).transpose().map_err(|_| corrupt("store_ids"))?;
            let (from, to) = (parse_local(&from).map_err(|_| corrupt("from_local"))?, parse_local(&to).map_err(|_| corrupt("to_local"))?);
            let id = id_of(&id, FrozenWindowId::from_bytes, "frozen_windows.id")?;
            Ok(FrozenWindow { id, name, from, to, store_ids, created_at, created_by })
        };
        rows.into_iter().map(read).collect()
    }

    /// Adds a frozen window; [`Self::freeze`] makes it hold.
    pub fn add_frozen_window(&mut self, new: &FrozenWindow) -> Result<()> {
        let key = self.key();
        let store_ids = new.store_ids.as_ref().map(serde_json::to_string).transpose().map_err(|error| Error::Corrupt(error.to_string()))?;
        on!(self.conn, c => diesel::insert_into(frozen_windows::table).values((
            frozen_windows::seller_id.eq(&key), frozen_windows::id.eq(new.id.bytes()), frozen_windows::name.eq(&new.name),
            frozen_windows::from_local.eq(new.from.format(LOCAL).to_string()), frozen_windows::to_local.eq(new.to.format(LOCAL).to_string()),
            frozen_windows::store_ids.eq(&store_ids), frozen_windows::created_at.eq(new.created_at), frozen_windows::created_by.eq(&new.created_by),
        )).execute(c))?;
        Ok(())
    }

    /// Deletes a frozen window; [`Self::freeze`] ends it.
    pub fn delete_frozen_window(&mut self, id: FrozenWindowId) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::delete(scope.frozen_windows().filter(frozen_windows::id.eq(id.bytes()))).execute(c))?;
        Ok(())
    }

    /// Computes from the windows and the time zone when each store is frozen.
    pub fn freeze(&mut self, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let (zone, windows) = (self.sync_settings()?.timezone, self.frozen_windows()?);
        self.note(Changed::Configuration);
        for store in self.stores(None, MAX_STORES)? {
            let frozen = frozen::of_store(&windows, store.id, zone);
            if frozen != store.above.frozen {
                on!(self.conn, c => diesel::update(scope.stores().filter(stores::id.eq(store.id.bytes())))
                    .set((stores::frozen.eq(frozen.text()), stores::resumes_at.eq(now))).execute(c))?;
            }
        }
        Ok(())
    }
}
