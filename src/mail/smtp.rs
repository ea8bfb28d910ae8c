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

/// A letter takes no longer from the first byte to the last answer.
const WITHIN: Duration = Duration::from_secs(60);
/// The most characters of a server's answer that are kept.
const MAX_ANSWER: usize = 200;
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// Sends letters over SMTP.
#[derive(Clone)]
struct Smtp {
    settings: Arc<Settings>,
    sender: Mailbox,
}

/// Reads whom mails are from.
///
/// # Errors
/// What it must be.
pub fn parse_sender(text: &str) -> Result<Mailbox, &'static str> {
    const ERROR: &str = "must be an e-mail address, such as stock@example.com or Stocktide <stock@example.com>";
    let mailbox: Mailbox = text.parse().map_err(|_| ERROR)?;
    let address = parse_address(&mailbox.email.to_string()).map_err(|_| ERROR)?;
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
    let (sender, public_url) = (parse_sender(&settings.sender)?, settings.public_url.clone());
    Ok(Post { mailer: Arc::new(Smtp { settings: Arc::new(settings), sender }), public_url })
}

impl Mailer for Smtp {
    fn send(&self, letter: Letter) -> BoxFuture<'static, Posted> {
        let smtp = self.clone();
        Box::pin(async move {
            match tokio::time::timeout(WITHIN, smtp.deliver(&letter)).await {
                Ok(Ok(())) => Posted::Accepted,
                Ok(Err(posted)) => posted,
                Err(_) => Posted::Failed(format!("The mail server did not answer within {} seconds.", WITHIN.as_secs())),
            }
        })
    }
}

/// What is known after a failure; `step` says what failed.
fn failed(step: &str, error: &SmtpError) -> Posted {
    Posted::Failed(format!("{step}: {}", answer(error)))
}

/// The server's answer, or why there is none, on one line.
fn answer(error: &SmtpError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let text = format!("{error}{cause}");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_ANSWER).collect()
}

impl Smtp {
    async fn deliver(&self, letter: &Letter) -> Result<(), Posted> {
        let unfit = |what: &str| Posted::Failed(format!("The mail could not be put together: {what}."));
        let message = self.message(letter).map_err(|error| unfit(&error))?.formatted();
        let recipient = letter.to.parse().map_err(|_| unfit("its address is none"))?;
        let mut connection = self.connect().await.map_err(|error| failed("The mail server could not be reached", &error))?;
        let delivered = self.speak(&mut connection, recipient, &message).await;
        // It has answered all that matters.
        connection.quit().await.ok();
        delivered
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let Settings { host, port, encryption, .. } = &*self.settings;
        let hello = ClientId::Domain(self.sender.email.domain().to_owned());
        let parameters = || TlsParameters::new(host.clone());
        let tls = if *encryption == Encryption::Tls { Some(parameters()?) } else { None };
        let mut connection = AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), Some(WITHIN), &hello, tls, None).await?;
        if *encryption == Encryption::StartTls {
            connection.starttls(parameters()?, &hello).await?;
        }
        Ok(connection)
    }

    async fn speak(&self, connection: &mut AsyncSmtpConnection, to: lettre::Address, message: &[u8]) -> Result<(), Posted> {
        if let Some((user, password)) = &self.settings.user {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let signed_in = connection.auth(&MECHANISMS, &credentials).await;
            signed_in.map_err(|error| failed("The mail server refused the user or the password", &error))?;
        }
        let from = Mail::new(Some(self.sender.email.clone()), Vec::new());
        connection.command(from).await.map_err(|error| failed("The mail server refused the sender", &error))?;
        connection.command(Rcpt::new(to, Vec::new())).await.map_err(|error| match error.is_permanent() {
            true => Posted::Refused(format!("The mail server refused the address: {}", answer(&error))),
            false => failed("The mail server did not take the address", &error),
        })?;
        connection.command(Data).await.map_err(|error| failed("The mail server refused the mail", &error))?;
        connection.message(message).await.map_err(|error| failed("The mail server refused the mail", &error))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for good in ["stock@example.com", "Stocktide <stock@Example.com>", "\"Stock, tide\" <stock@example.com>"] {
            assert_eq!(parse_sender(good).map(|sender| sender.email.to_string()), Ok("stock@example.com".to_owned()), "{good}");
        }
        for bad in ["", "stock", "Stocktide <stock>", "stock@example.com\r\nBcc: eve@example.com", "A <a@example.com>, B <b@example.com>"] {
            assert!(parse_sender(bad).is_err(), "{bad:?}");
        }
    }
}
