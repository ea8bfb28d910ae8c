#!/usr/bin/env bash
# Runs schemathesis, which generates requests from the service's own description (/openapi.json): no answer may be a 5xx,
# undescribed, or at odds with its schema. Starts the service on SQLite in a temporary folder and a simulated platform
# for its stores, both on 127.0.0.1, and stops both.
#
#   tests/schemathesis.sh                        the same requests every time
#   SEED=7 EXAMPLES=200 tests/schemathesis.sh    other requests, and more of them for each path
#
# BINARY names a binary that is already built, SCHEMATHESIS an installed executable of the tool.
set -euo pipefail
cd "$(dirname "$0")/.."
seed="${SEED:-1}"
examples="${EXAMPLES:-15}"
work=$(mktemp -d)
started=()
stop() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT

tool="${SCHEMATHESIS:-}"
if [ -z "$tool" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet schemathesis==4.32.5
  tool="$work/venv/bin/schemathesis"
fi
binary="${BINARY:-}"
if [ -z "$binary" ]; then
  cargo build --locked --bin stocktide
  binary="${CARGO_TARGET_DIR:-target}/debug/stocktide"
fi

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
service="http://127.0.0.1:$(free_port)"
platform="http://127.0.0.1:$(free_port)"
operator=$(python3 -c 'import secrets; print(secrets.token_hex(24))')

"$binary" simulate-platform --listen "${platform#http://}" --throttle 0.05 --error-before 0.05 >"$work/platform.log" 2>&1 &
started+=($!)
# Quotas are raised out of the way: otherwise most answers would be 429.
STOCKTIDE_OPERATOR_KEY="$operator" STOCKTIDE_ALLOW_PRIVATE_TARGETS=true STOCKTIDE_REQUESTS_PER_SECOND=10000 \
  STOCKTIDE_FAILED_KEYS_PER_MINUTE=1000000 STOCKTIDE_REQUEST_TIMEOUT_MS=1000 \
  "$binary" serve --listen "${service#http://}" --database "sqlite://$work/stocktide.db" >"$work/service.log" 2>&1 &
started+=($!)
if ! curl --silent --fail --output /dev/null --retry 20 --retry-delay 1 --retry-connrefused "$service/readyz"; then
  cat "$work/service.log"
  exit 1
fi

# A seller with data of every kind, so that some generated ids exist.
ask() { curl --silent --show-error --fail-with-body -H "authorization: Bearer $1" -H 'content-type: application/json' -X "$2" "$service$3" -d "$4"; }
key=$(ask "$operator" POST /admin/sellers '{"name": "Drawn", "timezone": "Europe/Berlin"}' | member api_key)
store=$(ask "$key" POST /v1/stores "{\"name\": \"Simulated\", \"platform\": \"simulated\", \"base_url\": \"$platform\", \"credentials\": {}}" | member id)
ask "$key" PUT "/v1/stores/$store/listings" '[{"sku": "A", "external_id": "1"}, {"sku": "B", "external_id": "2"}]' >/dev/null
ask "$key" PUT /v1/sync-settings '{"auto_sync": true}' >/dev/null
ask "$key" POST /v1/stock-events '{"event_id": "first", "sku": "A", "kind": "purchase", "quantity": 5}' >/dev/null

# positive_data_acceptance and negative_data_rejection are left out: they require that every request that matches the
# schema is accepted and every other refused. Validity is more than a schema can say (a time zone, a share with two
# decimals, an id that exists), and the service is lenient on purpose in places (a body without a media type is JSON).
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance
checks=$checks,unsupported_method,ignored_auth
draw() (
  local who=$1 authorization=$2
  shift 2
  echo "schemathesis as $who, SEED=$seed EXAMPLES=$examples"
  # /v1/stream is excluded because its answer never ends. The tool writes files into the current folder, so that is $work.
  cd "$work" && "$tool" ${config:+--config-file "$config"} run "$service/openapi.json" -H "Authorization: Bearer $authorization" --checks "$checks" --seed "$seed" \
    --max-examples "$examples" --exclude-path /v1/stream --request-timeout 20 --continue-on-failure --no-color "$@"
)
# Generated ids rarely exist, so the paths of a single store are first tested with a real id, without DELETE. The
# requests that follow may find and delete that store.
cat >"$work/store.toml" <<EOF
[parameters]
"path.id" = "$store"
EOF
# The tool knows no NDJSON, and a described body that it cannot write is an error of the run.
cat >"$work/ndjson.py" <<'EOF'
import json, schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    return value if isinstance(value, (str, bytes)) else json.dumps(value)
EOF
export SCHEMATHESIS_HOOKS="$work/ndjson.py"
status=0
config="$work/store.toml" draw "the seller, about a store" "$key" --include-path-regex '^/v1/stores/\{id\}' --exclude-method DELETE || status=1
draw "the seller" "$key" --include-path-regex '^/v1/' || status=1
draw "the operator" "$operator" --include-path-regex '^/(admin/|healthz|readyz|metrics)' || status=1
# actix logs a request that is not valid HTTP as an error, but it is the client's.
if grep -E ' ERROR |panicked' "$work/service.log" | grep -v 'actix_http::h1::dispatcher: stream error: request parse error'; then
  echo "the service's log contains errors"
  status=1
fi
exit $status
