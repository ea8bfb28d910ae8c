//! Mail servers that behave, and those that do not.
use super::*;
use crate::domain::{MailId, Timestamp, letter};
use secrecy::SecretString;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use uuid::Uuid;

const PASSWORD: &str = "the-passphrase";
const IMPATIENT: Waits =
    Waits { answers: Duration::from_millis(500), takes: Duration::from_millis(500), leaves: Duration::from_millis(500) };

/// What a server answers to a line; `None`: nothing, ever.
type Manners = fn(&str) -> Option<&'static str>;

/// A server that takes everything.
fn polite(line: &str) -> Option<&'static str> {
    Some(match line.split([' ', ':']).next().unwrap_or_default() {
        "hello" => "220 here",
        "EHLO" => "250-here\r\n250 AUTH PLAIN LOGIN",
        "DATA" => "354 go on",
        _ => "250 ok",
    })
}

/// A server with these manners, and the lines that it gets.
fn server(manners: Manners) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut is_letter = false;
            let got = BufReader::new(stream.try_clone().unwrap()).split(b'\n').map_while(Result::ok);
            for line in std::iter::once(b"hello".to_vec()).chain(got) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                sender.send(line.clone()).ok();
                is_letter =
                    if is_letter { line != "." } else { line == "DATA" && manners("DATA").is_some_and(|answer| answer.starts_with('3')) };
                if is_letter && line != "DATA" {
                    continue;
                }
                match manners(&line) {
                    Some("") => break,
                    Some(answer) => drop(stream.write_all(format!("{answer}\r\n").as_bytes())),
                    None => {}
                }
            }
        }
    });
    (port, lines)
}

async fn sent(port: u16, encryption: Encryption, user: bool) -> Posted {
    let settings = Settings {
        per_minute: 300,
        host: "127.0.0.1".to_owned(),
        port,
        encryption,
        user: user.then(|| ("ada".to_owned(), SecretString::from(PASSWORD))),
        sender: "Stocktide <stock@example.com>".to_owned(),
        public_url: "https://stock.example.com".to_owned(),
    };
    let sender = parse_sender(&settings.sender).unwrap();
    let smtp = Smtp { settings: Arc::new(settings), sender, waits: IMPATIENT };
    let at = Timestamp::from_millis(1_772_452_800_000);
    smtp.send(letter::test((MailId(Uuid::from_u128(1)), "ada@example.com", at))).await
}

#[test]
fn a_letter_is_given_up_before_another_process_may_send_it() {
    let Waits { answers, takes, leaves } = WAITS;
    assert!(answers * 2 + takes + leaves < crate::domain::mail::SENDING);
}

