//! Claimed pushes as a platform's connector receives them.
use crate::domain::claim::{ClaimedCall, ClaimedItem};
use crate::domain::delivery::Change;
use crate::platforms::call::{Action, Call, CallItem};
use std::collections::BTreeMap;

fn extra_fields(json: Option<&str>) -> BTreeMap<String, String> {
    json.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

pub(super) fn read_item(external_id: &str, extra: Option<&str>) -> CallItem {
    CallItem { external_id: external_id.to_owned(), extra: extra_fields(extra), quantity: 0, expected: None }
}

fn item(claimed: &ClaimedItem) -> CallItem {
    let (quantity, expected) = match claimed.change {
        Change::Add(units) | Change::Set(units) => (units, None),
        Change::SetIf { expected, to } => (to, Some(expected)),
    };
    CallItem { external_id: claimed.external_id.clone(), extra: extra_fields(claimed.extra.as_deref()), quantity, expected }
}

/// The call as the platform receives it. Built from the rows alone, so that a repetition is identical.
pub(super) fn platform_call(claimed: &ClaimedCall, keyed: bool) -> Call {
    let adds = claimed.items.iter().all(|item| matches!(item.change, Change::Add(_)));
    Call {
        action: if adds { Action::Adjust } else { Action::Set },
        items: claimed.items.iter().map(item).collect(),
        idempotency_key: keyed.then(|| claimed.id.to_string()),
    }
}
