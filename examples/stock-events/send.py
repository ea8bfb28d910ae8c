#!/usr/bin/env python3
"""Sends one stock event to Stocktide until it is certainly recorded, exactly once.

    STOCK_URL=https://stocktide.example.com STOCK_KEY=... send.py EVENT_ID SKU KIND QUANTITY

Take the event id from your own document, such as "receipt-4711-line-3", or draw one and store it with the document before you
send it. With the same id, the event can be sent as often as it takes: it is applied once.
"""
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request

GIVE_UP_AFTER = 15 * 60  # seconds; then keep the event and send it later, with the same id
LONGEST_PAUSE = 30


class Refused(Exception):
    """The event will be refused however often it is sent: somebody has to look at it."""


def send(event):
    """Returns "accepted" or "duplicate": an earlier attempt has arrived although its answer was lost."""
    request = urllib.request.Request(
        os.environ["STOCK_URL"].rstrip("/") + "/v1/stock-events",
        data=json.dumps(event).encode(),
        headers={"Authorization": "Bearer " + os.environ["STOCK_KEY"], "Content-Type": "application/json"},
    )
    started, attempt = time.monotonic(), 0
    while True:
        retry_after = 0
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)["results"][0]["status"]
        except urllib.error.HTTPError as error:
            # 408 too slow, 429 quota, 500 and above the service or its proxy: the same again, later. Everything else is about
            # this event or this key: 400 and 422 wrong fields, 401 and 403 the key, 409 the id belongs to another event.
            problem = error.read().decode(errors="replace")
            if error.code not in (408, 429) and error.code < 500:
                raise Refused(f"{error.code}: {problem}") from error
            seconds = error.headers.get("Retry-After", "")
            retry_after = int(seconds) if seconds.isdigit() else 0
            reason = f"{error.code}: {problem}"
        except (OSError, ValueError) as error:
            # No connection, no answer, or half an answer: it may have arrived or not.
            reason = str(error)
        if time.monotonic() - started > GIVE_UP_AFTER:
            raise TimeoutError(f"gave up for now; send the event again later with the same id ({reason})")
        # Full jitter, so that many clients do not come back at the same instant.
        time.sleep(retry_after + random.uniform(0, min(LONGEST_PAUSE, 0.5 * 2**attempt)))
        attempt += 1


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    event_id, sku, kind, quantity = sys.argv[1:]
    try:
        print(send({"event_id": event_id, "sku": sku, "kind": kind, "quantity": int(quantity)}))
    except (Refused, TimeoutError) as error:
        sys.exit(f"{event_id}: {error}")
