//! Pulls messages for as long as the service runs. When it stops, it finishes those that it holds and puts back the others.
use super::connection::{Standing, connect, lost, made};
use super::lanes::Lanes;
use super::message::{Desk, answer};
use super::settings::Settings;
use super::stall::{Seen, Stall};
use crate::domain::retry::RetryPolicy;
use crate::http::AppState;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, FromConsumer, PullConsumer};
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::{self, AckKind, Context, ErrorCode};
use async_nats::{Client, ConnectError};
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A pull that has not brought what it asked for by then is followed by another.
const PULL_FOR: Duration = Duration::from_secs(5);
/// How long to wait after a failed pull.
const LONGEST_FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long anything may take to leave for NATS: a pull that is asked for, what is put back, the last answers.
const SENT_WITHIN: Duration = Duration::from_secs(5);
/// How long a message may be on its way from NATS.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// Starts the intake, whether or not NATS can be reached. It ends after `stop` is canceled.
///
/// # Errors
/// If the credentials cannot be used.
pub async fn start(settings: Settings, state: Arc<AppState>, stop: CancellationToken) -> Result<JoinHandle<()>, ConnectError> {
    let (client, standing) = connect(&settings, &state.settings.node).await?;
    let jetstream = jetstream::new(client.clone());
    let desk = Arc::new(Desk { state, settings, client: client.clone() });
    let lanes = Lanes::to(Arc::clone(&desk));
    Ok(tokio::spawn(Intake { desk, client, jetstream, standing, lanes, stop, failures: 0, stall: Stall::default() }.run()))
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
    stall: Stall,
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

    /// Pulls until the service stops or the connection is lost.
    async fn pull(&mut self) -> Result<(), async_nats::Error> {
        let times = self.standing.borrow().times;
        let (stop, lost) = (self.stop.clone(), lost(self.standing.clone(), times));
        let over = async {
            tokio::select! {
                () = stop.cancelled() => (),
                () = lost => (),
            }
        };
        tokio::pin!(over);
        let consumer = tokio::select! {
            biased;
            () = &mut over => return Ok(()),
            consumer = self.consumer() => consumer?,
        };
        loop {
            let places = tokio::select! {
                biased;
                () = &mut over => return Ok(()),
                places = self.lanes.free_places() => places,
            };
            let Some(mut places) = places else { return Ok(()) };
            let batch = consumer.batch().max_messages(places.num_permits()).expires(PULL_FOR).messages();
            // Not given up at once: what comes for it would be out of reach, and delivered again only after `ack_wait`.
            let mut batch = tokio::time::timeout(SENT_WITHIN, batch).await??;
            let mut is_empty = true;
            loop {
                let next = tokio::select! {
                    biased;
                    () = &mut over => None,
                    next = batch.next() => Some(next),
                };
                match next {
                    None => {
                        // Without a connection, the answers leave with the next one, and only so many can wait for it.
                        tokio::time::timeout(SENT_WITHIN, put_back(batch)).await.ok();
                        return Ok(());
                    }
                    // After an error or its end, a batch shows nothing more. If messages have arrived behind that, they are out of
                    // reach, and delivered again after `ack_wait`. Those before it are in their lanes.
                    Some(Some(message)) => {
                        self.lanes.add(message?, places.split(1));
                        is_empty = false;
                    }
                    Some(None) => break,
                }
            }
            self.failures = 0;
            if is_empty {
                self.look_for_a_stall(&consumer).await;
            } else {
                self.stall.end();
            }
        }
    }

    /// After a pull that has brought nothing. Why NATS does not deliver cannot be seen from here, so a person has to act. To make the
    /// consumer anew would often help, too, but brings back messages of long ago where the stream keeps those that were answered.
    async fn look_for_a_stall(&mut self, consumer: &PullConsumer) {
        let Ok(Ok(info)) = tokio::time::timeout(SENT_WITHIN, consumer.get_info()).await else { return };
        if self.stall.begins(Seen::from(&info), Instant::now()) {
            let (waiting, Settings { stream, consumer, .. }) = (info.num_pending, &self.desk.settings);
            tracing::warn!(stream, consumer, waiting, "NATS has messages for this consumer and delivers none; restart the NATS server");
        }
    }

    /// The consumer, as the settings want it.
    async fn consumer(&self) -> Result<PullConsumer, async_nats::Error> {
        let Settings { stream, consumer: name, .. } = &self.desk.settings;
        let existing: Option<PullConsumer> = match self.jetstream.get_consumer_from_stream(name, stream).await {
            Ok(consumer) => Some(consumer),
            Err(error) if is_missing(&error.kind()) => None,
            Err(error) => return Err(error.into()),
        };
        let config = |consumer: &PullConsumer| Config::try_from_consumer_config(consumer.cached_info().config.clone());
        let config = existing.as_ref().map(config).transpose()?;
        let wanted = wanted(&self.desk.settings, config.as_ref())?;
        match existing {
            Some(consumer) if config.as_ref() == Some(&wanted) => Ok(consumer),
            _ => Ok(self.jetstream.create_consumer_on_stream(wanted, stream).await?),
        }
    }

    /// Finishes what it holds, and sees to it that the answers leave.
    async fn finish(self) {
        self.lanes.finish().await;
        let is_up = self.standing.borrow().is_up;
        if is_up && !matches!(tokio::time::timeout(SENT_WITHIN, self.client.flush()).await, Ok(Ok(()))) {
            tracing::warn!("not all messages could be answered in time; NATS delivers them again, and their events are repeats");
        }
    }
}

