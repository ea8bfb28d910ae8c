#!/usr/bin/env python3
"""Measures how long a seller's stock events take while another seller asks for as much as it may.

    cargo build --release
    tests/neighbours.py                       100,000 SKUs, listings and rules; some five minutes
    tests/neighbours.py --rows 20000 --rate 20

Starts a service on a new SQLite database and a simulated platform, both on free ports of 127.0.0.1. One seller sends single
stock events at a steady rate all the time. The other does one documented call after another at its limits, for at least
ten seconds each. For each call the table shows how long the first seller's events took, counted from when each was due,
how many of them were refused, the service's largest resident memory meanwhile, and how the other seller's requests were answered.
Needs only Python's standard library.
"""
import argparse
import collections
import concurrent.futures
import http.client
import itertools
import json
import os
import pathlib
import platform
import socket
import sys
import tempfile
import threading
import time

from support.service import BINARY, Programs, memory_mb

OPERATOR_KEY = "an-operator-key-for-neighbours-0123456789"
BULK = 10_000
AT_LEAST_S = 10
# The other seller's connections.
CLIENTS = 16


class Client:
    """One caller; each thread has a connection of its own."""

    def __init__(self, address, key=None, cookie=None):
        self.address, self.key, self.cookie = address, key, cookie
        self.own = threading.local()

    def send(self, method, path, body=None, media_type="application/json"):
        headers = {"Content-Type": media_type} if body is not None else {}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        if self.cookie:
            headers["Cookie"] = self.cookie
        if isinstance(body, (list, dict)):
            body = json.dumps(body)
        for fresh in (False, True):
            if fresh or not getattr(self.own, "connection", None):
                self.own.connection = http.client.HTTPConnection(self.address, timeout=300)
            try:
                self.own.connection.request(method, path, body, headers)
                answer = self.own.connection.getresponse()
                return answer.status, answer.read(), answer
            except (http.client.HTTPException, OSError):
                self.own.connection = None
                if fresh:
                    raise

    def ok(self, method, path, body=None, media_type="application/json"):
        """Sends until it is no longer over the quota."""
        while True:
            status, text, answer = self.send(method, path, body, media_type)
            if status == 429:
                time.sleep(float(answer.headers.get("Retry-After", 1)))
                continue
            if status >= 400:
                sys.exit(f"{method} {path}: {status} {text[:500]}")
            return json.loads(text) if text else None


class Neighbour(threading.Thread):
    """Sends single events at a steady rate, each when it is due, whatever became of the ones before."""

    def __init__(self, client, rate):
        super().__init__(daemon=True)
        self.client, self.rate = client, rate
        self.samples, self.lock, self.stopped = [], threading.Lock(), threading.Event()

    def one(self, number, due):
        event = {"event_id": f"n{number}", "sku": f"N{number % 100}", "kind": "purchase", "quantity": 1}
        try:
            status, *_ = self.client.send("POST", "/v1/stock-events", event)
        except OSError:
            status = 0
        with self.lock:
            self.samples.append((time.monotonic() - due, status))

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            started = time.monotonic()
            for number in itertools.count():
                due = started + number / self.rate
                if self.stopped.wait(max(0, due - time.monotonic())):
                    return
                pool.submit(self.one, number, due)

    def take(self):
        with self.lock:
            samples, self.samples = self.samples, []
        return samples


