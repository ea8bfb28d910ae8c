//! The operator's mail server, in virtual time.
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stocktide::domain::letter::Letter;
use stocktide::domain::mail::Posted;
use stocktide::mail::{Mailer, Post};

const PUBLIC_URL: &str = "https://stock.example.com";

#[derive(Debug, Default)]
struct State {
    letters: Vec<Letter>,
    is_down: bool,
    refuses: Option<String>,
    never_answers: bool,
    attempts: usize,
    under_way: usize,
    most_at_once: usize,
}

/// How long a letter takes.
const TAKES: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default)]
pub struct Postbox(Arc<Mutex<State>>);

impl Postbox {
    pub fn post(&self) -> Post {
        self.post_at_most(usize::MAX)
    }

    /// It is given so many letters in any minute at most.
    pub fn post_at_most(&self, per_minute: usize) -> Post {
        Post::new(Arc::new(self.clone()), PUBLIC_URL.to_owned(), per_minute)
    }

    pub fn is_down(&self, down: bool) {
        self.0.lock().unwrap().is_down = down;
    }

    /// Refuses this recipient for good.
    pub fn refuses(&self, address: &str) {
        self.0.lock().unwrap().refuses = Some(address.to_owned());
    }

    /// Takes letters and does not say so.
    pub fn never_answers(&self, never: bool) {
        self.0.lock().unwrap().never_answers = never;
    }

    /// How often a letter was to be sent, and how many at once at most.
    pub fn attempts(&self) -> (usize, usize) {
        let state = self.0.lock().unwrap();
        (state.attempts, state.most_at_once)
    }

    /// Everything that it took, oldest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.0.lock().unwrap().letters.clone()
    }

    /// The same without what asks to confirm an address.
    pub fn news(&self) -> Vec<Letter> {
        self.letters().into_iter().filter(|letter| !letter.subject.contains("confirm")).collect()
    }
}

impl Mailer for Postbox {
    fn send(&self, letter: Letter) -> BoxFuture<'static, Posted> {
        let mut state = self.0.lock().unwrap();
        state.attempts += 1;
        state.under_way += 1;
        state.most_at_once = state.most_at_once.max(state.under_way);
        let posted = match &state.refuses {
            _ if state.is_down => Posted::Failed("The mail server could not be reached.".to_owned()),
            Some(address) if *address == letter.to => Posted::Refused("550 no such user".to_owned()),
            _ => {
                state.letters.push(letter);
                Posted::Accepted
            }
        };
        let never_answers = state.never_answers;
        let postbox = self.clone();
        Box::pin(async move {
            if never_answers {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(TAKES).await;
            postbox.0.lock().unwrap().under_way -= 1;
            posted
        })
    }
}

/// The token of the link to this page in a letter.
pub fn token(letter: &Letter, page: &str) -> SecretString {
    let (_, rest) =
        letter.text.split_once(&format!("{PUBLIC_URL}/email/{page}/")).unwrap_or_else(|| panic!("no {page} in {}", letter.text));
    SecretString::from(rest.split_whitespace().next().unwrap())
}
