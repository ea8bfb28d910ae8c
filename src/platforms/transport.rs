//! How a request becomes a reply: over the network with reqwest, or from a script in tests.
//!
//! Stores' addresses come from sellers, so the network transport refuses whatever is not a public https address,
//! after name resolution too, unless the operator allows private targets. Redirects are not followed: a 3xx is a reply.
use super::call::{Method, Reply, Request};
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use secrecy::ExposeSecret;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The largest reply that is read, in bytes.
pub const MAX_REPLY_BYTES: usize = 1024 * 1024;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Surely not one byte left: no connection, no such host, a forbidden address.
    #[error("not connected: {0}")]
    NotConnected(String),
    /// Perhaps it was received: timeout, cut connection, an answer too large.
    #[error("no answer: {0}")]
    Lost(String),
}

/// Sends one request.
pub trait Transport: Send + Sync {
    /// Sends it; the whole reply within `timeout`, or none.
    fn send(&self, request: Request, timeout: Duration) -> BoxFuture<'static, Result<Reply, SendError>>;
}

/// The network.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    allow_private: bool,
}

impl HttpTransport {
    /// A client with bounded times and sizes.
    ///
    /// # Errors
    /// The TLS backend cannot be set up.
    pub fn new(allow_private: bool) -> Result<Self, String> {
        Self::looking_up(allow_private, system_lookup)
    }

    fn looking_up(allow_private: bool, lookup: Lookup) -> Result<Self, String> {
        // Fails when it is installed already, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(Duration::from_secs(60))
            .no_proxy()
            .user_agent(concat!("stocktide/", env!("CARGO_PKG_VERSION")));
        if !allow_private {
            builder = builder.https_only(true).dns_resolver(Arc::new(PublicOnly(lookup)));
        }
        let client = builder.build().map_err(|e| e.to_string())?;
        Ok(Self { client, allow_private })
    }

    fn check_target(&self, url: &str) -> Result<reqwest::Url, SendError> {
        let url = reqwest::Url::parse(url).map_err(|e| SendError::NotConnected(format!("not an address: {e}")))?;
        if self.allow_private {
            return Ok(url);
        }
        if url.scheme() != "https" || literal_address(url.as_str()).is_some_and(|ip| !is_public(ip)) {
            return Err(SendError::NotConnected("stores may only be at public https addresses".to_owned()));
        }
        Ok(url)
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request, timeout: Duration) -> BoxFuture<'static, Result<Reply, SendError>> {
        let target = self.check_target(&request.url);
        let client = self.client.clone();
        Box::pin(async move {
            let method = match request.method {
                Method::Get => reqwest::Method::GET,
                Method::Post => reqwest::Method::POST,
                Method::Put => reqwest::Method::PUT,
                Method::Patch => reqwest::Method::PATCH,
            };
            let mut builder = client.request(method, target?).timeout(timeout);
            for (name, value) in &request.headers {
                builder = builder.header(*name, value);
            }
            for (name, value) in &request.secret_headers {
                let mut value = reqwest::header::HeaderValue::from_str(value.expose_secret())
                    .map_err(|_| SendError::NotConnected(format!("the header {name} cannot carry this secret")))?;
                value.set_sensitive(true);
                builder = builder.header(*name, value);
            }
            if let Some(body) = request.body {
                builder = builder.body(body);
            }
            let built = builder.build().map_err(|e| SendError::NotConnected(e.without_url().to_string()))?;
            let mut response = client.execute(built).await.map_err(sort)?;
            let headers = response
                .headers()
                .iter()
                .filter_map(|(name, value)| value.to_str().ok().map(|value| (name.as_str().to_owned(), value.to_owned())))
                .collect();
            let status = response.status().as_u16();
            let mut body: Vec<u8> = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| SendError::Lost(chain(&e.without_url())))? {
                if body.len() + chunk.len() > MAX_REPLY_BYTES {
                    return Err(SendError::Lost(format!("the answer is larger than {MAX_REPLY_BYTES} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Reply { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
        })
    }
}

fn sort(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    if error.is_connect() || error.is_builder() { SendError::NotConnected(chain(&error)) } else { SendError::Lost(chain(&error)) }
}

/// The error with its causes, as reqwest's own words say little.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// The addresses of a name.
type Lookup = fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>>;

fn system_lookup(name: String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
}

/// Resolves names, and leaves out addresses that are not public: what is left is connected to, so that a name which
/// resolves otherwise the next time gains nothing.
struct PublicOnly(Lookup);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.0)(name.as_str().to_owned());
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.into_iter().filter(|address| is_public(address.ip())).collect();
            if found.is_empty() {
                return Err("this name has no public address".into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The address that stands in a URL in the place of a name, if one does.
pub fn literal_address(url: &str) -> Option<IpAddr> {
    let url = reqwest::Url::parse(url).ok()?;
    url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok())
}

/// Whether an address is on the public internet (IANA's special-purpose registries, RFC 6890 and its updates).
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || a == 0
                || a >= 224
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || (a, b, c) == (192, 0, 0))
        }
        IpAddr::V6(v6) => match v4_within(v6) {
            Some(v4) => is_public(IpAddr::V4(v4)),
            None => {
                let [first, second, ..] = v6.segments();
                // 2000::/3 is all that is assigned to the public; documentation and discard prefixes lie within.
                first & 0xe000 == 0x2000 && !(first == 0x2001 && (second == 0x0db8 || second < 0x0200)) && first != 0x3fff
            }
        },
    }
}

/// The IPv4 address inside mapped, compatible, NAT64 and 6to4 forms.
fn v4_within(v6: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let pack = |high: u16, low: u16| std::net::Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff | 0) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(pack(g, h)),
        (0x2002, ..) => Some(pack(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
