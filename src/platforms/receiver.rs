//! Addresses of receivers of messages, which sellers supply.
use super::transport::{is_public, literal_address};

/// The most bytes in an address.
const MAX_RECEIVER: usize = 2_000;

/// Checks the address of a receiver of messages. Loopback and private addresses, and http, only if `allow_private`.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_receiver(text: &str, allow_private: bool) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(text).ok().filter(|url| url.has_host() && url.fragment().is_none());
    let schemes: &[&str] = if allow_private { &["https", "http"] } else { &["https"] };
    match url {
        _ if text.len() > MAX_RECEIVER => Err("must have at most 2,000 characters"),
        None => Err("must be an https address, such as https://example.com/stock"),
        Some(url) if !schemes.contains(&url.scheme()) => Err("must be an https address"),
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("must not contain a username or password, because it is shown; check the signature of each message instead")
        }
        Some(url) if !allow_private && literal_address(url.as_str()).is_some_and(|ip| !is_public(ip)) => {
            Err("must not be a loopback or private address")
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_lead_inside_or_show_a_password_are_refused() {
        for good in ["https://example.com", "https://example.com:8443/a/b?c=d", "https://93.184.216.34/x"] {
            assert_eq!(check_receiver(good, false), Ok(()), "{good}");
        }
        let long = format!("https://example.com/{}", "a".repeat(2_000));
        for bad in [
            "http://example.com",
            "https://127.0.0.1/x",
            "https://[::1]/",
            "https://10.0.0.8",
            "https://169.254.169.254/latest",
            "https://user:word@example.com",
            "https://example.com/#a",
            "ftp://example.com",
            "example.com",
            "",
            &long,
        ] {
            assert!(check_receiver(bad, false).is_err(), "{bad}");
        }
        assert_eq!(check_receiver("http://127.0.0.1:9", true), Ok(()));
        assert!(check_receiver("gopher://127.0.0.1:9", true).is_err());
    }
}
