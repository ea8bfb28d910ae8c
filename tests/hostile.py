#!/usr/bin/env python3
"""Sends hostile requests over 64 connections to the service, and shows what a neighbour notices and what the process occupies.

    cargo build --release
    tests/hostile.py FOLDER                 an hour
    tests/hostile.py FOLDER --minutes 2 --connections 16

Starts a service on a new SQLite database, a simulated platform for the neighbour, and a platform whose replies are hostile, all
on free ports of 127.0.0.1. The attackers have keys of their own; they send bodies, forms, files and queries of all sizes up to
the largest, whole, in chunks or slowly. The neighbour sends single stock events at a steady rate. Prints the neighbour's
latencies, the units that its listings miss or have twice, the service's peak memory, and every status that was answered; exits
with 1 unless all of that is as it should be. Needs Linux's /proc and only Python's standard library.
"""
import argparse
import collections
import http.client
import http.server
import json
import math
import multiprocessing
import os
import pathlib
import random
import socket
import sys
import threading
import time

from support.service import BINARY, Programs, free_address, memory_mb

PROCESSES = 4
ATTACKERS = 8
LARGEST = 16 * 1024 * 1024 - 4096
SKUS = [f"SKU-{number}" for number in range(50)]
MOST_RESIDENT_MB = 512
MOST_P99_MS = 250


def call(address, method, path, key="", body=None, form=None):
    """Status, headers and body of the answer."""
    connection = http.client.HTTPConnection(address, timeout=60)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if form is not None:
        payload, headers["content-type"] = form, "application/x-www-form-urlencoded"
    else:
        payload = None if body is None else json.dumps(body)
        headers["content-type"] = "application/json"
    try:
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def must(address, method, path, key, body=None):
    status, _, answer = call(address, method, path, key, body)
    if status >= 300:
        sys.exit(f"{method} {path}: {status} {answer[:500]!r}")
    return json.loads(answer) if answer else None


# --- the attack ------------------------------------------------------------------------------------------------------


