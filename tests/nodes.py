#!/usr/bin/env python3
"""Measures what several nodes on one PostgreSQL database do when one of them is lost or stopped, and what they cost.

    cargo build --release
    tests/nodes.py takeover                 20 kills: until the new owner's first push
    tests/nodes.py drain                    20 planned stops: how late pushes are meanwhile
    tests/nodes.py intake                   events/s and processor time per event with one, two and three nodes
    tests/nodes.py intake --pgbouncer /usr/sbin/pgbouncer

Starts a PostgreSQL server (Debian's `postgresql`), nodes and simulated platforms, all on free ports of 127.0.0.1, and prints a table.
Other work on the machine makes times longer; processor time per event is affected less. Needs only Python's standard library.
"""
import argparse
import bisect
import collections
import http.client
import itertools
import json
import os
import pathlib
import platform
import signal
import statistics
import sys
import tempfile
import threading
import time
import uuid

from support.postgres import PgBouncer, Postgres, cpu_s
from support.service import BINARY, Programs, free_address, wait_until_listening

OPERATOR_KEY = "an-operator-key-for-nodes-0123456789"
CREDENTIAL_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
NODES, SELLERS, STORES, SKUS = 3, 24, 2, 20
CLIENTS = 8
# What arrives at the platform so soon after a node was killed was sent by that node.
STILL_OF_THE_OLD_S = 0.1


def send(connection, method, path, key=None, body=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def call(address, method, path, key=None, body=None):
    """A request that must succeed."""
    connection = http.client.HTTPConnection(address, timeout=30)
    status, text = send(connection, method, path, key, body)
    connection.close()
    if status >= 300:
        sys.exit(f"{method} {path}: {status} {text[:500]}")
    return json.loads(text) if text else None


class Nodes:
    """The nodes; a new one takes the place of each that has gone."""

    def __init__(self, programs, postgres, lease_ms):
        self.programs, self.postgres, self.lease_ms = programs, postgres, lease_ms
        self.running, self.numbers = {}, itertools.count(1)
        self.database = {"DATABASE_URL": postgres.url}

    def start(self):
        name, address = f"node-{next(self.numbers)}", free_address()
        program = self.programs.start(
            name, "serve", "--listen", address, OPERATOR_KEY=OPERATOR_KEY, CREDENTIAL_KEY=CREDENTIAL_KEY, ALLOW_PRIVATE_TARGETS="true",
            REQUESTS_PER_SECOND="100000", LEASE_MS=str(self.lease_ms), NODE=name, **self.database,
        )
        wait_until_listening(address, program)
        self.running[name] = (address, program)

    def addresses(self):
        return [address for address, _ in list(self.running.values())]

    def take(self):
        """The oldest one, to which nothing is sent any more."""
        name = next(iter(self.running))
        return name, *self.running.pop(name)

    def shards(self):
        """How many each node holds, by name."""
        query = "SELECT nodes.name, count(*) FROM shards JOIN nodes ON nodes.id = shards.node GROUP BY nodes.name"
        return {name: int(count) for name, count in self.postgres.rows(query)}

    def wait_until_shared_out(self):
        while True:
            held = self.shards()
            if set(held) == set(self.running) and sum(held.values()) == 256 and max(held.values()) - min(held.values()) <= 1:
                return
            time.sleep(0.1)

    def stop(self):
        while self.running:
            _, _, program = self.take()
            program.send_signal(signal.SIGTERM)
            program.wait()


class Seller:
    def __init__(self, number, service, platform_address):
        created = call(service, "POST", "/admin/sellers", OPERATOR_KEY, {"name": f"Seller {number}", "timezone": "UTC"})
        self.key, self.shard = created["api_key"], uuid.UUID(created["id"]).bytes[-3]
        self.stores = [f"{number}-{store}" for store in range(STORES)]
        for name in self.stores:
            fields = {"name": name, "platform": "simulated", "base_url": f"http://{platform_address}", "external_store": name,
                "rate_limit": {"per_second": 500, "burst": 500}}
            store = call(service, "POST", "/v1/stores", self.key, fields)["id"]
            call(service, "PUT", f"/v1/stores/{store}/listings", self.key, [{"sku": f"S{n}", "external_id": f"S{n}"} for n in range(SKUS)])
        call(service, "PUT", "/v1/sync-settings", self.key, {"auto_sync": True, "initial_overwrite": False})


class Traffic:
    """Single increases at a steady rate, each to the next node until one has answered."""

    def __init__(self, nodes, sellers, rate):
        self.nodes, self.sellers, self.rate = nodes, sellers, rate
        # By store and SKU: when each unit was accepted.
        self.accepted, self.lock, self.stopped = collections.defaultdict(list), threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(CLIENTS)]
        [thread.start() for thread in self.threads]

    def run(self, client):
        connections, began, turn = {}, time.monotonic(), client
        skus = range(client, SKUS, CLIENTS)
        for made in itertools.count():
            if self.stopped.wait(max(0, began + made * CLIENTS / self.rate - time.monotonic())):
                return
            # Each client has SKUs of its own, so that a SKU's events are answered in their order.
            seller, sku = self.sellers[made % len(self.sellers)], f"S{skus[made // len(self.sellers) % len(skus)]}"
            event = {"event_id": f"{client}-{made}", "sku": sku, "kind": "purchase", "quantity": 1}
            while not self.stopped.is_set():
                turn += 1
                addresses = self.nodes.addresses()
                address = addresses[turn % len(addresses)]
                connection = connections.setdefault(address, http.client.HTTPConnection(address, timeout=2))
                try:
                    status, _ = send(connection, "POST", "/v1/stock-events", seller.key, event)
                except (http.client.HTTPException, OSError):
                    connection.close()
                    continue
                if status < 300:
                    now = time.time()
                    with self.lock:
                        for store in seller.stores:
                            self.accepted[store, sku].append(now)
                    break
                time.sleep(0.02)

    def stop(self):
        self.stopped.set()
        [thread.join() for thread in self.threads]