#[test]
fn a_sender_is_an_address_with_or_without_a_name() {
    for good in ["stock@example.com", "Stocktide <stock@Example.com>", "\"Stock, tide\" <stock@example.com>"] {
        assert_eq!(parse_sender(good).map(|sender| sender.email.to_string()), Ok("stock@example.com".to_owned()), "{good}");
    }
    for bad in ["", "stock", "Stocktide <stock>", "stock@example.com\r\nBcc: eve@example.com", "A <a@example.com>, B <b@example.com>"] {
        assert!(parse_sender(bad).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn a_letter_that_was_taken_is_sent_even_if_the_server_says_nothing_more() {
    let hangs_at_the_end: Manners = |line| if line == "QUIT" { None } else { polite(line) };
    for manners in [polite as Manners, hangs_at_the_end] {
        let (port, lines) = server(manners);
        assert_eq!(sent(port, Encryption::None, false).await, Posted::Accepted);
        let lines: Vec<String> = lines.try_iter().collect();
        assert!(lines.contains(&"MAIL FROM:<stock@example.com>".to_owned()) && lines.contains(&"RCPT TO:<ada@example.com>".to_owned()));
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_costs_a_bounded_time_and_only_after_the_letter_may_it_have_it() {
    let silent: [(Manners, bool); 5] = [
        (|_| None, true),
        (|line| if line.starts_with("EHLO") { None } else { polite(line) }, true),
        (|line| if line.starts_with("RCPT") { None } else { polite(line) }, true),
        (|line| if line == "DATA" { None } else { polite(line) }, true),
        (|line| if line == "." { None } else { polite(line) }, false),
    ];
    for (at, (manners, unsent)) in silent.into_iter().enumerate() {
        let (port, _lines) = server(manners);
        let posted = tokio::time::timeout(Duration::from_secs(10), sent(port, Encryption::None, false)).await.unwrap();
        assert_eq!((posted.is_unsent(), posted == Posted::Accepted), (unsent, false), "{at}: {posted:?}");
        assert!(posted.why().is_some_and(|why| why.contains("did not answer within")), "{posted:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_on_the_letter_may_have_it_and_one_that_refuses_it_has_not() {
    let (port, _lines) = server(|line| if line == "." { Some("") } else { polite(line) });
    assert!(matches!(sent(port, Encryption::None, false).await, Posted::Unanswered(_)));
    let (port, _lines) = server(|line| if line == "." { Some("554 spam") } else { polite(line) });
    assert!(matches!(sent(port, Encryption::None, false).await, Posted::Failed(why) if why.contains("spam")));
}

#[test]
fn only_a_refusal_that_is_about_the_address_counts_against_it() {
    for (code, words, posted) in [
        ("550", "permanent error (550): 5.1.1 no such user", Posted::Refused as fn(String) -> Posted),
        ("550", "permanent error (550): 5.2.1 <ada@example.com>: disabled", Posted::Refused),
        ("550", "5.1.10 RESOLVER.ADR.RecipientNotFound", Posted::Refused),
        ("550", "<ada@example.com>: Recipient unknown", Posted::Refused),
        ("550", "5.5.0 Requested action not taken: mailbox unavailable", Posted::Refused),
        ("553", "mailbox name not allowed", Posted::Refused),
        ("550", "permanent error (550): our fair-use rules", Posted::Failed),
        ("550", "<user@example.com>: see https://example.com/mailbox", Posted::Failed),
        ("550", "Your host is blocked: spam reported by users", Posted::Failed),
        ("550", "Sender verify failed: no such user", Posted::Failed),
        ("550", "5.1.8 <stock@example.com>: Sender address rejected", Posted::Failed),
        ("550", "5.7.606 Access denied, banned sending IP [192.0.2.1], user", Posted::Failed),
        ("550", "5.4.1 Recipient address rejected: Access denied", Posted::Failed),
        ("550", "mailbox is full", Posted::Failed),
        ("421", "too many connections", Posted::Failed),
        ("454", "TLS not available", Posted::Failed),
        ("452", "4.3.1 Insufficient system storage", Posted::Failed),
        ("451", "transient error (451): 4.7.1 stock@mail.internal has sent too much", Posted::Failed),
        ("450", "4.2.0 greylisted", Posted::PutOff),
        ("450", "4.1.1 192.0.2.1 later", Posted::PutOff),
        ("450", "greylisted", Posted::PutOff),
        ("452", "mailbox full", Posted::PutOff),
        ("554", "5.7.1 <ada@example.com>: Relay access denied", Posted::Failed),
        ("550", "relay not permitted", Posted::Failed),
        ("550", "5.7.1 Relaying denied", Posted::Failed),
        ("530", "5.7.0 Authentication required", Posted::Failed),
        ("550", "Authentication is required", Posted::Failed),
        ("503", "bad sequence", Posted::Failed),
        ("", "network error", Posted::Failed),
    ] {
        assert_eq!(refused(code, words)(String::new()), posted(String::new()), "{code} {words}");
    }
}

#[tokio::test]
async fn a_recipient_that_is_refused_is_said_to_be_so() {
    let (port, _lines) = server(|line| if line.starts_with("RCPT") { Some("550 5.1.1 no such user") } else { polite(line) });
    assert!(matches!(sent(port, Encryption::None, false).await, Posted::Refused(why) if why.contains("no such user")));
    let (port, _lines) = server(|line| if line.starts_with("RCPT") { Some("554 5.7.1 relay access denied") } else { polite(line) });
    assert!(matches!(sent(port, Encryption::None, false).await, Posted::Failed(_)));
}

#[tokio::test]
async fn an_answer_to_the_password_is_not_repeated() {
    let (port, lines) =
        server(
            |line| if line.starts_with("AUTH") { Some("535 not ada:the-passphrase AGFkYQB0aGUtcGFzc3BocmFzZQ==") } else { polite(line) },
        );
    let posted = sent(port, Encryption::None, true).await;
    assert!(
        matches!(&posted, Posted::Failed(why) if why.ends_with("535") && !why.contains(PASSWORD) && !why.contains("AGFk")),
        "{posted:?}"
    );
    assert!(lines.try_iter().any(|line| line == "AUTH PLAIN AGFkYQB0aGUtcGFzc3BocmFzZQ=="));
}

#[tokio::test]
async fn without_the_encryption_that_is_set_neither_the_password_nor_the_letter_is_sent() {
    for encryption in [Encryption::StartTls, Encryption::Tls] {
        // One that offers no encryption, one that offers it and lies, one that waits for the other side to begin.
        let lies: Manners = |line| match line {
            line if line.starts_with("EHLO") => Some("250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN"),
            line => polite(line),
        };
        for manners in [polite as Manners, lies, |_| None] {
            let (port, lines) = server(manners);
            let posted = tokio::time::timeout(Duration::from_secs(10), sent(port, encryption, true)).await.unwrap();
            assert!(matches!(posted, Posted::Failed(_)), "{posted:?}");
            assert!(!lines.try_iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{encryption:?}");
        }
    }
}
