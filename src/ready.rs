//! `stocktide ready`: asks a running service whether it is ready, for health checks of containers that have no other HTTP
//! client.
use anyhow::Context;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Connecting, asking and answering each may take this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// More of an answer is not read.
const MAX_ANSWER: u64 = 64 * 1024;

/// Asks the service that listens on this address.
///
/// # Errors
/// Why it is not ready, in its own words, or that there is no answer.
pub fn ask(listen: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&reachable(listen), PATIENCE).context("no connection")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).context("no answer")?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => anyhow::bail!("{}", reason(&answer).unwrap_or_else(|| "its answer was not understood".to_owned())),
    }
}

/// A service that listens on all addresses is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The detail of the problem document.
fn reason(answer: &str) -> Option<String> {
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let problem: serde_json::Value = serde_json::from_str(body.get(body.find('{')?..=body.rfind('}')?)?).ok()?;
    problem.get("detail")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_all_addresses_is_asked_on_loopback() {
        for (listen, asked) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:80", "192.0.2.1:80")] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn the_reason_is_that_of_the_service() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"detail\":\"The disk is full.\"}";
        assert_eq!(reason(answer).as_deref(), Some("The disk is full."));
        assert_eq!(reason("HTTP/1.1 502 Bad Gateway\r\n\r\nno"), None);
    }
}
