//! Which addresses the network transport contacts, and that neither a name nor an answer can lead it elsewhere.
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const TIMEOUT: Duration = Duration::from_secs(2);

/// A server on 127.0.0.1 that gives every client the same answer and counts the connections.
async fn serve(answer: String) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut head = [0; 4096];
            // The requests are small enough to arrive in one read.
            if stream.read(&mut head).await.is_ok_and(|length| length > 0) {
                stream.write_all(answer.as_bytes()).await.ok();
            }
        }
    });
    (address, count)
}

fn post(url: String) -> Request {
    Request { method: Method::Post, body: Some("{}".to_owned()), ..Request::get(url) }
}

#[test]
fn special_purpose_addresses_are_not_public() {
    for private in [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
    ] {
        assert!(!is_public(private.parse().unwrap()), "{private}");
    }
    for public in ["8.8.8.8", "23.227.38.65", "2606:4700::1111"] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
}

#[tokio::test]
async fn a_seller_cannot_make_the_service_call_private_addresses() {
    let transport = HttpTransport::new(false).unwrap();
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest",
        "https://10.0.0.1/",
        "https://localhost/",
    ] {
        let sent = transport.send(Request::get(url), TIMEOUT).await;
        assert!(matches!(sent, Err(SendError::NotConnected(_))), "{url}: {sent:?}");
    }
}

#[tokio::test]
async fn a_public_name_that_resolves_to_a_private_address_is_not_called() {
    fn lookup(name: String) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
        let address = match name.as_str() {
            "loopback.example" => "127.0.0.1",
            "metadata.example" => "169.254.169.254",
            "six.example" => "::1",
            "mapped.example" => "::ffff:127.0.0.1",
            _ => "10.0.0.1",
        };
        Box::pin(async move { Ok(vec![SocketAddr::new(address.parse().unwrap(), 0)]) })
    }
    let (trap, hits) = serve(String::new()).await;
    let transport = HttpTransport::with_lookup(false, lookup).unwrap();
    for name in ["loopback.example", "metadata.example", "six.example", "mapped.example", "intranet.example"] {
        let sent = transport.send(post(format!("https://{name}:{}/", trap.port())), TIMEOUT).await;
        assert!(matches!(&sent, Err(SendError::NotConnected(why)) if why.contains("no public address")), "{name}: {sent:?}");
    }
    assert_eq!(hits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn only_the_public_addresses_of_a_name_are_called() {
    let both: Lookup = |_| Box::pin(async { Ok(vec!["10.0.0.1:0".parse().unwrap(), "8.8.8.8:0".parse().unwrap()]) });
    let kept: Vec<SocketAddr> = PublicOnly(both).resolve("shop.example".parse().unwrap()).await.unwrap().collect();
    assert_eq!(kept, ["8.8.8.8:0".parse().unwrap()]);
}

/// Redirects are never followed, so a server on this machine can play the shop.
#[tokio::test]
async fn a_redirect_from_a_public_name_to_a_private_address_is_not_followed() {
    let (trap, hits) = serve("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()).await;
    let transport = HttpTransport::new(true).unwrap();
    let targets = [
        format!("http://{trap}/"),
        format!("http://localhost:{}/", trap.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::1]/".to_owned(),
        "https://10.0.0.1/".to_owned(),
    ];
    for target in &targets {
        for status in [301, 302, 303, 307, 308] {
            let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let (shop, _) = serve(answer).await;
            for request in [post(format!("http://{shop}/admin")), Request::get(format!("http://{shop}/admin"))] {
                let reply = transport.send(request, TIMEOUT).await.unwrap();
                assert_eq!((reply.status, reply.header("location")), (status, Some(target.as_str())), "the redirect itself is the reply");
            }
        }
    }
    assert_eq!(hits.load(Ordering::Relaxed), 0, "no redirect was followed");
}
