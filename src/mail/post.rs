//! What it takes to send mails: who sends them, and by which server.
use crate::domain::letter::Letter;
use crate::domain::mail::Posted;
use crate::domain::per_minute::PerMinute;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Sends letters.
pub trait Mailer: Send + Sync {
    /// Sends a letter and says what is known of it.
    fn send(&self, letter: Letter) -> BoxFuture<'static, Posted>;
}

/// What it takes to send mails.
#[derive(Clone)]
pub struct Post {
    /// Sends them.
    pub mailer: Arc<dyn Mailer>,
    /// Where browsers reach this service, for links.
    pub public_url: String,
    limit: Arc<Mutex<PerMinute>>,
    since: Instant,
}

impl Post {
    /// Sends at most `per_minute` mails in any minute.
    pub fn new(mailer: Arc<dyn Mailer>, public_url: String, per_minute: usize) -> Self {
        Self { mailer, public_url, limit: Arc::new(Mutex::new(PerMinute::new(per_minute))), since: Instant::now() }
    }

    /// Whether another mail may be sent now.
    pub fn is_free(&self) -> bool {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).is_free(self.since.elapsed())
    }

    /// Counts a mail that is sent now.
    pub fn note(&self) {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).note(self.since.elapsed());
    }
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte.
    Tls,
    /// After a word in plain text; a server that does not offer it gets no mail.
    StartTls,
    /// Not at all.
    None,
}

impl Encryption {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Tls, Self::StartTls, Self::None];

    /// The word in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "starttls",
            Self::None => "none",
        }
    }

    /// The port that is usual with it.
    pub fn port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// The operator's mail server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub encryption: Encryption,
    /// Whom to sign in as, if at all.
    pub user: Option<(String, SecretString)>,
    /// Whom mails are from: an address, or a name with an address in angle brackets.
    pub sender: String,
    /// Where browsers reach this service, for links.
    pub public_url: String,
    /// How many mails it is given in any minute at most.
    pub per_minute: usize,
}
