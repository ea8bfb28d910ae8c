//! The operator's apps: with one on a platform, sellers connect their shops by that platform's consent page. Its secret is sealed
//! and never shown again. Each store connected through it has a copy among its own sealed credentials, because its tokens are
//! renewed with it; a new secret of the same app replaces the copies.
use super::connection::{self, connection};
use super::context::{Operator, Result, Service};
use crate::db::apps::{self, AppRow, OperatorEntry, append_operator_audit};
use crate::db::fleet::{AppStore, replace_sealed, stores_of_app};
use crate::db::sealing::{Owner, Sealer};
use crate::db::{self, Conn, Error};
use crate::domain::ids::check_text;
use crate::domain::problem::Checks;
use crate::domain::{FieldError, Timestamp};
use crate::platforms::authorize::{App, Consent, Entry};
use crate::platforms::{check_base_url, consent_of, consents};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The most characters in an app's ID, secret, scope or setting.
const MAX_TEXT: usize = 500;
/// The most scopes of an app.
const MAX_SCOPES: usize = 50;
/// The placeholder in an app's address.
const SHOP: &str = "{shop}";

/// An app as it was entered.
#[derive(Debug, Clone)]
pub struct EnteredApp {
    /// How the platform names it.
    pub client_id: String,
    /// Its secret; `None` keeps the one that is stored.
    pub client_secret: Option<SecretString>,
    /// The permissions to ask for; empty for those that this service needs.
    pub scopes: Vec<String>,
    /// Whether it belongs to the platform's sandbox.
    pub sandbox: bool,
    /// The address of a test server.
    pub base_url: Option<String>,
    /// What else the platform asks of it.
    pub settings: BTreeMap<String, String>,
}

/// What is stored of an app besides its ID and its secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Stored {
    scopes: Vec<String>,
    sandbox: bool,
    base_url: Option<String>,
    settings: BTreeMap<String, String>,
}

/// An app without its secret.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = AppAnswer)]
pub struct AppView {
    /// The connector's name.
    pub platform: String,
    /// How the platform names the app.
    pub client_id: String,
    /// The permissions to ask for; empty for those that this service needs.
    pub scopes: Vec<String>,
    /// Whether it belongs to the platform's sandbox.
    pub sandbox: bool,
    /// The address of a test server in the place of the platform's own.
    pub base_url: Option<String>,
    /// What else the platform asks of it.
    pub settings: BTreeMap<String, String>,
    /// When it was first entered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

fn stored(row: &AppRow) -> db::Result<Stored> {
    serde_json::from_str(&row.settings).map_err(|_| Error::Corrupt("apps.settings".to_owned()))
}

fn view(row: AppRow) -> db::Result<AppView> {
    let Stored { scopes, sandbox, base_url, settings } = stored(&row)?;
    let AppRow { platform, client_id, created_at, updated_at, .. } = row;
    Ok(AppView { platform, client_id, scopes, sandbox, base_url, settings, created_at, updated_at })
}

/// The app with its secret.
///
/// # Errors
/// If it cannot be opened.
pub(super) fn opened(row: &AppRow, sealer: &Sealer) -> db::Result<App> {
    let unusable = |why: &dyn std::fmt::Display| Error::Unavailable(format!("the app's secret cannot be opened: {why}"));
    let plain = sealer.open_for(Owner::App(&row.platform), &row.secret).map_err(|error| unusable(&error))?;
    let secret = String::from_utf8(plain).map_err(|error| unusable(&error))?.into();
    let Stored { scopes, sandbox, base_url, settings } = stored(row)?;
    Ok(App { client_id: row.client_id.clone(), secret, scopes, sandbox, base_url, settings })
}

/// What the platform asks of an app, if it needs one.
fn asked_of(platform: &str) -> Result<&'static [Entry], Vec<FieldError>> {
    let fields = consent_of(platform).and_then(Consent::app_fields);
    fields.ok_or_else(|| {
        let known: Vec<&str> = consents().iter().filter(|consent| consent.app_fields().is_some()).map(|c| c.platform()).collect();
        vec![FieldError::new("/platform", format!("must be one of: {}", known.join(", ")))]
    })
}

fn check(fields: &[Entry], entered: &EnteredApp, has_secret: bool) -> Result<(), Vec<FieldError>> {
    let is_word = |text: &str| !text.is_empty() && text.len() <= MAX_TEXT && text.bytes().all(|byte| byte.is_ascii_graphic());
    let mut checks = Checks::default();
    let word = "must be up to 500 visible ASCII characters";
    if !is_word(&entered.client_id) {
        checks.note("/client_id", word);
    }
    match &entered.client_secret {
        None if !has_secret => checks.note("/client_secret", "is required"),
        Some(secret) if !is_word(secret.expose_secret()) => checks.note("/client_secret", word),
        _ => {}
    }
    if entered.scopes.len() > MAX_SCOPES {
        checks.note("/scopes", format!("may be at most {MAX_SCOPES}"));
    } else if let Some(at) = entered.scopes.iter().position(|scope| !is_word(scope) || scope.contains(',')) {
        checks.note(format!("/scopes/{at}"), word);
    }
    if let Some(url) = &entered.base_url
        && (url.len() > MAX_TEXT || check_base_url(&url.replace(SHOP, "shop")).is_err())
    {
        checks.note("/base_url", "must be an http or https address; {shop} in it stands for the shop");
    }
    for field in fields {
        match entered.settings.get(field.name) {
            None if field.required => checks.note(format!("/settings/{}", field.name), format!("is required: {}", field.help)),
            None => {}
            Some(text) => drop(checks.take(&format!("/settings/{}", field.name), check_text(text, "it", MAX_TEXT))),
        }
    }
    for name in entered.settings.keys().filter(|name| fields.iter().all(|field| field.name != name.as_str())) {
        checks.extend([FieldError::named("/settings", "member", name, "is not a setting of an app on this platform")]);
    }
    checks.done()
}

