#!/usr/bin/env node
// Sends one stock event to Stocktide until it is certainly recorded, exactly once. Needs Node.js 18 or later.
//
//   STOCK_URL=https://stocktide.example.com STOCK_KEY=... node send.mjs EVENT_ID SKU KIND QUANTITY
//
// Take the event id from your own document, such as "receipt-4711-line-3", or draw one and store it with the document before
// you send it. With the same id, the event can be sent as often as it takes: it is applied once.
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const GIVE_UP_AFTER_MS = 15 * 60 * 1000; // then keep the event and send it later, with the same id
const LONGEST_PAUSE_MS = 30_000;

/** The event will be refused however often it is sent: somebody has to look at it. */
export class Refused extends Error {}

/** Resolves to "accepted" or "duplicate": an earlier attempt has arrived although its answer was lost. */
export async function send(event) {
  const started = Date.now();
  for (let attempt = 0; ; attempt++) {
    let retryAfterMs = 0;
    let reason;
    try {
      const answer = await fetch(new URL("/v1/stock-events", process.env.STOCK_URL), {
        method: "POST",
        headers: { authorization: `Bearer ${process.env.STOCK_KEY}`, "content-type": "application/json" },
        body: JSON.stringify(event),
        signal: AbortSignal.timeout(20_000),
      });
      const body = await answer.text();
      if (answer.ok) return JSON.parse(body).results[0].status;
      reason = `${answer.status}: ${body}`;
      // 408 too slow, 429 quota, 500 and above the service or its proxy: the same again, later. Everything else is about this
      // event or this key: 400 and 422 wrong fields, 401 and 403 the key, 409 the id belongs to another event.
      if (![408, 429].includes(answer.status) && answer.status < 500) throw new Refused(reason);
      retryAfterMs = 1000 * (Number(answer.headers.get("retry-after")) || 0);
    } catch (error) {
      if (error instanceof Refused) throw error;
      // No connection, no answer, or half an answer: it may have arrived or not.
      reason = error.cause?.message ?? error.message;
    }
    if (Date.now() - started > GIVE_UP_AFTER_MS) {
      throw new Error(`gave up for now; send the event again later with the same id (${reason})`);
    }
    // Full jitter, so that many clients do not come back at the same instant.
    await pause(retryAfterMs + Math.random() * Math.min(LONGEST_PAUSE_MS, 500 * 2 ** attempt));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [event_id, sku, kind, quantity] = process.argv.slice(2);
  if (quantity === undefined) {
    console.error("send.mjs EVENT_ID SKU KIND QUANTITY");
    process.exit(2);
  }
  try {
    console.log(await send({ event_id, sku, kind, quantity: Number(quantity) }));
  } catch (error) {
    console.error(`${event_id}: ${error.message}`);
    process.exitCode = 1;
  }
}
