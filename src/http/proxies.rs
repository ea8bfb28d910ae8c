//! Which address a request comes from where proxies stand between, for counting invalid keys by address.
//!
//! A client can send any header, so only what a trusted proxy has added counts: starting from the peer, each trusted address
//! is followed to the one that it names, and the first that is not trusted is the client. Only the header that the operator
//! has chosen is read, because proxies pass on the other one as their client has sent it. By default, only proxies on the
//! same machine are trusted: on a private network, any neighbor could call the service directly under as many addresses as
//! it likes, or have somebody else's address throttled.
use crate::platforms::transport::is_public;
use actix_web::http::header::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// More proxies in a row are not followed.
const MAX_HOPS: usize = 32;

/// The proxies that may say which address a request comes from, and the header in which they say it.
#[derive(Debug, Clone)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// `Forwarded` (RFC 7239) instead of `X-Forwarded-For`.
    forwarded: bool,
    has_warned: Arc<AtomicBool>,
}

impl TrustedProxies {
    /// Reads addresses and networks, separated by commas or blanks; none at all is allowed.
    ///
    /// # Errors
    /// What is wrong, to be read after the name of the setting.
    pub fn parse(list: &str, forwarded: bool) -> Result<Self, String> {
        let network = |text: &str| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let wrong = |text: &str| format!("{text} is neither a network, such as 10.0.0.0/8, nor an address");
        let words = list.split([',', ' ']).filter(|word| !word.is_empty());
        let networks = words.map(|word| network(word).map_err(|_| wrong(word))).collect::<Result<_, _>>()?;
        Ok(Self { networks, forwarded, has_warned: Arc::default() })
    }

    /// The address of the client whose request arrived from `peer` with these headers.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        for hop in self.hops(headers).into_iter().take(MAX_HOPS) {
            let Some(address) = hop else { break };
            if !self.trusts(client) {
                if client == peer.to_canonical() {
                    self.warn_of(client);
                }
                break;
            }
            client = address;
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// What the proxies have added, the nearest first; `None` for what is no address, such as `unknown`.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let name = if self.forwarded { "forwarded" } else { "x-forwarded-for" };
        let values: Vec<&str> = headers.get_all(name).map(|value| value.to_str().unwrap_or_default()).collect();
        // Split from the right even inside quotes: a quote that a client has left open must not hide what proxies add.
        let elements = values.into_iter().rev().flat_map(|value| value.rsplit(','));
        elements.map(|element| address_in(if self.forwarded { of_forwarded(element)? } else { element })).collect()
    }

    /// Logs, once, that a neighbor which may be a proxy is not trusted. Anybody on the internet can send such a header.
    fn warn_of(&self, peer: IpAddr) {
        if !is_public(peer) && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(%peer, "requests from this address name others as their origin, but it is not in trusted_proxies, so all its clients count as one; add it if it is your proxy");
        }
    }
}

/// The value of `for` in an element of `Forwarded`.
fn of_forwarded(element: &str) -> Option<&str> {
    let is_for = |pair: &str| pair.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("for")).is_some();
    element.split(';').find(|pair| is_for(pair))?.split_once('=').map(|(_, value)| value)
}

/// The address in a text that may also have quotes, brackets and a port.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        // A single colon separates a port; several belong to an IPv6 address without brackets.
        None => text.split_once(':').filter(|(_, port)| !port.contains(':')).map_or(text, |(address, _)| address),
    };
    address.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn client(trusted: &str, peer: &str, name: &'static str, values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let proxies = TrustedProxies::parse(trusted, name == "forwarded").unwrap();
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_client_is_the_first_address_before_the_trusted_proxies() {
        let own = "127.0.0.0/8, ::1";
        let cluster = "10.0.0.0/8 ::1";
        for (trusted, peer, values, expected) in [
            (own, "127.0.0.1", vec![], "127.0.0.1"),
            (own, "127.0.0.1", vec!["203.0.113.7"], "203.0.113.7"),
            (own, "::ffff:127.0.0.1", vec!["203.0.113.7"], "203.0.113.7"),
            (own, "127.0.0.1", vec!["203.0.113.7:41234"], "203.0.113.7"),
            (own, "::1", vec!["[2001:db8::7]:443"], "2001:db8::7"),
            (own, "::1", vec!["2001:db8::7"], "2001:db8::7"),
            // What the client has made up stands before what the proxy has added.
            (own, "127.0.0.1", vec!["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (own, "127.0.0.1", vec!["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
            (own, "127.0.0.1", vec!["203.0.113.7, unknown"], "127.0.0.1"),
            (own, "127.0.0.1", vec!["203.0.113.7,"], "127.0.0.1"),
            // Several hops.
            (cluster, "10.1.2.3", vec!["203.0.113.7, 10.9.9.9:80, 10.1.1.1"], "203.0.113.7"),
            (cluster, "10.1.2.3", vec!["10.4.4.4, 10.9.9.9"], "10.4.4.4"),
            (cluster, "10.1.2.3", vec!["203.0.113.7, unknown, 10.1.1.1"], "10.1.1.1"),
            // Nobody else may say anything.
            (cluster, "127.0.0.1", vec!["203.0.113.7"], "127.0.0.1"),
            (own, "10.1.2.3", vec!["203.0.113.7"], "10.1.2.3"),
            ("", "127.0.0.1", vec!["203.0.113.7"], "127.0.0.1"),
            (own, "198.51.100.9", vec!["203.0.113.7"], "198.51.100.9"),
        ] {
            assert_eq!(client(trusted, peer, "x-forwarded-for", &values), expected, "{trusted}; {peer}; {values:?}");
        }
    }

    #[test]
    fn forwarded_is_read_where_the_operator_has_chosen_it() {
        for (value, expected) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("proto=https;For=\"203.0.113.7:41234\";by=_proxy", "203.0.113.7"),
            ("for=\"[2001:db8::7]:443\"", "2001:db8::7"),
            ("for=198.51.100.1, for=203.0.113.7;proto=http", "203.0.113.7"),
            ("for=_hidden", "127.0.0.1"),
            ("proto=https", "127.0.0.1"),
            // The quote that the client has left open hides nothing.
            ("for=\"198.51.100.1, for=203.0.113.7", "203.0.113.7"),
        ] {
            assert_eq!(client("127.0.0.1", "127.0.0.1", "forwarded", &[value]), expected, "{value}");
        }
    }

    #[test]
    fn the_other_header_is_not_read() {
        let mut headers = HeaderMap::new();
        headers.append(HeaderName::from_static("forwarded"), HeaderValue::from_static("for=203.0.113.7"));
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(TrustedProxies::parse("127.0.0.1", false).unwrap().client(peer, &headers), peer);
    }
}
