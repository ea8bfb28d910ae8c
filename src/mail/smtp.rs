//! Mail over SMTP. Each letter has a connection of its own; a mail is rare. A refusal counts against an address only if
//! it answers its name (`RCPT`): whatever else a server refuses is the operator's business.
use super::post::{Encryption, Mailer, Post, Settings};
use crate::domain::letter::Letter;
use crate::domain::mail::{Posted, parse_address};
use futures_util::future::BoxFuture;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The longest waits for steps of sending one letter; together less than [`SENDING`](crate::domain::mail::SENDING).
#[derive(Debug, Clone, Copy)]
struct Waits {
    /// For a connection, and then for all answers before the letter.
    answers: Duration,
    /// For the letter to be taken; servers look for spam and viruses meanwhile.
    takes: Duration,
    /// For a good-bye.
    leaves: Duration,
}

const WAITS: Waits = Waits { answers: Duration::from_secs(30), takes: Duration::from_secs(90), leaves: Duration::from_secs(5) };

/// The most characters of a server's answer that are kept.
const MAX_ANSWER: usize = 200;
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// Sends letters over SMTP.
#[derive(Clone)]
struct Smtp {
    settings: Arc<Settings>,
    sender: Mailbox,
    waits: Waits,
}

/// Reads whom mails are from.
///
/// # Errors
/// What it must be.
pub fn parse_sender(text: &str) -> Result<Mailbox, &'static str> {
    const ERROR: &str = "must be an e-mail address, such as stock@example.com or Stocktide <stock@example.com>";
    let mailbox: Mailbox = text.parse().map_err(|_| ERROR)?;
    let address = parse_address(mailbox.email.as_ref()).map_err(|_| ERROR)?;
    if text.chars().any(char::is_control) {
        return Err(ERROR);
    }
    Ok(Mailbox::new(mailbox.name, address.parse().map_err(|_| ERROR)?))
}

/// What it takes to send mails by this server.
///
/// # Errors
/// If the sender is not an address.
pub fn post(settings: Settings) -> Result<Post, &'static str> {
    let (sender, public_url, per_minute) = (parse_sender(&settings.sender)?, settings.public_url.clone(), settings.per_minute);
    Ok(Post::new(Arc::new(Smtp { settings: Arc::new(settings), sender, waits: WAITS }), public_url, per_minute))
}

impl Mailer for Smtp {
    fn send(&self, letter: Letter) -> BoxFuture<'static, Posted> {
        let smtp = self.clone();
        Box::pin(async move { smtp.deliver(&letter).await.map_or_else(|posted| posted, |()| Posted::Accepted) })
    }
}

/// Does a step, or gives it up after so long; `late` is what is known of the letter then.
async fn within<T>(wait: Duration, late: fn(String) -> Posted, step: impl Future<Output = Result<T, Posted>>) -> Result<T, Posted> {
    let why = || format!("The mail server did not answer within {} seconds; check smtp_port and smtp_encryption.", wait.as_secs());
    tokio::time::timeout(wait, step).await.unwrap_or_else(|_| Err(late(why())))
}

/// What is known after a failure; `step` says what failed.
fn failed(step: &str, error: &SmtpError) -> Posted {
    Posted::Failed(format!("{step}: {}", answer(error)))
}

/// The server's answer, or why there is none, on one line.
fn answer(error: &SmtpError) -> String {
    error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_ANSWER).collect()
}

/// The server's answer to the password, of which only the code is kept: its words may repeat what it was sent.
fn answer_to_password(error: &SmtpError) -> String {
    match error.status() {
        Some(code) => code.to_string(),
        None if error.is_response() => "it has answered something that is no answer".to_owned(),
        None => answer(error),
    }
}

/// Words that are about the recipient.
const ABOUT_RECIPIENT: [&str; 5] = ["user", "mailbox", "recipient unknown", "unknown recipient", "no such"];
/// Words that are about us, whatever else is said, or about a mailbox that exists.
const ABOUT_OTHERS: [&str; 8] = ["relay", "authentic", "sender", "spam", "block", "blacklist", "quota", "full"];

/// What the refusal of a recipient says. Only one that is about the address counts against it: a server that does not relay for
/// us, or blocks us, refuses every recipient.
fn refused(code: &str, words: &str) -> fn(String) -> Posted {
    let words = words.to_ascii_lowercase();
    let status = enhanced(&words);
    // Addresses and links are no words.
    let words: Vec<&str> = words.split_whitespace().filter(|word| !word.contains('@') && !word.contains("://")).collect();
    let words = words.join(" ");
    let says = |any: &[&str]| any.iter().any(|part| words.contains(part));
    match (code, status) {
        // The sender's address.
        (_, Some((1, 7 | 8))) => Posted::Failed,
        ("550" | "551" | "553" | "556", Some((1, _) | (2, 1))) => Posted::Refused,
        // A status that says nothing.
        ("550" | "551" | "553" | "556", None | Some((0 | 5, 0))) if says(&ABOUT_RECIPIENT) && !says(&ABOUT_OTHERS) => Posted::Refused,
        // It is closing, cannot encrypt or sign in, is out of order, or has a policy.
        ("421" | "454", _) | (_, Some((3 | 7, _))) => Posted::Failed,
        _ if code.starts_with('4') => Posted::PutOff,
        _ => Posted::Failed,
    }
}

