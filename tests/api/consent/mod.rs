//! A strict stand-in for a platform: its authorization server, written from its documentation (the address it is reached at,
//! the redirect address that was registered, the state, the code that counts once and for minutes, the signatures, the
//! rotation of refresh tokens), and behind it a shop that shows the quantities it receives.
pub mod marketplaces;
mod shopify;
mod woocommerce;

pub use marketplaces::Registered;
pub use shopify::Shopify;
pub use woocommerce::WooCommerce;

/// Shops of every platform, as the suite `connectors` has them.
#[path = "../../connectors/matrix"]
#[expect(dead_code, reason = "these tests need only part of it")]
mod shops {
    pub mod faces;
    pub mod marketplaces;
    pub mod shop;
}

pub use shops::faces::Face;
use shops::shop::FakeShop;
pub use shops::{faces, marketplaces as market_faces};

use crate::client::{exchange, request};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use stocktide::platforms::call::{Method, Request};
use stocktide::platforms::transport::Transport;

/// The number of the shop's only listing, which shows 10 at first.
pub const LISTING: u64 = 1001;

/// What a browser or the service sends.
pub struct Asked {
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    pub posted: bool,
}

impl Asked {
    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The fields of a form.
    pub fn form(&self) -> BTreeMap<String, String> {
        pairs(&self.body)
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://x/?{text}")).unwrap();
    url.query_pairs().into_owned().collect()
}

/// An address with these parameters.
pub fn with(address: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse(address).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    url.into()
}

/// Where a visitor goes from the consent page.
pub struct ConsentPage {
    pub agree: String,
    pub decline: String,
}

/// A platform's authorization server.
pub trait Authority: Send {
    /// The consent page; `None` if this is not its address. The error is what the platform tells the visitor instead.
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>>;
    /// The token endpoint, and what the platform says about the shop; `None` for everything else.
    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)>;
    /// Whether a call carries a token that works.
    fn admits(&self, asked: &Asked) -> bool;
}

/// Codes and tokens as all platforms have them: a code counts once, a token until the next.
#[derive(Debug, Default)]
pub struct Tokens {
    count: usize,
    codes: BTreeSet<String>,
    pub access: String,
    pub refresh: String,
    pub refreshed: usize,
}

impl Tokens {
    fn next(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}-{}-0123456789abcdef", self.count)
    }

    pub fn code(&mut self) -> String {
        let code = self.next("code");
        self.codes.insert(code.clone());
        code
    }

    /// Whether this code counts; it never does again.
    pub fn redeem(&mut self, code: &str) -> bool {
        self.codes.remove(code)
    }

    /// New tokens, which end the old ones.
    pub fn issue(&mut self) {
        (self.access, self.refresh) = (self.next("access"), self.next("refresh"));
    }

    pub fn expire_codes(&mut self) {
        self.codes.clear();
    }

    pub fn revoke(&mut self) {
        (self.access, self.refresh) = (String::new(), String::new());
    }
}

/// How the token endpoint misbehaves: a status, a body, and how long it takes.
pub type Trouble = Option<(u16, &'static str, Duration)>;

struct Inside<A> {
    authority: Mutex<A>,
    trouble: Mutex<Trouble>,
    shop: FakeShop,
}

/// A running stand-in; stopped when dropped.
pub struct StandIn<A: Authority + 'static> {
    pub address: SocketAddr,
    inside: Arc<Inside<A>>,
    stop: actix_web::dev::ServerHandle,
    running: Option<JoinHandle<()>>,
}