/// Whether there is no such consumer. After any other error there may be one, which must not be overwritten.
fn is_missing(error: &ConsumerErrorKind) -> bool {
    matches!(error, ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
}

/// How the consumer has to be. One that was made for something else is left alone.
fn wanted(settings: &Settings, existing: Option<&Config>) -> Result<Config, &'static str> {
    let Settings { consumer, subjects, max_ack_pending, ack_wait, .. } = settings;
    let wanted = Config {
        durable_name: Some(consumer.clone()),
        filter_subject: subjects.all_ways_in(),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: *ack_wait,
        max_ack_pending: *max_ack_pending,
        // Without end: otherwise a long outage of the database would lose messages.
        max_deliver: -1,
        ..Config::default()
    };
    let Some(existing) = existing else { return Ok(wanted) };
    if existing.filter_subject != wanted.filter_subject {
        return Err("the consumer takes other subjects; delete it, or choose another name in nats_consumer");
    }
    if existing.deliver_policy != wanted.deliver_policy {
        return Err("the consumer does not deliver all messages of the stream; delete it, or choose another name in nats_consumer");
    }
    if existing.ack_policy != wanted.ack_policy {
        return Err("the consumer does not want each message acknowledged; delete it, or choose another name in nats_consumer");
    }
    let Config { name, description, num_replicas, max_waiting, .. } = existing.clone();
    // The operator's choice, or what NATS does not let anybody change.
    Ok(Config { name, description, num_replicas, max_waiting, ..wanted })
}

/// Gives messages that have arrived, or are on their way, to whoever pulls next. One that comes even later is delivered again after
/// `ack_wait`.
async fn put_back(mut batch: Batch) {
    while let Ok(Some(Ok(message))) = tokio::time::timeout(ON_ITS_WAY, batch.next()).await {
        answer(&message, AckKind::Nak(None)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::settings;
    use super::*;

    #[test]
    fn a_consumer_keeps_what_its_operator_chose_and_nothing_that_loses_messages() {
        let settings = settings("nats://a");
        let fresh = wanted(&settings, None).unwrap();
        assert_eq!((fresh.max_deliver, fresh.ack_policy, fresh.deliver_policy), (-1, AckPolicy::Explicit, DeliverPolicy::All));
        let kept = Config { description: Some("of the shop".to_owned()), num_replicas: 3, max_waiting: 7, ..fresh.clone() };
        let spoiled = Config {
            max_deliver: 1,
            headers_only: true,
            max_batch: 1,
            rate_limit: 1,
            inactive_threshold: Duration::from_secs(1),
            backoff: vec![Duration::from_secs(1)],
            ..kept.clone()
        };
        assert_eq!(wanted(&settings, Some(&spoiled)), Ok(kept));
    }

    #[test]
    fn a_consumer_for_something_else_is_left_alone() {
        let settings = settings("nats://a");
        let fresh = wanted(&settings, None).unwrap();
        for (other, reason) in [
            (Config { filter_subject: ">".to_owned(), ..fresh.clone() }, "other subjects"),
            (Config { deliver_policy: DeliverPolicy::New, ..fresh.clone() }, "deliver all"),
            (Config { ack_policy: AckPolicy::All, ..fresh }, "acknowledged"),
        ] {
            assert!(wanted(&settings, Some(&other)).unwrap_err().contains(reason), "{reason}");
        }
    }
}