/// Subject and detail of the status code (RFC 3463) in an answer, such as 1 and 1 of 5.1.1.
fn enhanced(words: &str) -> Option<(u16, u16)> {
    let mut codes = words.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|code| {
        let mut parts = code.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        if !["4", "5"].contains(&class) || parts.next().is_some() {
            return None;
        }
        Some((subject.parse().ok()?, detail.parse().ok()?))
    });
    codes.next()
}

impl Smtp {
    /// What is known of the letter is the error, unless it was taken.
    async fn deliver(&self, letter: &Letter) -> Result<(), Posted> {
        let unfit = |what: &str| Posted::Failed(format!("The mail could not be put together: {what}."));
        let message = self.message(letter).map_err(|error| unfit(&error))?.formatted();
        let recipient = letter.to.parse().map_err(|_| unfit("its address is none"))?;
        let Waits { answers, takes, leaves } = self.waits;
        let mut connection = within(answers, Posted::Failed, self.connect()).await?;
        let mut posted = within(answers, Posted::Failed, self.announce(&mut connection, recipient)).await;
        if posted.is_ok() {
            posted = within(takes, Posted::Unanswered, hand_over(&mut connection, &message)).await;
        }
        // Everything that matters has been answered.
        tokio::time::timeout(leaves, connection.quit()).await.ok();
        posted
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Posted> {
        let unreachable = |error| failed("The mail server could not be reached", &error);
        let Settings { host, port, encryption, .. } = &*self.settings;
        let hello = ClientId::Domain(self.sender.email.domain().to_owned());
        let parameters = || TlsParameters::new(host.clone()).map_err(unreachable);
        let tls = if *encryption == Encryption::Tls { Some(parameters()?) } else { None };
        let connected = AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), Some(self.waits.answers), &hello, tls, None).await;
        let mut connection = connected.map_err(unreachable)?;
        if *encryption == Encryption::StartTls {
            let encrypted = connection.starttls(parameters()?, &hello).await;
            encrypted.map_err(|error| failed("The connection to the mail server could not be encrypted", &error))?;
        }
        Ok(connection)
    }

    /// Says everything that comes before the letter.
    async fn announce(&self, connection: &mut AsyncSmtpConnection, to: lettre::Address) -> Result<(), Posted> {
        if let Some((user, password)) = &self.settings.user {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let signed_in = connection.auth(&MECHANISMS, &credentials).await;
            let why = |error| format!("The mail server refused the user or the password: {}", answer_to_password(&error));
            signed_in.map_err(|error| Posted::Failed(why(error)))?;
        }
        let from = Mail::new(Some(self.sender.email.clone()), Vec::new());
        connection.command(from).await.map_err(|error| failed("The mail server refused the sender", &error))?;
        connection.command(Rcpt::new(to, Vec::new())).await.map_err(|error| {
            let code = error.status().map(|code| code.to_string()).unwrap_or_default();
            let words = answer(&error);
            refused(&code, &words)(format!("The mail server refused the address: {words}"))
        })?;
        connection.command(Data).await.map_err(|error| failed("The mail server refused the mail", &error))?;
        Ok(())
    }

    fn message(&self, letter: &Letter) -> Result<Message, String> {
        let to: lettre::Address = letter.to.parse().map_err(|_| "its address is none".to_owned())?;
        let id = format!("<{}@{}>", letter.id, self.sender.email.domain());
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(letter.at.as_millis()).unwrap_or(0));
        let message = Message::builder().from(self.sender.clone()).to(Mailbox::new(None, to)).subject(&letter.subject);
        let content = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
        let mut message = message.message_id(Some(id)).date(at).multipart(content).map_err(|error| error.to_string())?;
        let mut header = |name: &'static str, value: String| {
            message.headers_mut().insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        };
        header("Auto-Submitted", "auto-generated".to_owned());
        if let Some(url) = &letter.unsubscribe {
            // RFC 8058: mail programs unsubscribe by a POST of their own.
            header("List-Unsubscribe", format!("<{url}>"));
            header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned());
        }
        Ok(message)
    }
}

/// Sends the letter itself. Whether the server has it is unknown unless it says so.
async fn hand_over(connection: &mut AsyncSmtpConnection, message: &[u8]) -> Result<(), Posted> {
    match connection.message(message).await {
        Ok(_) => Ok(()),
        Err(error) if error.status().is_some() => Err(failed("The mail server refused the mail", &error)),
        Err(error) => Err(Posted::Unanswered(format!("The mail server did not say whether it has taken the mail: {}", answer(&error)))),
    }
}

#[cfg(test)]
mod tests;
