//! Platforms, as the operator pauses them for all sellers, for instance during an outage.
use super::context::{Operator, Result, Service};
use super::pauses::check_reason;
use crate::db::apps::append_operator_audit;
use crate::db::platform_pauses::{PlatformPause, pause_platform, platform_pauses, resume_platform, stores_by_platform};
use crate::db::{self, Conn};
use crate::domain::Timestamp;
use crate::platforms::{by_name, registry};
use serde::Serialize;
use serde_json::json;

/// A platform.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = PlatformAnswer)]
pub struct PlatformView {
    /// The connector's name.
    pub platform: String,
    /// How many stores of all sellers are on it.
    pub stores: i64,
    /// Whether it is paused.
    pub paused: bool,
    /// Since when.
    pub paused_since: Option<Timestamp>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

fn views(conn: &mut Conn) -> db::Result<Vec<PlatformView>> {
    let (paused, stores) = (platform_pauses(conn)?, stores_by_platform(conn)?);
    let view = |name: &str| {
        let pause = paused.iter().find(|pause| pause.platform == name);
        PlatformView {
            platform: name.to_owned(),
            stores: stores.get(name).copied().unwrap_or_default(),
            paused: pause.is_some(),
            paused_since: pause.map(|pause| pause.since),
            reason: pause.and_then(|pause| pause.reason.clone()),
        }
    };
    Ok(registry().iter().map(|platform| view(platform.name())).collect())
}

/// All platforms.
///
/// # Errors
/// If the database fails.
pub async fn list(service: &Service, _: Operator) -> Result<Vec<PlatformView>> {
    Ok(service.db.read(views).await?)
}

/// Pauses a platform, or ends its pause. Once this returns, nothing more is claimed for stores on a paused one.
///
/// # Errors
/// No such platform, or a reason that is too long.
pub async fn set_paused(service: &Service, _: Operator, platform: &str, paused: bool, reason: Option<String>) -> Result<PlatformView> {
    if by_name(platform).is_none() {
        return Err(db::Error::NotFound.into());
    }
    check_reason("/reason", reason.as_deref())?;
    let (now, platform) = (service.now(), platform.to_owned());
    let changed = service.db.write(move |conn| {
        let there = platform_pauses(conn)?.into_iter().find(|pause| pause.platform == platform);
        match there {
            None if paused => {
                pause_platform(conn, &PlatformPause { platform: platform.clone(), since: now, reason: reason.clone() })?;
                append_operator_audit(conn, ("platform.paused", &platform), None, Some(&json!({ "reason": reason })), now)?;
            }
            Some(pause) if !paused => {
                resume_platform(conn, &platform, now)?;
                let before = json!({ "since": pause.since, "reason": pause.reason });
                append_operator_audit(conn, ("platform.resumed", &platform), Some(&before), None, now)?;
            }
            _ => {}
        }
        views(conn)?.into_iter().find(|view| view.platform == platform).ok_or(db::Error::NotFound)
    });
    Ok(changed.await?)
}
