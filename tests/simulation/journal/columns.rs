//! What of each table is written down, by the word that its entries begin with.
pub(super) const COLUMNS: [(&str, &str, &str); 9] = [
    ("event", "stock_events", "event_id"),
    (
        "settings",
        "sync_settings",
        "auto_sync, frequency, daily_at, timezone, catch_up_hours, allocation_mode, buffer, trigger_on_cancellation, timed_since",
    ),
    ("rule", "rules", "sku, hex:store_id, share, buffer, threshold, max_shown, sync_enabled"),
    (
        "store",
        "stores",
        "hex:id, name, warehouses, share, sync_enabled, paused, needs_reauthorisation, created_at, protect_unseen_sales, unseen_sales_hours, seller_paused, platform_paused, frozen, falls, restocks_returns",
    ),
    ("listing", "listings", "hex:id, hex:store_id, sku, external_id, marked, shown, units, shown_at"),
    (
        "push",
        "pushes",
        "hex:id, hex:store_id, hex:listing_id, external_id, kind, quantity, state, hex:call_id, base, cancel_requested, hex:run_id, reason, shown_before, unseen, with:updated_at",
    ),
    ("pause", "pauses", "level, subject"),
    ("component", "bundle_components", "bundle, component, quantity"),
    ("run", "sync_runs", "hex:id, kind, state, hex:store_id, local_date, total, done, failed, started_at, hex:undoes"),
];