class Receipts(threading.Thread):
    """What the platform has applied, as it happens."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.items, self.stopped = address, [], threading.Event()
        self.start()

    def run(self):
        connection, after = http.client.HTTPConnection(self.address, timeout=30), 0
        while True:
            stopping = self.stopped.is_set()
            _, text = send(connection, "GET", f"/control/receipts?after={after}&limit=1000")
            new = json.loads(text)["items"]
            self.items += new
            after = new[-1]["seq"] if new else after
            if stopping and not new:
                return
            if not new:
                time.sleep(0.01)

    def first_after(self, moment, stores, within):
        """When something was applied first at one of these stores after this moment."""
        looked_at = 0
        while time.time() < moment + within:
            items = self.items[looked_at:]
            for item in items:
                if item["at_us"] / 1e6 > moment and item["store"] in stores:
                    return item["at_us"] / 1e6
            looked_at += len(items)
            time.sleep(0.01)
        sys.exit("nothing was pushed any more")

    def stop(self):
        self.stopped.set()
        self.join()


def at(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Scene:
    """Nodes with sellers, under traffic."""

    def __init__(self, programs, postgres, options):
        self.nodes = Nodes(programs, postgres, options.lease_ms)
        [self.nodes.start() for _ in range(NODES)]
        address = programs.simulate_platform()
        self.sellers = [Seller(number, self.nodes.addresses()[0], address) for number in range(SELLERS)]
        self.nodes.wait_until_shared_out()
        self.receipts, self.traffic = Receipts(address), Traffic(self.nodes, self.sellers, options.rate)
        time.sleep(3)

    def stores_of(self, name):
        query = f"SELECT shard FROM shards JOIN nodes ON nodes.id = shards.node WHERE nodes.name = '{name}'"
        shards = {int(shard) for (shard,) in self.nodes.postgres.rows(query)}
        return {store for seller in self.sellers if seller.shard in shards for store in seller.stores}

    def replace(self):
        self.nodes.start()
        self.nodes.wait_until_shared_out()
        time.sleep(2)

    def delays(self):
        """For each unit and store: when it was accepted, and how long its push took. Ends the traffic."""
        self.traffic.stop()
        # Longer than what a killed node was sending is left alone.
        time.sleep(25)
        self.receipts.stop()
        applied = collections.defaultdict(list)
        for item in self.receipts.items:
            applied[item["store"], item["external_id"]] += [item["at_us"] / 1e6] * item["change"]
        delays, wrong = [], 0
        for listing, accepted in self.traffic.accepted.items():
            wrong += len(accepted) != len(applied[listing])
            delays += [(moment, max(0, arrived - moment)) for moment, arrived in zip(accepted, applied[listing])]
        return delays, wrong


def takeover(options, programs, postgres):
    scene, took = Scene(programs, postgres, options), []
    for _ in range(options.times):
        name, _, program = scene.nodes.take()
        stores, killed_at = scene.stores_of(name), time.time()
        program.send_signal(signal.SIGKILL)
        program.wait()
        took.append(scene.receipts.first_after(killed_at + STILL_OF_THE_OLD_S, stores, 60) - killed_at)
        print(f"{name}: {took[-1]:.2f} s", file=sys.stderr)
        scene.replace()
    _, wrong = scene.delays()
    print("| lease_ms | kills | first push of the new owner, p50 | longest | allowed | listings wrong |\n| --- | --- | --- | --- | --- | --- |")
    allowed = options.lease_ms / 1000 + 2
    print(f"| {options.lease_ms} | {len(took)} | {statistics.median(took):.2f} s | {max(took):.2f} s | {allowed:.1f} s | {wrong} |")
    return max(took) <= allowed and wrong == 0


def drain(options, programs, postgres):
    scene, stops, exits = Scene(programs, postgres, options), [], []
    for _ in range(options.times):
        _, _, program = scene.nodes.take()
        stopped_at = time.time()
        program.send_signal(signal.SIGTERM)
        program.wait()
        exits.append(time.time() - stopped_at)
        stops.append(stopped_at)
        scene.replace()
    delays, wrong = scene.delays()
    during, otherwise = [], []
    for moment, delay in delays:
        after = bisect.bisect(stops, moment + 0.5)
        is_near = after > 0 and moment - stops[after - 1] < 2
        (during if is_near else otherwise).append(delay)
    print("| pushes accepted | number | p50 | p99 | longest |\n| --- | --- | --- | --- | --- |")
    for name, values in [("from 0.5 s before a stop to 2 s after it", during), ("at all other times", otherwise)]:
        print(f"| {name} | {len(values)} | {1000 * at(values, 0.5):.0f} ms | {1000 * at(values, 0.99):.0f} ms | {1000 * at(values, 1):.0f} ms |")
    print(f"\n{len(stops)} stops; a node had exited after {statistics.median(exits):.2f} s (median), {max(exits):.2f} s at most; {wrong} listings wrong")
    return max(during) <= 1 and wrong == 0


def intake(options, programs, postgres):
    print("| nodes | accepted/s | CPU per event: nodes | database | together | compared with one node | load tool |\n| --- | --- | --- | --- | --- | --- | --- |")
    base, sound = None, True
    for count in options.nodes:
        figures = intake_of(count, options, programs, postgres, None)
        base = base or figures["together"]
        sound &= figures["together"] / base < 1.2 and figures["verdict"] == "passed"
        print_figures(count, figures, base)
    if options.pgbouncer:
        pooler = PgBouncer(postgres, options.pgbouncer, options.prepares)
        figures = intake_of(1, options, programs, postgres, pooler)
        pooler.stop()
        print_figures("1, behind PgBouncer", figures, base)
    return sound


def print_figures(what, figures, base):
    per = {name: f"{figures[name] * 1000:.2f} ms" for name in ("nodes", "database", "together")}
    print(f"| {what} | {figures['rate']:.0f} | {per['nodes']} | {per['database']} | {per['together']} | {figures['together'] / base - 1:+.0%} | "
        f"{figures['verdict']} |", flush=True)


def intake_of(count, options, programs, postgres, pooler):
    postgres.rows("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    nodes = Nodes(programs, postgres, options.lease_ms)
    if pooler:
        prepares = str(options.prepares).lower()
        nodes.database = {"DATABASE_URL": pooler.url, "DATABASE_DIRECT_URL": postgres.url, "DATABASE_POOLER_PREPARES": prepares}
    [nodes.start() for _ in range(count)]
    nodes.wait_until_shared_out()
    figures = measure_intake(options, programs, postgres, nodes, pooler)
    nodes.stop()
    return figures


def measure_intake(options, programs, postgres, nodes, pooler):
    """One load tool for each node, each with sellers of its own, which belong to all nodes alike."""
    loads, addresses = [], nodes.addresses()
    for number, address in enumerate(addresses):
        arguments = f"--service http://{address} --platform http://{programs.simulate_platform()} --sellers {60 // len(addresses)} --stores 3 " \
            f"--skus 50 --events {options.events // len(addresses)} --batch 1 --repeat 0 --mix purchase=20,sale=80 " \
            f"--connections {24 // len(addresses)} --seed {number + 1} --no-progress"
        if options.rate:
            arguments += f" --rate {options.rate / len(addresses)}"
        loads.append(programs.start(f"load-{len(addresses)}-{number}", "load", *arguments.split(), OPERATOR_KEY=OPERATOR_KEY))
    samples, accepted = [], 0
    while accepted < options.events * 0.95 and any(load.poll() is None for load in loads):
        accepted = int(postgres.rows("SELECT count(*) FROM stock_events")[0][0])
        of_nodes = sum(cpu_s(program.pid) for _, program in nodes.running.values())
        # A pooler counts as a part of the database.
        of_database = postgres.cpu_s() + (cpu_s(pooler.program.pid) if pooler else 0)
        samples.append((time.monotonic(), accepted, of_nodes, of_database))
        time.sleep(0.25)
    [load.wait() for load in loads]
    # Without the start and the end, where some clients do not send.
    steady = [sample for sample in samples if options.events * 0.1 <= sample[1] <= options.events * 0.9]
    took, events, of_nodes, of_database = (last - first for first, last in zip(steady[0], steady[-1]))
    verdict = "passed" if all(load.returncode == 0 for load in loads) else "failed"
    return {"rate": events / took, "nodes": of_nodes / events, "database": of_database / events, "together": (of_nodes + of_database) / events,
        "verdict": verdict}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["takeover", "drain", "intake"])
    parser.add_argument("--times", type=int, default=20, help="kills or stops")
    parser.add_argument("--lease-ms", type=int, default=5000)
    parser.add_argument("--rate", type=float, help="events per second (default: 100; with intake, as fast as possible)")
    parser.add_argument("--events", type=int, default=12_000, help="with intake")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 3], help="with intake: how many, one run each")
    parser.add_argument("--pgbouncer", metavar="PROGRAM", help="with intake: also one node behind this PgBouncer")
    parser.add_argument("--prepares", action="store_true", help="which keeps prepared statements")
    parser.add_argument("--binary", default=BINARY)
    options = parser.parse_args()
    if options.what != "intake":
        options.rate = options.rate or 100
    print(f"{time.strftime('%Y-%m-%d %H:%M')}; {os.cpu_count()} cores, {platform.machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        with Postgres(folder / "postgres") as postgres, Programs(folder / "programs", options.binary) as programs:
            is_within = {"takeover": takeover, "drain": drain, "intake": intake}[options.what](options, programs, postgres)
    sys.exit(0 if is_within else 1)


if __name__ == "__main__":
    main()
