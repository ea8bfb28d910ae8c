//! How a request becomes a reply: over the network with reqwest, or from a script in tests.
//!
//! Sellers supply the addresses of their stores, so the network transport refuses anything but public https addresses,
//! both before and after name resolution, unless the operator allows private targets. Redirects are not followed: a 3xx is
//! returned as the reply.
use super::call::{Method, Reply, Request};
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use secrecy::ExposeSecret;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The largest reply body that is read, in bytes.
pub const MAX_REPLY_BYTES: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What rustls says if the system has none.
const NO_ROOTS: &str = "No CA certificates were loaded";
const INSTALL_ROOTS: &str = "no root certificates were found, and without them no store can be reached by https: install the package \
    ca-certificates, or set SSL_CERT_FILE to a file that has them";

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not a single byte was sent: no connection, no such host, or a forbidden address.
    #[error("not connected: {0}")]
    NotConnected(String),
    /// The request may have been received: a timeout, or a dropped connection.
    #[error("no answer: {0}")]
    Lost(String),
    /// The answer has more than [`MAX_REPLY_BYTES`].
    #[error("the answer is larger than {MAX_REPLY_BYTES} bytes")]
    TooLarge,
}

/// Turns a request into a reply.
pub trait Transport: Send + Sync {
    /// Sends the request and returns the complete reply, or an error if it does not arrive within `timeout`.
    fn send(&self, request: Request, timeout: Duration) -> BoxFuture<'static, Result<Reply, SendError>>;
}

/// Sends requests over the network.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    allow_private: bool,
}

impl HttpTransport {
    /// A transport that also reaches private addresses and plain http if `allow_private`.
    ///
    /// # Errors
    /// If the TLS backend cannot be set up.
    pub fn new(allow_private: bool) -> Result<Self, String> {
        Self::with_lookup(allow_private, system_lookup)
    }

    fn with_lookup(allow_private: bool, lookup: Lookup) -> Result<Self, String> {
        // Fails only if a provider is already installed, which is just as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let builder = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(Duration::from_secs(60))
                .no_proxy()
                .user_agent(concat!("stocktide/", env!("CARGO_PKG_VERSION")))
        };
        if !allow_private {
            let client = builder().https_only(true).dns_resolver(Arc::new(PublicOnly(lookup))).build().map_err(|e| explain(&e))?;
            return Ok(Self { client, allow_private });
        }
        let client = builder().build().or_else(|error| match explain(&error) {
            // Enough for stores that are reached by http.
            text if text == INSTALL_ROOTS => {
                tracing::warn!("{INSTALL_ROOTS}");
                builder().tls_certs_only([]).build().map_err(|e| with_causes(&e))
            }
            text => Err(text),
        })?;
        Ok(Self { client, allow_private })
    }

    fn check_target(&self, url: &str) -> Result<reqwest::Url, SendError> {
        let url = reqwest::Url::parse(url).map_err(|e| SendError::NotConnected(format!("invalid address: {e}")))?;
        if self.allow_private {
            return Ok(url);
        }
        if url.scheme() != "https" || literal_address(url.as_str()).is_some_and(|ip| !is_public(ip)) {
            return Err(SendError::NotConnected("only public https addresses are called".to_owned()));
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
                    .map_err(|_| SendError::NotConnected(format!("this secret contains characters that the header {name} cannot carry")))?;
                value.set_sensitive(true);
                builder = builder.header(*name, value);
            }
            if let Some(body) = request.body {
                builder = builder.body(body);
            }
            let built = builder.build().map_err(|e| SendError::NotConnected(e.without_url().to_string()))?;
            let mut response = client.execute(built).await.map_err(classify)?;
            let headers = response
                .headers()
                .iter()
                .filter_map(|(name, value)| value.to_str().ok().map(|value| (name.as_str().to_owned(), value.to_owned())))
                .collect();
            let status = response.status().as_u16();
            let mut body: Vec<u8> = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| SendError::Lost(with_causes(&e.without_url())))? {
                if body.len() + chunk.len() > MAX_REPLY_BYTES {
                    return Err(SendError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Reply { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
        })
    }
}

/// Why the client could not be made, for the operator.
fn explain(error: &reqwest::Error) -> String {
    let text = with_causes(error);
    if text.contains(NO_ROOTS) { INSTALL_ROOTS.to_owned() } else { text }
}

fn classify(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        SendError::NotConnected(with_causes(&error))
    } else {
        SendError::Lost(with_causes(&error))
    }
}

/// The error and its causes; reqwest's own message says little.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Resolves a host name.
type Lookup = fn(String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>>;

fn system_lookup(name: String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
}

/// Resolves names to public addresses only. The connection is made to the addresses returned here, so a name that later
/// resolves to something else gains nothing.
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

/// The IP address in a URL whose host is an address rather than a name.
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
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_public(IpAddr::V4(v4)),
            None => {
                let [first, second, ..] = v6.segments();
                // Only 2000::/3 is allocated to the public internet; it contains some special-purpose prefixes.
                first & 0xe000 == 0x2000 && !(first == 0x2001 && (second == 0x0db8 || second < 0x0200)) && first != 0x3fff
            }
        },
    }
}

/// The IPv4 address inside an IPv4-mapped, IPv4-compatible, NAT64 or 6to4 address.
fn embedded_v4(v6: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
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
