#!/bin/sh
# Sends one stock event to Stocktide until it is certainly recorded, exactly once. Needs curl 7.55 or later.
#
#   STOCK_URL=https://stocktide.example.com STOCK_KEY=... send.sh EVENT_ID SKU KIND QUANTITY
#
# Take the event id from your own document, such as "receipt-4711-line-3", or draw one and store it with the document before
# you send it. With the same id, the event can be sent as often as it takes: it is applied once.
set -eu
[ $# = 4 ] || { echo "send.sh EVENT_ID SKU KIND QUANTITY" >&2; exit 2; }
give_up_at=$(($(date +%s) + 15 * 60)) # then keep the event and send it later, with the same id
longest_pause=30
pause=1

# Backslashes and quotation marks as JSON wants them.
text() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }
event=$(printf '{"event_id":%s,"sku":%s,"kind":%s,"quantity":%d}' "$(text "$1")" "$(text "$2")" "$(text "$3")" "$4")
answer=$(mktemp)
trap 'rm -f "$answer" "$answer.head"' EXIT

while :; do
  # The key goes in by standard input, because others can read a command line.
  status=$(printf 'Authorization: Bearer %s\n' "$STOCK_KEY" |
    curl --silent --max-time 20 --output "$answer" --dump-header "$answer.head" --write-out '%{http_code}' --header @- \
      --header 'Content-Type: application/json' --data-binary "$event" "${STOCK_URL%/}/v1/stock-events") || status=000
  case $status in
    200)
      case $(cat "$answer") in
        *'"status":"duplicate"'*) echo duplicate ;; # an earlier attempt has arrived although its answer was lost
        *) echo accepted ;;
      esac
      exit 0
      ;;
    # 408 too slow, 429 quota, 5xx the service or its proxy, 000 no answer, so that it may have arrived or not: the same again,
    # later.
    000 | 408 | 429 | 5??) ;;
    # Everything else is about this event or this key: 400 and 422 wrong fields, 401 and 403 the key, 409 the id belongs to
    # another event.
    *)
      echo "$1: $status: $(cat "$answer")" >&2
      exit 1
      ;;
  esac
  if [ "$(date +%s)" -gt "$give_up_at" ]; then
    echo "$1: gave up for now; send the event again later with the same id ($status)" >&2
    exit 1
  fi
  retry_after=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9][0-9]*\).*/\1/p' "$answer.head" 2>/dev/null || true)
  # Spread out, so that many clients do not come back at the same instant.
  sleep $((${retry_after:-0} + $(od -An -N2 -tu2 /dev/urandom) % pause + 1))
  pause=$((pause * 2 > longest_pause ? longest_pause : pause * 2))
done
