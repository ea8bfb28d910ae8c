//! For the operator: the stores of all sellers that are behind, worst first.
use super::auth::Operator;
use super::error::{ApiError, Problem};
use super::request::{Page, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::domain::acting::{MustAct, Trouble};
use crate::domain::behind::{BEHIND_BY, Cause, parse_by};
use crate::domain::{SellerId, StoreId, Timestamp};
use crate::platforms::{by_name, registry};
use crate::service::behind::{Asked, Late, Position, worst};
use crate::service::stores::StoreState;
use actix_web::{HttpRequest, HttpResponse, get};
use serde::{Deserialize, Serialize};

/// A store that is behind.
#[derive(Serialize, utoipa::ToSchema)]
struct BehindAnswer {
    seller_id: SellerId,
    seller_name: String,
    store_id: StoreId,
    store_name: String,
    platform: String,
    state: StoreState,
    cause: Cause,
    /// When its oldest work was recorded or should have begun; null for a store that lets nobody in and has nothing waiting.
    since: Option<Timestamp>,
    /// The cause in plain words, as the store or its platform gave it, or what to do.
    reason: String,
    /// Who can end it; null where time does, because updates are being sent.
    must_act: Option<MustAct>,
    /// What they do next.
    next_step: Option<&'static str>,
    /// Its updates that have not ended, held ones included.
    pending: i64,
}

impl From<Late> for BehindAnswer {
    fn from(Late { store, behind }: Late) -> Self {
        Self {
            state: StoreState::of(store.facts.needs_reauthorisation, store.facts.paused || store.facts.platform_paused, store.sync_enabled),
            seller_id: store.seller,
            seller_name: store.seller_name,
            store_id: store.store,
            store_name: store.store_name,
            platform: store.platform,
            cause: behind.cause,
            since: behind.since,
            must_act: behind.cause.must_act(),
            next_step: behind.cause.trouble().map(Trouble::next_step),
            reason: behind.reason,
            pending: store.pending,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BehindQuery {
    behind: Option<String>,
    platform: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// The position that a cursor of this list stands for.
pub(super) fn position_of(cursor: Option<&str>) -> Result<Option<Position>, ApiError> {
    let text = read_text_cursor(cursor)?;
    let read = |text: String| Position::parse(&text).ok_or_else(|| ApiError::field("/cursor", "is not a cursor of this list"));
    text.map(read).transpose()
}

/// Lists the stores of all sellers that are behind, worst first: those whose oldest work is older than `behind`, and those that let nobody
/// in. What is broken comes before what is catching up, and that before what a seller wants to wait. Suspended sellers are left out.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query),
        ("behind" = Option<String>, Query, description = "How old a store's work may be, such as `60s` (the default), `5m` or `2h`; at most `31d`."),
        ("platform" = Option<String>, Query, description = "Only stores of this platform.")),
    responses((status = 200, body = Page<BehindAnswer>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/admin/stores")]
pub async fn list_stores_behind(operator: Operator, state: State, request: HttpRequest) -> Answer {
    let params: BehindQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, position_of(params.cursor.as_deref())?);
    let by = params.behind.as_deref().map_or(Ok(BEHIND_BY), parse_by).map_err(|e| ApiError::field("/behind", e))?;
    if params.platform.as_deref().is_some_and(|platform| by_name(platform).is_none()) {
        let names: Vec<&str> = registry().iter().map(|platform| platform.name()).collect();
        return Err(ApiError::field("/platform", format!("must be one of {}", names.join(", "))));
    }
    let and_one = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let asked = Asked { by, platform: params.platform, after, limit: and_one };
    let found = worst(&state.service, operator, asked).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |late| text_cursor(&late.position().text()), BehindAnswer::from)))
}