def in_parallel(clients, jobs):
    """Runs the jobs on so many threads for at least `AT_LEAST_S`, from the start again if there are too few; returns how
    they were answered."""
    until, answers, lock = time.monotonic() + AT_LEAST_S, collections.Counter(), threading.Lock()
    jobs = list(jobs)
    source, taken = itertools.count(), threading.Lock()

    def work():
        while True:
            with taken:
                number = next(source)
            if number >= len(jobs) and time.monotonic() >= until:
                return
            try:
                status, _, answer = jobs[number % len(jobs)](number)
            except OSError:
                status, answer = "cut", None
            with lock:
                answers[status] += 1
            if status == 429 and answer is not None:
                time.sleep(min(1, float(answer.headers.get("Retry-After", 1))))

    threads = [threading.Thread(target=work) for _ in range(clients)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return answers


def once(*jobs):
    """Runs the jobs one after another, once."""
    answers = collections.Counter(job(number)[0] for number, job in enumerate(jobs))
    time.sleep(AT_LEAST_S / 2)
    return answers


def streams(address, key):
    open_streams = []
    for _ in range(20):
        host, port = address.split(":")
        stream = socket.create_connection((host, int(port)))
        stream.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        open_streams.append(stream)
    time.sleep(AT_LEAST_S)
    [stream.close() for stream in open_streams]
    return collections.Counter({"open": len(open_streams)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="SKUs, listings and rules of the busy seller")
    parser.add_argument("--rate", type=float, default=50, help="events per second of the other one")
    parser.add_argument("--binary", default=BINARY)
    parser.add_argument("--only", help="only calls whose name contains this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Programs(pathlib.Path(folder), options.binary) as programs:
        address, service = programs.serve(OPERATOR_KEY, LOG="error")
        measure(options, address, programs.simulate_platform(), service)


def measure(options, address, platform_address, service):
    operator = Client(address, OPERATOR_KEY)

    def seller(name):
        return operator.ok("POST", "/admin/sellers", {"name": name, "timezone": "UTC"})

    busy_seller, quiet_seller = seller("Busy"), seller("Quiet")
    busy, quiet = Client(address, busy_seller["api_key"]), Client(address, quiet_seller["api_key"])
    status, _, answer = Client(address).send(
        "POST", "/console/sign-in", f"key={busy_seller['api_key']}", "application/x-www-form-urlencoded"
    )
    page = Client(address, cookie=answer.headers["Set-Cookie"].split(";")[0])

    def store(name, of):
        fields = {"name": name, "platform": "simulated", "base_url": f"http://{platform_address}", "external_store": name}
        return of.ok("POST", "/v1/stores", fields)["id"]

    own, shop = store("quiet", quiet), store("busy", busy)
    quiet.ok("PUT", f"/v1/stores/{own}/listings", [{"sku": f"N{n}", "external_id": f"N{n}"} for n in range(100)])
    quiet.ok("PUT", "/v1/sync-settings", {"auto_sync": True, "initial_overwrite": False})
    parts = range(0, options.rows, BULK)
    names = lambda start: range(start, min(start + BULK, options.rows))

    def skus(start):
        return lambda number: busy.send("PUT", "/v1/skus", [{"sku": f"B{n}", "name": f"{number} {n}"} for n in names(start)])

    def listings(start):
        rows = [{"sku": f"B{n}", "external_id": f"B{n}"} for n in names(start)]
        return lambda number: busy.send("PUT", f"/v1/stores/{shop}/listings", rows)

    def pairing(start):
        # Swaps the SKUs of neighbouring listings, forth and back.
        def send(number):
            swap = number // max(1, len(parts)) % 2
            lines = "".join(f"B{n ^ 1 if swap else n},B{n}\n" for n in names(start))
            return busy.send("PUT", f"/v1/stores/{shop}/listings", "sku,external_id\n" + lines, "text/csv")

        return send

    def rules(start):
        row = lambda n, number: {"sku": f"B{n}", "store_id": shop, "buffer": number % 7, "sync_enabled": True}
        return lambda number: busy.send("PUT", "/v1/rules", [row(n, number) for n in names(start)])

    batches = itertools.count()

    def events(kind="purchase"):
        def send(_):
            batch = next(batches)
            start = batch * BULK % options.rows
            event = lambda n: {"event_id": f"b{batch}-{n}", "sku": f"B{n}", "kind": kind, "quantity": 1}
            return busy.send("POST", "/v1/stock-events", [event(n) for n in names(start)])

        return send

    get = lambda client, path: lambda _: client.send("GET", path)
    call = lambda method, path, body=None: lambda _: busy.send(method, path, body)
    console = "/console/sales-channel", "/console/stores", "/console/stock?search=zzz", "/console/records", f"/console/stores/{shop}"
    lists = [f"/v1/{name}?limit=1000" for name in ("skus", "rules", "pushes", "audit", f"stores/{shop}/listings")]
    sync_settings = lambda **fields: call("PUT", "/v1/sync-settings", fields)
    a_store = f"/v1/stores/{shop}"
    calls = [
        ("nothing", lambda: once()),
        ("SKUs, 10,000 in a request", lambda: in_parallel(CLIENTS, map(skus, parts))),
        ("listings, 10,000 in a request", lambda: in_parallel(CLIENTS, map(listings, parts))),
        ("the same as CSV, paired with other SKUs", lambda: in_parallel(CLIENTS, map(pairing, parts))),
        ("rules, 10,000 in a request", lambda: in_parallel(CLIENTS, map(rules, parts))),
        ("the same in exclusive mode", lambda: once(sync_settings(allocation_mode="exclusive"), *map(rules, parts))),
        ("batches of 10,000 stock events", lambda: in_parallel(CLIENTS, [events()] * 40)),
        ("auto-sync on, an initial overwrite", lambda: once(sync_settings(auto_sync=True, allocation_mode="shared"))),
        ("batches, each event with a push", lambda: in_parallel(CLIENTS, [events()] * 40)),
        ("single stock events", lambda: in_parallel(CLIENTS, [single(busy)])),
        ("pages of the console", lambda: in_parallel(CLIENTS, [get(page, path) for path in console])),
        ("lists, 1,000 on a page", lambda: in_parallel(CLIENTS, [get(busy, path) for path in lists])),
        ("the export of all listings", lambda: in_parallel(CLIENTS, [get(page, f"/console/stores/{shop}/listings.csv")])),
        ("dry runs of everything", lambda: in_parallel(CLIENTS, [call("POST", "/v1/syncs", {"dry_run": True})])),
        ("discoveries", lambda: in_parallel(CLIENTS, [call("POST", f"{a_store}/discover", {})])),
        ("20 streams", lambda: streams(address, busy_seller["api_key"])),
        ("manual syncs of everything", lambda: once(*[call("POST", "/v1/syncs", {})] * 3)),
        ("pausing and resuming the store", lambda: in_parallel(1, [call("PATCH", a_store, {"paused": p}) for p in (True, False)])),
        ("queuing held pushes again", lambda: once(call("PATCH", a_store, {"paused": True}), call("POST", "/v1/pushes/retry", {"state": "held"}))),
        ("auto-sync off", lambda: once(sync_settings(auto_sync=False))),
        ("removing the store", lambda: once(call("DELETE", a_store))),
        ("deleting the seller", lambda: once(lambda _: operator.send("DELETE", f"/admin/sellers/{busy_seller['id']}"))),
    ]
    neighbour = Neighbour(quiet, options.rate)
    neighbour.start()
    time.sleep(2)
    print(f"{options.rows} SKUs, listings and rules; {options.rate:g} events per second; {os.cpu_count()} cores, {platform.machine()}\n")
    print("| while the other seller asks for | p50, ms | p99, ms | longest, ms | refused | memory, MB | its answers |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, busily in calls:
        if options.only and options.only not in name:
            continue
        neighbour.take()
        # From here on, VmHWM is the most since now.
        pathlib.Path(f"/proc/{service.pid}/clear_refs").write_text("5")
        answers = busily()
        time.sleep(0.5)
        samples = neighbour.take()
        times = sorted(taken * 1000 for taken, _ in samples)
        refused = sum(status != 200 for _, status in samples)
        at = lambda share: times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")
        shown = ", ".join(f"{status}: {count}" for status, count in sorted(answers.items(), key=str))
        print(f"| {name} | {at(0.5):.1f} | {at(0.99):.1f} | {at(1):.1f} | {refused} | {memory_mb(service.pid)['VmHWM']:.0f} | {shown or '-'} |", flush=True)
    neighbour.stopped.set()


def single(client):
    numbers = itertools.count()

    def send(_):
        number = next(numbers)
        event = {"event_id": f"s{number}", "sku": f"B{number % 1000}", "kind": "purchase", "quantity": 1}
        return client.send("POST", "/v1/stock-events", event)

    return send


if __name__ == "__main__":
    main()