def filled(head, repeated, tail, size):
    return (head + repeated * max(1, (size - len(head) - len(tail)) // len(repeated)) + tail).encode()


def numbered(form, size):
    return ",".join(form % number for number in range(max(1, size // (len(form) + 4)))).encode()


def events(size):
    count = max(1, min(10_000, size // 400))
    note = "x" * min(1000, max(0, size // count - 100))
    run = random.getrandbits(64)
    items = [
        {"event_id": f"{run}-{i}", "sku": random.choice(SKUS), "kind": "purchase", "quantity": 1, "note": note} for i in range(count)
    ]
    return json.dumps(items).encode()


def rows(size):
    return json.dumps([{"sku": SKUS[i % 50], "external_id": f"x{i}"} for i in range(min(10_000, max(1, size // 40)))]).encode()


JSON, CSV, LINES = "application/json", "text/csv", "application/x-ndjson"
FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data; boundary=q"
PART = '--q\r\ncontent-disposition: form-data; name="csrf"\r\n\r\n$csrf\r\n--q\r\ncontent-disposition: form-data; name="file"\r\n\r\n'
LISTINGS, IMPORT = "/v1/stores/$store/listings", "/console/stores/$store/import"
# Method, path, media type and the body of a given size.
REQUESTS = [
    ("POST", "/console/sign-in", FORM, lambda n: filled("", "a&", "", n)),
    ("POST", "/console/sign-in", FORM, lambda n: filled("key=stk_wrong&next=", '"', "", min(n, 4000))),
    ("PUT", LISTINGS, CSV, lambda n: numbered("c%d", n)),
    ("PUT", LISTINGS, CSV, lambda n: filled("sku,external_id\n", ",", "\n", n)),
    ("PUT", LISTINGS, CSV, lambda n: filled("sku,external_id\n", "a\n", "", n)),
    ("PUT", LISTINGS, CSV, lambda n: filled('sku,external_id\n"', "A,a\n", "", n)),
    ("PUT", LISTINGS, JSON, rows),
    ("PUT", LISTINGS, JSON, lambda n: filled("[", '{"a":1,"b":1,"c":1,"d":1},', "{}]", min(n, 260_000))),
    ("PUT", "/v1/sync-settings", JSON, lambda n: b"{" + numbered('"m%d":1', n) + b"}"),
    ("PUT", "/v1/sync-settings", JSON, lambda n: filled('{"', "x", '":1}', n)),
    ("POST", "/v1/stores", JSON, lambda n: filled('{"name":"x","platform":"simulated","abilities":[', "1,", "1]}", n)),
    ("POST", "/v1/stores", JSON, lambda n: filled('{"name":"', '\\"', '"}', n)),
    ("PATCH", "/v1/stores/$store", JSON, lambda n: b'{"credentials":{' + numbered('"m%d":"x"', n) + b"}}"),
    ("PUT", "/v1/skus", JSON, lambda n: filled("[", "{},", "{}]", n)),
    ("PUT", "/v1/skus", JSON, lambda n: filled('[{"sku":"A","components":[', "1,", "1]}]", n)),
    ("PUT", "/v1/rules", JSON, lambda n: filled("", "[", "", n)),
    ("PUT", "/v1/rules", JSON, lambda n: filled("[", '{"sku":"nothing"},', "{}]", min(n, 180_000))),
    ("POST", "/v1/syncs", JSON, lambda n: filled('{"dry_run":true,"skus":[', '"A",', '"A"]}', n)),
    ("POST", "/v1/pushes/retry", JSON, lambda n: filled('{"ids":[', '"0190a3b4-0000-7000-8000-000000000000",', '"x"]}', n)),
    ("POST", "/v1/stock-events", JSON, events),
    ("POST", "/v1/stock-events", JSON, lambda n: filled("", '{"a":', "", n)),
    ("POST", "/v1/stock-events", LINES, lambda n: filled("", "1\n", "", n)),
    ("POST", "/v1/stores/$store/check", JSON, lambda n: b""),
    ("POST", "/v1/stores/$store/discover", JSON, lambda n: b""),
    ("POST", IMPORT, FORM, lambda n: filled("csrf=$csrf&", "a&", "", n)),
    ("POST", IMPORT, FORM, lambda n: filled("csrf=$csrf&rows=", '"%0A', "", n)),
    ("POST", IMPORT, PARTS, lambda n: filled(PART, "\r\n--", "\r\n--q--\r\n", n)),
    ("POST", IMPORT, PARTS, lambda n: filled(PART, ",", "\r\n--q--\r\n", n)),
    ("POST", "/console/manual-sync/preview", FORM, lambda n: filled("csrf=$csrf&skus=", '"%0A', "", n)),
    ("POST", "/console/stores/new", FORM, lambda n: filled('csrf=$csrf&platform=simulated&name=', '"', "", n)),
    ("GET", "/v1/pushes?", "", lambda n: filled("", "a&", "", min(n, 60_000))),
    ("GET", "/console/stock?search=", "", lambda n: filled("", "%22", "", min(n, 60_000))),
    ("GET", "/console/sales-channel", "", lambda n: b""),
    ("GET", "/v1/stock?sku=SKU-1", "", lambda n: b""),
]


class Attacker:
    def __init__(self, address, operator_key, platform, number):
        seller = must(address, "POST", "/admin/sellers", operator_key, {"name": f"Attacker {number}", "timezone": "UTC"})
        self.address, self.key = address, seller["api_key"]
        store = {"name": "x", "platform": "simulated", "base_url": f"http://{platform}"}
        self.store = must(address, "POST", "/v1/stores", self.key, store)["id"]
        must(address, "PUT", "/v1/sync-settings", self.key, {"auto_sync": True, "initial_overwrite": False})
        must(address, "PUT", f"/v1/stores/{self.store}/listings", self.key, [{"sku": sku, "external_id": sku} for sku in SKUS])
        _, headers, _ = call(address, "POST", "/console/sign-in", form=f"key={self.key}")
        self.cookie = next(value for name, value in headers.items() if name.lower() == "set-cookie").split(";")[0]
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("GET", "/console/sales-channel", headers={"cookie": self.cookie})
        page = connection.getresponse().read().decode()
        connection.close()
        self.csrf = page.split('name="csrf" value="')[1].split('"')[0]

    def attack(self):
        """Sends one hostile request; returns what came of it and the size of the answer, or raises OSError."""
        method, path, media_type, body = random.choice(REQUESTS)
        size = int(math.exp(random.uniform(math.log(1000), math.log(LARGEST))))
        body = body(size).replace(b"$csrf", self.csrf.encode())
        path = path.replace("$store", self.store)
        if method == "GET":
            path, body = path + body.decode(), b""
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {self.key}\r\n"
        head += f"cookie: {self.cookie}\r\ncontent-type: {media_type}\r\n"
        chunked = random.random() < 0.2
        head += "transfer-encoding: chunked\r\n\r\n" if chunked else f"content-length: {len(body)}\r\n\r\n"
        slow = random.random() < 0.05
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port)), timeout=90) as stream:
            try:
                stream.sendall(head.encode())
                for start in range(0, len(body), 256 * 1024):
                    piece = body[start : start + 256 * 1024]
                    stream.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                    if slow:
                        time.sleep(random.uniform(0, 1))
                if chunked:
                    stream.sendall(b"0\r\n\r\n")
            except OSError:
                pass  # It may answer and hang up before it has read everything.
            answer, length = b"", 0
            while piece := stream.recv(1 << 16):
                answer, length = (answer + piece)[:300], length + len(piece)
        status = int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else 0
        return f"{method} {path.split('?')[0].replace(self.store, '…')}", status, length, answer


def attack(attackers, connections, until, results):
    """One process: so many connections at a time, until the end."""
    seen, lock, shown = collections.Counter(), threading.Lock(), []

    def run(attacker):
        while time.time() < until:
            try:
                what, status, length, answer = attacker.attack()
            except OSError as error:
                what, status, length, answer = type(error).__name__, 0, 0, b""
            with lock:
                seen[status] += 1
                seen["longest answer"] = max(seen["longest answer"], length)
                if status >= 500 and status != 503 and len(shown) < 5:
                    shown.append(f"{what}: {answer!r}")

    threads = [threading.Thread(target=run, args=(random.choice(attackers),)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((seen, shown))


class HostilePlatform(http.server.BaseHTTPRequestHandler):
    """Answers the attackers' stores with whatever is worst."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        kind = random.choice(["huge", "deep", "items", "garbage", "error", "cut"])
        if kind == "cut":
            return
        size = int(math.exp(random.uniform(math.log(100), math.log(50_000_000))))
        body = {
            "huge": lambda: filled("{\"items\":[", "0,", "0]}", size),
            "deep": lambda: filled("", '{"items":[', "", size),
            "items": lambda: filled('{"items":[', '{"external_id":"x","quantity":1},', "{}]}", size),
            "garbage": lambda: os.urandom(min(size, 1_000_000)),
            "error": lambda: b"",
        }[kind]()
        self.send_response(500 if kind == "error" else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    do_POST = do_GET

    def log_message(self, *arguments):
        pass


def serve_hostile_replies(address):
    host, port = address.split(":")
    http.server.ThreadingHTTPServer((host, int(port)), HostilePlatform).serve_forever()


# --- the neighbour ---------------------------------------------------------------------------------------------------


class Neighbour:
    def __init__(self, address, operator_key, platform):
        self.address, self.platform = address, platform
        self.key = must(address, "POST", "/admin/sellers", operator_key, {"name": "Neighbour", "timezone": "UTC"})["api_key"]
        store = {"name": "x", "platform": "simulated", "base_url": f"http://{platform}", "external_store": "neighbour"}
        store = must(address, "POST", "/v1/stores", self.key, store)["id"]
        must(address, "PUT", f"/v1/stores/{store}/listings", self.key, [{"sku": sku, "external_id": sku} for sku in SKUS])
        must(address, "PUT", "/v1/sync-settings", self.key, {"auto_sync": True, "initial_overwrite": False})
        self.expected = collections.Counter()
        self.latencies, self.statuses = [], collections.Counter()

    def send(self, until, rate, minutes):
        """Sends single events at this rate; repeats one that was not accepted, with the same id, as a careful client does."""
        connection, number, due, said = http.client.HTTPConnection(self.address, timeout=60), 0, time.time(), time.time()
        while time.time() < until:
            due = max(due + 1 / rate, time.time() - 1)
            time.sleep(max(0, due - time.time()))
            number += 1
            event = {"event_id": f"n{number}", "sku": random.choice(SKUS), "kind": "purchase", "quantity": random.randint(1, 9)}
            while True:
                began = time.perf_counter()
                try:
                    headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
                    connection.request("POST", "/v1/stock-events", json.dumps(event), headers)
                    answer = connection.getresponse()
                    answer.read()
                    status = answer.status
                except (OSError, http.client.HTTPException):
                    connection.close()
                    status = 0
                self.latencies.append((time.perf_counter() - began) * 1000)
                self.statuses[status] += 1
                if status == 200:
                    break
                time.sleep(0.1)
            self.expected[event["sku"]] += event["quantity"]
            if time.time() - said > 60:
                said = time.time()
                left = (until - said) / 60
                print(f"{minutes - left:4.0f} min: {self.summary()}", flush=True)

    def summary(self):
        ordered = sorted(self.latencies)
        p = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99)]
        return f"{len(ordered)} events, p50 {p[0]:.1f} ms, p99 {p[1]:.1f} ms, longest {ordered[-1]:.0f} ms, {dict(self.statuses)}"

    def p99(self):
        ordered = sorted(self.latencies)
        return ordered[int(len(ordered) * 0.99)] if ordered else 0

    def verdict(self):
        """Units that the listings miss and units that they have twice, once no push is open."""
        for _ in range(600):
            states = ["queued", "sending", "retrying", "uncertain"]
            pages = [must(self.address, "GET", f"/v1/pushes?limit=1&state={state}", self.key) for state in states]
            if not any(page["items"] for page in pages):
                break
            time.sleep(0.2)
        shown = {item["external_id"]: item["quantity"] for item in must(self.platform, "GET", "/control/stores/neighbour/items", "")["items"]}
        off = {sku: shown.get(sku, 0) - expected for sku, expected in self.expected.items()}
        return -sum(n for n in off.values() if n < 0), sum(n for n in off.values() if n > 0)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=pathlib.Path)
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--connections", type=int, default=64)
    options.add_argument("--rate", type=float, default=20, help="the neighbour's stock events per second")
    options.add_argument("--binary", default=BINARY)
    options = options.parse_args()
    key = os.urandom(24).hex()
    hostile = free_address()
    replying = multiprocessing.Process(target=serve_hostile_replies, args=(hostile,), daemon=True)
    replying.start()
    results, seen, shown, processes = multiprocessing.Queue(), collections.Counter(), [], []
    with Programs(options.folder, options.binary) as programs:
        # The attackers and the neighbour share an address, so wrong keys throttle the neighbour but must not lock it out.
        service, serving = programs.serve(key, REQUEST_TIMEOUT_MS="2000", LOG="warn")
        platform = programs.simulate_platform()
        neighbour = Neighbour(service, key, platform)
        attackers = [Attacker(service, key, hostile, number) for number in range(ATTACKERS)]
        before = memory_mb(serving.pid)
        until = time.time() + options.minutes * 60
        each = max(1, options.connections // PROCESSES)
        for _ in range(min(PROCESSES, options.connections)):
            processes.append(multiprocessing.Process(target=attack, args=(attackers, each, until, results), daemon=True))
            processes[-1].start()
        neighbour.send(until, options.rate, options.minutes)
        for _ in processes:
            counted, examples = results.get(timeout=300)
            longest = max(seen["longest answer"], counted.pop("longest answer", 0))
            seen.update(counted)
            seen["longest answer"] = longest
            shown += examples
        alive = serving.poll() is None
        lost, twice = neighbour.verdict() if alive else (None, None)
        after = memory_mb(serving.pid) if alive else {"VmHWM": math.inf, "VmRSS": math.inf}
    replying.terminate()
    longest = seen.pop("longest answer", 0)
    errors = sum(count for status, count in seen.items() if status >= 500 and status != 503)
    print(f"neighbour: {neighbour.summary()}")
    print(f"neighbour: {lost} units lost, {twice} units twice")
    print(f"attackers: {sum(seen.values())} requests: {dict(sorted(seen.items()))}; the longest answer has {longest} bytes")
    print(f"memory: {before['VmRSS']:.0f} MB before, {after['VmRSS']:.0f} MB after, at most {after['VmHWM']:.0f} MB")
    print(f"5xx other than 503: {errors}", *shown, sep="\n  ")
    good = lost == 0 and twice == 0 and errors == 0 and after["VmHWM"] < MOST_RESIDENT_MB and neighbour.p99() < MOST_P99_MS
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
