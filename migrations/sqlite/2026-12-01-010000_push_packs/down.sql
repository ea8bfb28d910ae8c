-- Each becomes the pushes that it holds. The last four hexadecimal digits of its id count upwards.
INSERT INTO pushes (seller_id, id, store_id, listing_id, sku, external_id, extra, kind, quantity, state, attempts, reason,
    created_at, updated_at, due_at, confirmed_at, call_id, resolution, cancel_requested, run_id, in_doubt, contained)
SELECT seller_id, unhex(substr(hex(push_packs.id), 1, 28) || printf('%04X',
        4096 * instr('123456789ABCDEF', substr(hex(push_packs.id), 29, 1))
        + 256 * instr('123456789ABCDEF', substr(hex(push_packs.id), 30, 1))
        + 16 * instr('123456789ABCDEF', substr(hex(push_packs.id), 31, 1))
        + instr('123456789ABCDEF', substr(hex(push_packs.id), 32, 1)) + item.key)),
    store_id, unhex(item.value ->> 0), item.value ->> 1, item.value ->> 2, item.value ->> 3, 1,
    json_extract(quantities, '$[' || item.key || ']'), state, call_id IS NOT NULL, reason, created_at, updated_at, due_at,
    confirmed_at, call_id, resolution, FALSE, run_id, FALSE, FALSE
FROM push_packs, json_each(items) AS item;
DROP TABLE push_packs;
