//! The tables as the migrations make them; `tests/architecture/migrations.rs` compares the two.
#![expect(missing_docs, reason = "columns are explained where their rows are read")]

mod bundle_tables;
mod consent_tables;
mod drift_tables;
mod email_tables;
mod node_tables;
mod operator_tables;
mod pause_tables;
mod usage_tables;
mod webhook_tables;

pub use bundle_tables::bundle_components;
pub use consent_tables::{authorizations, grants};
pub use drift_tables::{drift_checks, drifts};
pub use email_tables::{email_addresses, email_links, email_mails, email_news};
pub use node_tables::{nodes, shards};
pub use operator_tables::{apps, operator_audit, platform_pauses};
pub use pause_tables::{frozen_windows, pauses};
pub use usage_tables::{usage_days, usage_progress};
pub use webhook_tables::{webhook_messages, webhooks};

diesel::table! {
    sellers (id) {
        id -> Binary,
        name -> Text,
        timezone -> Text,
        suspended -> Bool,
        sku_count -> BigInt,
        created_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
        setup_version -> BigInt,
        events_per_second -> Nullable<BigInt>,
        max_skus -> Nullable<BigInt>,
        max_stores -> Nullable<BigInt>,
        records_kept_days -> Nullable<BigInt>,
    }
}

diesel::table! {
    api_keys (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        hash -> Binary,
        created_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
        name -> Nullable<Text>,
    }
}

diesel::table! {
    sync_settings (seller_id) {
        seller_id -> Binary,
        auto_sync -> Bool,
        frequency -> Text,
        daily_at -> Text,
        timezone -> Text,
        catch_up_hours -> BigInt,
        allocation_mode -> Text,
        buffer -> BigInt,
        trigger_on_cancellation -> Bool,
        timed_since -> BigInt,
        next_run_at -> Nullable<BigInt>,
        create_skus -> Bool,
        guard_zero_percent -> Nullable<BigInt>,
        guard_units -> Nullable<BigInt>,
        drift -> Text,
        next_check_at -> Nullable<BigInt>,
        has_bundles -> Bool,
    }
}

