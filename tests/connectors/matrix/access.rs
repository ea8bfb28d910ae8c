//! A token with half the permissions that it needs.
use super::faces::Face;
use super::play;
use super::shop::Canned;
use stocktide::domain::push::PushState::Held;

/// How each platform answers a write that the token's permissions do not cover.
fn denied(platform: &str) -> Canned {
    let body = match platform {
        "shopify" => {
            r#"{"data": {"inventoryAdjustQuantities": null}, "errors": [{"message": "write_inventory", "extensions": {"code": "ACCESS_DENIED"}}]}"#
        }
        "shopee" => r#"{"error": "error_ashop_api_permission", "message": "no permission"}"#,
        "woocommerce" => {
            return (
                401,
                &[],
                r#"{"code": "woocommerce_rest_authentication_error", "message": "The API key provided does not have write permissions."}"#,
            );
        }
        "lazada" => r#"{"code": "InsufficientPermission", "message": "no permission"}"#,
        "tiktok_shop" => r#"{"code": 105005, "message": "scope missing"}"#,
        "vendure" => r#"{"data": null, "errors": [{"message": "You are not authorized", "extensions": {"code": "FORBIDDEN"}}]}"#,
        _ => return (403, &[], r#"{"message": "no permission"}"#),
    };
    (200, &[], body)
}

/// Reads work and writes do not: only a write that works releases what is held, and a single one is sent to find out.
pub fn a_token_that_may_only_read(face: Face) {
    let (platform, batch) = (face.platform, face.batch);
    play(face, 12, async |stage| {
        stage.shop.trouble(|trouble| trouble.writes_denied = Some(denied(platform)));
        stage.arrive(5).await;
        stage.sleep(30).await;
        let store = stage.store().await;
        assert!(store.needs_reauthorisation && store.write_refused && store.problem.is_some(), "{store:?}");
        let (writes, _) = stage.calls();
        assert!(writes <= if batch == 1 { 4 } else { 1 }, "{writes} writes");
        let checked = stage.check().await;
        assert!(platform != "simulated" || checked.is_none(), "{checked:?}");
        stage.sleep(60).await;
        assert!(stage.store().await.write_refused, "a check that works is no write that works");
        assert!(stage.calls().0 <= writes + 2, "{} writes", stage.calls().0);
        let sizes: Vec<usize> = stage.shop.state().log.iter().filter(|(_, ask)| ask.writes()).map(|(_, ask)| ask.rows()).collect();
        assert!(sizes[writes..].iter().all(|rows| *rows <= 1), "a single one is sent to find out: {sizes:?}");
        assert_eq!(stage.in_state(Held).await.len(), 12, "{:#?}", stage.pushes().await);
        stage.sleep(3000).await;
        assert!(stage.calls().0 <= writes + 6, "one probe in a quarter of an hour: {} writes", stage.calls().0);
        stage.shop.recovers();
        stage.retry_held().await;
        stage.sleep(90).await;
        stage.all_show(15).await;
        assert!(!stage.store().await.needs_reauthorisation);
    });
}
