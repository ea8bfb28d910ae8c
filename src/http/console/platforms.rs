//! For the operator: the platforms, to pause and resume them.
use super::field::Field;
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying};
use super::session::OperatorVisit;
use super::show::{Stamp, count};
use crate::http::state::State;
use crate::platforms::form::form_of;
use crate::service::platforms;
use actix_web::web::Path;
use askama::Template;

const HERE: &str = "/console/operator/platforms";

struct PlatformLine {
    id: String,
    name: String,
    stores: String,
    paused: bool,
    since: Option<Stamp>,
    why: Option<String>,
    reason: Field,
}

#[derive(Template)]
#[template(path = "paused_platforms.html")]
struct PlatformsPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    platforms: Vec<PlatformLine>,
    errors: Vec<String>,
}

fn label(platform: &str) -> String {
    form_of(platform).map_or(platform, |form| form.label).to_owned()
}

async fn show(visit: &OperatorVisit, state: &State, errors: FormErrors) -> PageAnswer {
    let frame = &visit.frame;
    let found = platforms::list(&state.service, visit.operator).await?;
    let line = |platform: platforms::PlatformView| PlatformLine {
        name: label(&platform.platform),
        stores: count(platform.stores, "store", "stores"),
        paused: platform.paused,
        since: frame.stamp_of(platform.paused_since),
        why: platform.reason,
        reason: Field::new(format!("reason-{}", platform.platform), format!("Reason to pause {}", label(&platform.platform)), "text")
            .optional(),
        id: platform.platform,
    };
    let errors_shown = errors.elsewhere(&[]);
    let page = PlatformsPage { frame, here: "platforms", platforms: found.into_iter().map(line).collect(), errors: errors_shown };
    if errors.0.is_empty() { frame.page(&page) } else { frame.rejected(&page) }
}

pub(super) async fn page(visit: OperatorVisit, state: State) -> PageAnswer {
    show(&visit, &state, FormErrors::default()).await
}

/// Pauses or resumes a platform.
pub(super) async fn switch(posted: Posted<OperatorVisit>, state: State, platform: Path<String>) -> PageAnswer {
    let (visit, platform) = (&posted.visit, platform.into_inner());
    let paused = posted.fields.text("paused") == "on";
    let reason = posted.fields.some(&format!("reason-{platform}")).map(str::to_owned);
    match field_errors(platforms::set_paused(&state.service, visit.operator, &platform, paused, reason).await)? {
        Err(errors) => show(visit, &state, errors).await,
        Ok(_) if paused => {
            Ok(go_saying(HERE, &format!("{} is paused for all sellers. Updates are held until you resume it.", label(&platform))))
        }
        Ok(_) => Ok(go_saying(HERE, &format!("{} is resumed. What has waited is sent now.", label(&platform)))),
    }
}