diesel::table! {
    warehouses (seller_id, code) {
        seller_id -> Binary,
        code -> Text,
        name -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    stores (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        name -> Text,
        platform -> Text,
        base_url -> Nullable<Text>,
        config -> Text,
        credentials -> Nullable<Binary>,
        warehouses -> Nullable<Text>,
        share -> Nullable<BigInt>,
        sync_enabled -> Bool,
        paused -> Bool,
        needs_reauthorisation -> Bool,
        problem -> Nullable<Text>,
        probe_at -> Nullable<BigInt>,
        last_success_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        shop -> Nullable<Text>,
        write_refused -> Bool,
        protect_unseen_sales -> Bool,
        unseen_sales_hours -> BigInt,
        sales_named_at -> Nullable<BigInt>,
        has_multiples -> Bool,
        seller_paused -> Bool,
        platform_paused -> Bool,
        frozen -> Nullable<Text>,
        resumes_at -> Nullable<BigInt>,
        rehearsal -> Bool,
        falls -> SmallInt,
        restocks_returns -> Bool,
        restocks_cancellations -> Bool,
        repeats_skus -> Bool,
    }
}

diesel::table! {
    skus (seller_id, sku) {
        seller_id -> Binary,
        sku -> Text,
        name -> Nullable<Text>,
        created_at -> BigInt,
        folded -> Nullable<Text>,
    }
}

diesel::table! {
    stock_levels (seller_id, sku, warehouse) {
        seller_id -> Binary,
        sku -> Text,
        warehouse -> Text,
        available -> BigInt,
        counted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    listings (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        store_id -> Binary,
        sku -> Text,
        external_id -> Text,
        extra -> Nullable<Text>,
        shown -> Nullable<BigInt>,
        shown_at -> Nullable<BigInt>,
        doubt_until -> Nullable<BigInt>,
        marked -> Bool,
        created_at -> BigInt,
        settles_at -> Nullable<BigInt>,
        late_numbers -> Nullable<Text>,
        changed_at -> Nullable<BigInt>,
        owed_since -> Nullable<BigInt>,
        look_at -> Nullable<BigInt>,
        shown_earlier -> Nullable<Text>,
        paired_by_pass -> Nullable<BigInt>,
        expected -> Nullable<BigInt>,
        expected_otherwise -> Nullable<BigInt>,
        unseen -> BigInt,
        unseen_since -> Nullable<BigInt>,
        units -> BigInt,
        reports -> BigInt,
        sold -> BigInt,
        sold_when_shown -> BigInt,
        increased -> BigInt,
        set_by -> Nullable<Binary>,
        unattributed -> BigInt,
    }
}

diesel::table! {
    rules (seller_id, scope) {
        seller_id -> Binary,
        scope -> Text,
        sku -> Nullable<Text>,
        store_id -> Nullable<Binary>,
        share -> Nullable<BigInt>,
        buffer -> Nullable<BigInt>,
        threshold -> Nullable<BigInt>,
        max_shown -> Nullable<BigInt>,
        sync_enabled -> Nullable<Bool>,
    }
}

diesel::table! {
    stock_events (seller_id, event_id) {
        seller_id -> Binary,
        event_id -> Text,
        body_hash -> Binary,
        sku -> Text,
        kind -> Text,
        quantity -> BigInt,
        warehouse -> Text,
        to_warehouse -> Nullable<Text>,
        occurred_at -> Nullable<BigInt>,
        note -> Nullable<Text>,
        accepted_at -> BigInt,
        in_count -> Nullable<SmallInt>,
        store_id -> Nullable<Binary>,
    }
}

diesel::table! {
    pushes (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        store_id -> Binary,
        listing_id -> Binary,
        sku -> Text,
        external_id -> Text,
        extra -> Nullable<Text>,
        kind -> SmallInt,
        quantity -> Nullable<BigInt>,
        state -> SmallInt,
        attempts -> Integer,
        reason -> Nullable<Text>,
        next_step -> Nullable<Text>,
        raw_answer -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        due_at -> Nullable<BigInt>,
        confirmed_at -> Nullable<BigInt>,
        call_id -> Nullable<Binary>,
        base -> Nullable<BigInt>,
        resolution -> Nullable<SmallInt>,
        failing_since -> Nullable<BigInt>,
        batch_limit -> Nullable<Integer>,
        cancel_requested -> Bool,
        run_id -> Nullable<Binary>,
        in_doubt -> Bool,
        contained -> Bool,
        cause -> Nullable<Text>,
        shown_before -> Nullable<BigInt>,
        unseen -> Nullable<BigInt>,
        replaced -> Nullable<Text>,
        undo -> Nullable<Text>,
    }
}

diesel::table! {
    push_packs (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        store_id -> Binary,
        run_id -> Binary,
        size -> Integer,
        state -> SmallInt,
        reason -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        due_at -> Nullable<BigInt>,
        confirmed_at -> Nullable<BigInt>,
        call_id -> Nullable<Binary>,
        resolution -> Nullable<SmallInt>,
        first_listing -> Binary,
        last_listing -> Binary,
        scattered -> Bool,
        quantities -> Nullable<Text>,
        items -> Text,
        replaced -> Nullable<Text>,
    }
}

diesel::table! {
    sync_runs (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        kind -> Text,
        state -> Text,
        store_id -> Nullable<Binary>,
        local_date -> Nullable<Text>,
        filter -> Nullable<Text>,
        total -> BigInt,
        done -> BigInt,
        failed -> BigInt,
        expanded_to -> Nullable<Binary>,
        expanded -> Bool,
        reason -> Nullable<Text>,
        scheduled_for -> Nullable<BigInt>,
        started_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        weighed -> Bool,
        question -> Nullable<Text>,
        answer_by -> Nullable<BigInt>,
        undoes -> Nullable<Binary>,
        undone_by -> Nullable<Binary>,
    }
}

diesel::table! {
    audit (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        at -> BigInt,
        actor -> Text,
        action -> Text,
        subject -> Text,
        before -> Nullable<Text>,
        after -> Nullable<Text>,
    }
}

diesel::table! {
    sessions (token_hash) {
        token_hash -> Binary,
        seller_id -> Nullable<Binary>,
        key_id -> Nullable<Binary>,
        operator_proof -> Nullable<Binary>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    removed_stores (seller_id, store_id) {
        seller_id -> Binary,
        store_id -> Binary,
        removed_at -> BigInt,
    }
}

diesel::table! {
    store_circuits (seller_id, store_id) {
        seller_id -> Binary,
        store_id -> Binary,
        open_until -> BigInt,
    }
}

diesel::table! {
    app_calls (app, slot) {
        app -> Text,
        slot -> BigInt,
        calls -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    email_addresses,
    email_news,
    email_mails,
    webhooks,
    webhook_messages,
    drift_checks,
    drifts,
    pauses,
    frozen_windows,
    sellers,
    api_keys,
    sync_settings,
    warehouses,
    stores,
    skus,
    stock_levels,
    listings,
    rules,
    stock_events,
    pushes,
    push_packs,
    sync_runs,
    audit,
    sessions,
    store_circuits,
    removed_stores,
    grants
);