/// Lists the apps.
///
/// # Errors
/// If the database cannot be read.
pub async fn list(service: &Service, _: Operator) -> Result<Vec<AppView>> {
    Ok(service.db.read(|conn| apps::apps(conn)?.into_iter().map(view).collect()).await?)
}

/// What the operator has changed, newest first.
///
/// # Errors
/// If the database cannot be read.
pub async fn history(service: &Service, _: Operator, after: Option<Uuid>, limit: i64) -> Result<Vec<OperatorEntry>> {
    Ok(service.db.read(move |conn| apps::operator_audit(conn, after, limit)).await?)
}

/// Enters the app of a platform, or replaces it. Stores that were connected through an app with the same ID get the new secret;
/// those of another app keep theirs.
///
/// # Errors
/// Every invalid field.
pub async fn put(service: &Service, _: Operator, platform: String, entered: EnteredApp) -> Result<AppView> {
    let fields = asked_of(&platform)?;
    let (now, sealer) = (service.now(), service.sealer.clone());
    let name = platform.clone();
    let saved = service.db.write(move |conn| {
        let before = apps::app(conn, &name)?;
        check(fields, &entered, before.is_some()).map_err(Error::Invalid)?;
        let old = before.as_ref().map(|row| opened(row, &sealer)).transpose();
        let secret = match (&entered.client_secret, &old) {
            (Some(secret), _) => secret.clone(),
            (None, Ok(Some(old))) => old.secret.clone(),
            (None, _) => {
                return Err(Error::Invalid(vec![FieldError::new(
                    "/client_secret",
                    "is required, because the stored one cannot be opened",
                )]));
            }
        };
        let sealed =
            sealer.seal_for(Owner::App(&name), secret.expose_secret().as_bytes()).map_err(|e| Error::Unavailable(e.to_string()))?;
        let EnteredApp { client_id, scopes, sandbox, base_url, settings, .. } = entered.clone();
        let stored = json!(Stored { scopes, sandbox, base_url, settings }).to_string();
        let created_at = before.as_ref().map_or(now, |row| row.created_at);
        let row = AppRow { platform: name.clone(), client_id, settings: stored, secret: sealed, created_at, updated_at: now };
        apps::save_app(conn, &row)?;
        let before = before.map(view).transpose()?.map(|view| json!(view));
        let after = view(row)?;
        append_operator_audit(conn, ("app.changed", &name), before.as_ref(), Some(&json!(after)), now)?;
        let replaced = old.ok().flatten().filter(|old| old.client_id == after.client_id).map(|old| old.secret);
        Ok((after, replaced, secret))
    });
    let (after, replaced, secret) = saved.await?;
    if let Some(old) = replaced.filter(|old| old.expose_secret() != secret.expose_secret()) {
        replace_copies(service, &platform, &after.client_id, (old, secret)).await?;
    }
    Ok(after)
}

/// Replaces the copies of an app's old secret among the credentials of the stores that were connected through it, store by store.
async fn replace_copies(service: &Service, platform: &str, client_id: &str, secrets: (SecretString, SecretString)) -> Result<()> {
    let mut after = None;
    loop {
        let (platform, client_id) = (platform.to_owned(), client_id.to_owned());
        let page = service.db.read(move |conn| stores_of_app(conn, &platform, &client_id, after)).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.seller, last.store.id));
        for store in page {
            let (sealer, secrets) = (service.sealer.clone(), secrets.clone());
            service.db.write(move |conn| replace_copy(conn, &store, &sealer, &secrets)).await?;
        }
    }
}

fn replace_copy(conn: &mut Conn, store: &AppStore, sealer: &Sealer, (old, new): &(SecretString, SecretString)) -> db::Result<()> {
    let mut current = Some(store.store.clone());
    while let Some(row) = current {
        // A store whose credentials do not open is marked as such already.
        let Ok(opened) = connection(store.seller, &row, sealer) else { return Ok(()) };
        let mut credentials = opened.credentials;
        for secret in credentials.values_mut().filter(|secret| secret.expose_secret() == old.expose_secret()) {
            *secret = new.clone();
        }
        let sealed = connection::seal(store.seller, row.id, &credentials, sealer).map_err(|e| Error::Unavailable(e.to_string()))?;
        // Its tokens may have been renewed meanwhile.
        current = replace_sealed(conn, store.seller, &row, sealed.as_deref())?;
    }
    Ok(())
}

/// Removes the app of a platform. Stores that were connected through it go on; no further ones can be.
///
/// # Errors
/// No such app.
pub async fn remove(service: &Service, _: Operator, platform: String) -> Result<()> {
    let now = service.now();
    let removed = service.db.write(move |conn| {
        let before = apps::app(conn, &platform)?.ok_or(Error::NotFound)?;
        apps::delete_app(conn, &platform)?;
        append_operator_audit(conn, ("app.removed", &platform), Some(&json!(view(before)?)), None, now)
    });
    Ok(removed.await?)
}
