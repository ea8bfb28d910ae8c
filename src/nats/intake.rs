//! Pulls messages for as long as the service runs. When it stops, it finishes those that it holds and puts back the others.
use super::connection::{Standing, connect, made, made_again};
use super::lanes::Lanes;
use super::message::{Desk, answer};
use super::settings::Settings;
use crate::domain::retry::RetryPolicy;
use crate::http::AppState;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, FromConsumer, PullConsumer};
use async_nats::jetstream::{self, AckKind, Context};
use async_nats::{Client, ConnectError};
use futures_util::{FutureExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A pull that has not brought what it asked for by then is followed by another.
const PULL_FOR: Duration = Duration::from_secs(5);
/// How long to wait after a failed pull.
const LONGEST_FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the last answers may take to leave.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Starts the intake, whether or not NATS can be reached. It ends after `stop` is canceled.
///
/// # Errors
/// If the credentials cannot be used.
pub async fn start(settings: Settings, state: Arc<AppState>, stop: CancellationToken) -> Result<JoinHandle<()>, ConnectError> {
    let (client, standing) = connect(&settings, &state.settings.node).await?;
    let jetstream = jetstream::new(client.clone());
    let desk = Arc::new(Desk { state, settings, client: client.clone() });
    let lanes = Lanes::to(Arc::clone(&desk));
    Ok(tokio::spawn(Intake { desk, client, jetstream, standing, lanes, stop, failures: 0 }.run()))
}

struct Intake {
    desk: Arc<Desk>,
    client: Client,
    jetstream: Context,
    standing: watch::Receiver<Standing>,
    lanes: Lanes,
    stop: CancellationToken,
    /// How many pulls have failed since the last that succeeded.
    failures: u32,
}

impl Intake {
    async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            if !stop.run_until_cancelled(made(&mut self.standing)).await.unwrap_or(false) {
                break;
            }
            let Err(error) = self.pull().await else { continue };
            self.failures = self.failures.saturating_add(1);
            if self.failures == 1 {
                let Settings { stream, consumer, .. } = &self.desk.settings;
                tracing::warn!(%error, stream, consumer, "no messages can be pulled from NATS; trying again until they can");
            }
            let policy = RetryPolicy { base: LONGEST_FIRST_PAUSE, cap: LONGEST_PAUSE, ..RetryPolicy::default() };
            let pause = policy.pause(self.failures, rand::random(), None);
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        self.finish().await;
    }

    /// Pulls until the service stops or the connection was made anew.
    async fn pull(&mut self) -> Result<(), async_nats::Error> {
        let mut standing = self.standing.clone();
        let times = standing.borrow_and_update().times;
        let stop = self.stop.clone();
        let Some(consumer) = stop.run_until_cancelled(self.consumer()).await.transpose()? else { return Ok(()) };
        loop {
            let Some(Some(mut places)) = stop.run_until_cancelled(self.lanes.free_places()).await else { return Ok(()) };
            let mut batch = consumer.batch().max_messages(places.num_permits()).expires(PULL_FOR).messages().await?;
            loop {
                let next = tokio::select! {
                    biased;
                    () = stop.cancelled() => None,
                    () = made_again(&mut standing, times) => None,
                    next = batch.next() => Some(next),
                };
                match next {
                    None => {
                        put_back(batch).await;
                        return Ok(());
                    }
                    Some(Some(message)) => self.lanes.add(message?, places.split(1)),
                    Some(None) => break,
                }
            }
            self.failures = 0;
        }
    }

    /// The consumer, as the settings want it. One that takes other subjects is somebody else's: it is left alone.
    async fn consumer(&self) -> Result<PullConsumer, async_nats::Error> {
        let Settings { stream, consumer: name, subjects, max_ack_pending, ack_wait, .. } = &self.desk.settings;
        let existing = self.jetstream.get_consumer_from_stream(name, stream).await.ok();
        let config =
            existing.as_ref().map(|consumer: &PullConsumer| Config::try_from_consumer_config(consumer.cached_info().config.clone()));
        let config = config.transpose()?.unwrap_or_default();
        if existing.is_some() && config.filter_subject != subjects.all_ways_in() {
            return Err("the consumer takes other subjects; delete it, or choose another name in nats_consumer".into());
        }
        let wanted = Config {
            durable_name: Some(name.clone()),
            filter_subject: subjects.all_ways_in(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: *ack_wait,
            max_ack_pending: *max_ack_pending,
            // Without end: otherwise a long outage of the database would lose messages.
            max_deliver: -1,
            backoff: Vec::new(),
            ..config.clone()
        };
        match existing {
            Some(consumer) if config == wanted => Ok(consumer),
            _ => Ok(self.jetstream.create_consumer_on_stream(wanted, stream).await?),
        }
    }

    /// Finishes what it holds, and sees to it that the answers leave.
    async fn finish(self) {
        self.lanes.finish().await;
        let is_up = self.standing.borrow().is_up;
        if is_up && !matches!(tokio::time::timeout(FLUSH_WITHIN, self.client.flush()).await, Ok(Ok(()))) {
            tracing::warn!("not all messages could be answered in time; NATS delivers them again, and their events are repeats");
        }
    }
}

/// Gives messages that have arrived already to whoever pulls next.
async fn put_back(mut batch: Batch) {
    while let Some(Some(Ok(message))) = batch.next().now_or_never() {
        answer(&message, AckKind::Nak(None)).await;
    }
}
