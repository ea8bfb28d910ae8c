-- Each becomes the pushes that it holds. The last two bytes of its id count upwards.
INSERT INTO pushes (seller_id, id, store_id, listing_id, sku, external_id, extra, kind, quantity, state, attempts, reason,
    created_at, updated_at, due_at, confirmed_at, call_id, resolution, cancel_requested, run_id, in_doubt, contained)
SELECT seller_id, substring(push_packs.id FROM 1 FOR 14) || decode(lpad(to_hex(
        256 * get_byte(push_packs.id, 14) + get_byte(push_packs.id, 15) + CAST(item.n AS INTEGER) - 1), 4, '0'), 'hex'),
    store_id, decode(item.value ->> 0, 'hex'), item.value ->> 1, item.value ->> 2, item.value ->> 3, 1,
    CAST(CAST(quantities AS JSON) ->> CAST(item.n - 1 AS INTEGER) AS BIGINT), state, CAST(call_id IS NOT NULL AS INTEGER), reason,
    created_at, updated_at, due_at, confirmed_at, call_id, resolution, FALSE, run_id, FALSE, FALSE
FROM push_packs, json_array_elements(CAST(items AS JSON)) WITH ORDINALITY AS item (value, n);
DROP TABLE push_packs;
