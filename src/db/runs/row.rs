//! A run as a row.
use crate::db::schema::sync_runs;
use crate::db::{Error, Result, id_of};
use crate::domain::run::{Run, RunFilter, RunKind, RunState};
use crate::domain::{RunId, Sku, StoreId, Timestamp};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

/// A run without the fields that only its expansion needs: its progress and its filter, which may name thousands of SKUs.
#[derive(Queryable, Selectable, Insertable, Debug)]
#[diesel(table_name = sync_runs, treat_none_as_default_value = false)]
pub(in crate::db) struct RunRow {
    seller_id: Vec<u8>,
    pub(super) id: Vec<u8>,
    kind: String,
    state: String,
    store_id: Option<Vec<u8>>,
    local_date: Option<String>,
    total: i64,
    done: i64,
    failed: i64,
    expanded: bool,
    reason: Option<String>,
    scheduled_for: Option<Timestamp>,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    weighed: bool,
    pub(super) question: Option<String>,
    pub(super) answer_by: Option<Timestamp>,
    undoes: Option<Vec<u8>>,
    undone_by: Option<Vec<u8>>,
}

impl RunRow {
    pub(in crate::db) fn new(seller_id: Vec<u8>, run: &Run) -> Result<Self> {
        let question = run.question.as_ref().map(serde_json::to_string).transpose().map_err(|error| Error::Corrupt(error.to_string()))?;
        let answer_by = run.question.as_ref().filter(|_| run.state == RunState::WaitingForAnswer).map(|question| question.answer_by);
        Ok(Self {
            seller_id,
            id: run.id.bytes(),
            // Such a run is recognized by what it undoes; see the migration.
            kind: (if run.kind == RunKind::Undo { RunKind::Manual } else { run.kind }).as_str().to_owned(),
            state: word_of(run.state).to_owned(),
            store_id: run.store_id.map(|id| id.bytes()),
            local_date: run.local_date.clone(),
            total: run.total,
            done: run.done,
            failed: run.failed,
            expanded: run.expanded,
            reason: run.reason.clone(),
            scheduled_for: run.scheduled_for,
            started_at: run.started_at,
            finished_at: run.finished_at,
            weighed: run.weighed,
            question,
            answer_by,
            undoes: run.undoes.map(|id| id.bytes()),
            undone_by: run.undone_by.map(|id| id.bytes()),
        })
    }

    pub(in crate::db) fn run(self) -> Result<Run> {
        let id = id_of(&self.id, RunId::from_bytes, "sync_runs.id")?;
        let corrupt = |column: &str| Error::Corrupt(format!("sync_runs {id}: {column}"));
        let unknown = |column: &str, word: &str| Error::Corrupt(format!("sync_runs {id}: {column} {word} is unknown"));
        Ok(Run {
            id,
            kind: match self.undoes {
                Some(_) => RunKind::Undo,
                None => RunKind::ALL.into_iter().find(|kind| kind.as_str() == self.kind).ok_or_else(|| unknown("kind", &self.kind))?,
            },
            state: match self.answer_by {
                Some(_) if self.finished_at.is_none() => RunState::WaitingForAnswer,
                _ => RunState::ALL.into_iter().find(|state| state.as_str() == self.state).ok_or_else(|| unknown("state", &self.state))?,
            },
            store_id: self.store_id.map(|b| id_of(&b, StoreId::from_bytes, "sync_runs.store_id")).transpose()?,
            local_date: self.local_date,
            total: self.total,
            done: self.done,
            failed: self.failed,
            expanded: self.expanded,
            weighed: self.weighed,
            question: self.question.as_deref().map(serde_json::from_str).transpose().map_err(|_| corrupt("question"))?,
            reason: self.reason,
            scheduled_for: self.scheduled_for,
            started_at: self.started_at,
            finished_at: self.finished_at,
            undoes: self.undoes.map(|b| id_of(&b, RunId::from_bytes, "sync_runs.undoes")).transpose()?,
            undone_by: self.undone_by.map(|b| id_of(&b, RunId::from_bytes, "sync_runs.undone_by")).transpose()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct FilterJson {
    store_ids: Option<Vec<StoreId>>,
    skus: Option<Vec<String>>,
}

/// The word of a state in its row: a run that waits for an answer is recognized by `answer_by`; see the migration.
pub(in crate::db) fn word_of(state: RunState) -> &'static str {
    if state == RunState::WaitingForAnswer { RunState::Running.as_str() } else { state.as_str() }
}

pub(in crate::db) fn filter_to_json(filter: &RunFilter) -> Result<String> {
    let skus = filter.skus.as_ref().map(|skus| skus.iter().map(ToString::to_string).collect());
    serde_json::to_string(&FilterJson { store_ids: filter.store_ids.clone(), skus }).map_err(|e| Error::Corrupt(e.to_string()))
}

pub(in crate::db) fn filter_from_json(text: &str) -> Result<RunFilter> {
    let corrupt = || Error::Corrupt("sync_runs.filter".to_owned());
    let json: FilterJson = serde_json::from_str(text).map_err(|_| corrupt())?;
    let skus = json.skus.map(|skus| skus.iter().map(|sku| Sku::parse(sku).map_err(|_| corrupt())).collect());
    Ok(RunFilter { store_ids: json.store_ids, skus: skus.transpose()? })
}
