"""What the tools in `tests` start: a service on a new SQLite database, a simulated platform, and more of the same program."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

BINARY = os.environ.get("CARGO_TARGET_DIR", "target") + "/release/stocktide"


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def wait_until_listening(address, program):
    host, port = address.split(":")
    for _ in range(300):
        if program.poll() is not None:
            sys.exit(f"{program.args[1]} exited with status {program.returncode}")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nothing is listening on {address}")


def memory_mb(pid):
    """What a process occupies now (`VmRSS`), and at most so far (`VmHWM`)."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: int(line.split()[1]) / 1024 for line in lines for name in ["VmHWM", "VmRSS"] if line.startswith(name)}


class Programs:
    """The programs of one run. Each writes its output to a file in the folder; all are ended with the run, also if that is
    terminated."""

    def __init__(self, folder, binary=BINARY):
        self.folder, self.binary, self.started = folder, binary, []
        self.database = folder / "service.db"
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("service.db*"):
            old.unlink()

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
        return self

    def __exit__(self, *_):
        for program in reversed(self.started):
            program.send_signal(signal.SIGTERM)
            program.wait()

    def start(self, name, *arguments, **settings):
        """Starts the program with these arguments and settings, and none of the settings of this process."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("STOCKTIDE_")}
        env |= {f"STOCKTIDE_{name}": value for name, value in settings.items()}
        with (self.folder / f"{name}.log").open("w") as log:
            program = subprocess.Popen([self.binary, *arguments], stdout=log, stderr=subprocess.STDOUT, env=env)
        self.started.append(program)
        return program

    def serve(self, operator_key, **settings):
        """Starts a service; returns its address and its process."""
        address = free_address()
        settings |= {"DATABASE_URL": f"sqlite://{self.database}", "OPERATOR_KEY": operator_key, "ALLOW_PRIVATE_TARGETS": "true"}
        program = self.start("serve", "serve", "--listen", address, **settings)
        wait_until_listening(address, program)
        return address, program

    def simulate_platform(self):
        """Starts a simulated platform; returns its address."""
        address = free_address()
        wait_until_listening(address, self.start("platform", "simulate-platform", "--listen", address))
        return address
