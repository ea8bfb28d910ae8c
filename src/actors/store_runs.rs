//! When a store's actor starts its daily runs.
use super::store::{RunStarted, StoreActor};
use crate::db::Error;
use crate::domain::schedule::due_runs;
use crate::service::daily::{LastRun, start_due_runs};
use actix::prelude::*;
use std::time::Duration;

impl StoreActor {
    /// Starts the daily run that is due, and records those that were missed.
    pub(super) fn start_due_runs(&mut self, ctx: &mut Context<Self>) {
        if !self.config.settings.is_timed() || !self.config.store.sync_enabled || self.stop.is_cancelled() {
            return;
        }
        let (store, settings, now) = (self.config.store.id, self.config.settings.clone(), self.deps.clock.now());
        let db = self.db.clone();
        if now < self.looked_at && self.last_run != LastRun::Reading {
            self.last_run = LastRun::Unread;
        }
        self.looked_at = now;
        let last = match self.last_run {
            LastRun::Reading => return,
            LastRun::Unread => {
                self.last_run = LastRun::Reading;
                let read = async move { db.read(move |t| t.last_run_date(store, now)).await };
                ctx.spawn(read.into_actor(self).map(|read, act, ctx| match read {
                    Ok(date) => {
                        act.last_run = LastRun::Known(date);
                        act.start_due_runs(ctx);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not read the date of a store's last daily run; trying again");
                        act.last_run = LastRun::Unread;
                        ctx.run_later(Duration::from_secs(1), Self::start_due_runs);
                    }
                }));
                return;
            }
            LastRun::Known(last) => last,
        };
        let since = settings.timed_since.max(self.config.store.created_at);
        if since > now {
            let saved = async move { db.write(move |t| t.start_schedule_anew(now)).await };
            ctx.spawn(saved.into_actor(self).map(|saved, _, _| {
                if let Err(error) = saved {
                    tracing::warn!(%error, "could not start a schedule anew after the clock was set back; trying again");
                }
            }));
            return;
        }
        let due = due_runs(&settings, now, since, last);
        if due.is_empty() {
            return;
        }
        self.last_run = LastRun::Reading;
        let created_at = self.config.store.created_at;
        let started = async move { start_due_runs(&db, store, created_at, last, now).await };
        ctx.spawn(started.into_actor(self).map(move |started, act, ctx| match started {
            Ok(last) => {
                act.last_run = LastRun::Known(last);
                act.supervisor.try_send(RunStarted).ok();
            }
            Err(Error::Fenced) => {
                act.last_run = LastRun::Unread;
                act.deps.fenced();
            }
            Err(error) => {
                tracing::warn!(%error, "could not start a daily run; trying again");
                act.last_run = LastRun::Unread;
                ctx.run_later(Duration::from_secs(1), Self::start_due_runs);
            }
        }));
    }
}
