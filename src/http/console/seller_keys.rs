//! A seller's API keys, as the operator makes and revokes them. A new key is shown once, by the answer to the form that makes it.
use super::form::Posted;
use super::page::{PageAnswer, field_errors, go_saying};
use super::seller_page::{ConfirmPage, KeyPage, address_of, name_of, show};
use super::session::OperatorVisit;
use crate::db::sellers;
use crate::domain::{KeyId, SellerId};
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::service::sellers::{create_key, revoke_key};
use actix_web::web::Path;

/// Makes a key and shows it.
pub(super) async fn add(posted: Posted<OperatorVisit>, state: State, id: Path<SellerId>) -> PageAnswer {
    let id = id.into_inner();
    let (visit, name) = (&posted.visit, posted.fields.text("name"));
    let seller = state.db.read(move |conn| sellers::seller(conn, id)).await?;
    let entered = Some(name.to_owned()).filter(|name| !name.is_empty());
    match field_errors(create_key(&state.service, visit.operator, id, entered).await)? {
        Err(errors) => show(visit, &state, id, name, errors).await,
        Ok(key) => visit.frame.page(&KeyPage::new(&visit.frame, &seller, format!("A new key for {}", seller.name), &key)),
    }
}

pub(super) async fn revoke_page(visit: OperatorVisit, state: State, path: Path<(SellerId, KeyId)>) -> PageAnswer {
    let (id, key) = path.into_inner();
    let (seller, keys) = state.db.read(move |conn| Ok((sellers::seller(conn, id)?, sellers::keys(conn, id)?))).await?;
    let row = keys.into_iter().find(|row| row.id == key).ok_or_else(|| ApiError::not_found("key"))?;
    visit.frame.page(&ConfirmPage {
        frame: &visit.frame,
        here: "sellers",
        question: format!("Revoke {}?", name_of(&row)),
        seller: seller.name,
        consequences: &[
            "Whatever uses this key is refused from now on, and everybody who has signed in with it is signed out.",
            "This cannot be undone. Create another key first if something still needs one.",
        ],
        field: ("revoke", "on"),
        action: format!("{}/keys/{key}/revoke", address_of(id)),
        button: "Revoke",
        back: address_of(id),
    })
}

pub(super) async fn revoke(posted: Posted<OperatorVisit>, state: State, path: Path<(SellerId, KeyId)>) -> PageAnswer {
    let (id, key) = path.into_inner();
    revoke_key(&state.service, posted.visit.operator, id, key).await?;
    Ok(go_saying(&address_of(id), "The key is revoked."))
}