impl<A: Authority + 'static> StandIn<A> {
    pub fn start(face: &Face, authority: A) -> Self {
        let shop = FakeShop::new(face, [(LISTING, 10)].into_iter());
        let inside = Arc::new(Inside { authority: Mutex::new(authority), trouble: Mutex::new(None), shop });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = channel();
        let data = Data::from(Arc::clone(&inside));
        let running = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let app = move || App::new().app_data(data.clone()).default_service(web::to(serve::<A>));
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
                sender.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { address, inside, stop: receiver.recv().unwrap(), running: Some(running) }
    }

    /// What the shop shows of its listing.
    pub fn shown(&self) -> i64 {
        self.inside.shop.shown(LISTING)
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut A) -> T) -> T {
        change(&mut self.inside.authority.lock().unwrap())
    }

    pub fn token_trouble(&self, trouble: Trouble) {
        *self.inside.trouble.lock().unwrap() = trouble;
    }

    /// Opens the consent page as a browser does, and returns where its two links lead.
    #[track_caller]
    pub fn consent(&self, url: &str) -> ConsentPage {
        let path = url.strip_prefix(&format!("http://{}", self.address)).unwrap_or_else(|| panic!("not the stand-in's page: {url}"));
        // What is after the # is read by the page's script.
        let path = path.replace("/#/", "/");
        let answer = exchange(self.address, &request("GET", &path, &[], None)).unwrap();
        let text = answer.text();
        assert_eq!(answer.status, 200, "{text}");
        let link = |name: &str| {
            let before = text.split(&format!("\">{name}</a>")).next().unwrap();
            before.rsplit("href=\"").next().unwrap().replace("&amp;", "&")
        };
        ConsentPage { agree: link("Install app"), decline: link("Cancel") }
    }
}

impl<A: Authority + 'static> Drop for StandIn<A> {
    fn drop(&mut self) {
        // The answer is not needed: the thread ends when the server has stopped.
        let _unawaited = self.stop.stop(false);
        self.running.take().map(JoinHandle::join);
    }
}

async fn serve<A: Authority + 'static>(http: HttpRequest, body: Bytes, inside: Data<Inside<A>>) -> HttpResponse {
    let headers = http.headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned()));
    let asked = Asked {
        path: http.path().to_owned(),
        query: pairs(http.query_string()),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        posted: http.method() != actix_web::http::Method::GET,
    };
    if let Some(page) = inside.authority.lock().unwrap().page(&asked) {
        let escape = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;");
        return match page {
            Ok(ConsentPage { agree, decline }) => HttpResponse::Ok().content_type("text/html").body(format!(
                "<!doctype html><title>Permissions</title><main><p>Stocktide wants to update your stock.</p>\
                 <a href=\"{}\">Install app</a> <a href=\"{}\">Cancel</a></main>",
                escape(&agree),
                escape(&decline)
            )),
            Err(why) => HttpResponse::BadRequest().body(why),
        };
    }
    let answered = inside.authority.lock().unwrap().tokens(&asked);
    if let Some((status, answer)) = answered {
        let trouble = *inside.trouble.lock().unwrap();
        let Some((status, body, after)) = trouble else {
            return HttpResponse::build(StatusCode::from_u16(status).unwrap()).json(answer);
        };
        tokio::time::sleep(after).await;
        return HttpResponse::build(StatusCode::from_u16(status).unwrap()).body(body);
    }
    if !inside.authority.lock().unwrap().admits(&asked) {
        return HttpResponse::Unauthorized().json(serde_json::json!({ "errors": "[API] Invalid API key or access token" }));
    }
    let method = match *http.method() {
        actix_web::http::Method::GET => Method::Get,
        actix_web::http::Method::PUT => Method::Put,
        actix_web::http::Method::PATCH => Method::Patch,
        _ => Method::Post,
    };
    let call = Request { method, body: asked.posted.then(|| asked.body.clone()), ..Request::get(format!("http://{}", http.uri())) };
    match inside.shop.send(call, Duration::from_secs(5)).await {
        Ok(reply) => HttpResponse::build(StatusCode::from_u16(reply.status).unwrap()).content_type("application/json").body(reply.body),
        Err(_) => HttpResponse::GatewayTimeout().finish(),
    }
}
