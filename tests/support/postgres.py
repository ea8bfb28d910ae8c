"""A PostgreSQL server of its own for the tools in `tests`, from the machine's programs, and PgBouncer in front of it."""
import os
import pathlib
import shutil
import subprocess
import sys

from .service import free_address, wait_until_listening


class Postgres:
    """A server on a free port of 127.0.0.1 with durable commits, and its data in `folder`; stopped with the run."""

    def __init__(self, folder, connections=200):
        of_debian = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        of_path = shutil.which("initdb")
        if not of_debian and not of_path:
            sys.exit("PostgreSQL's own programs (initdb, pg_ctl) are not installed")
        self.programs = of_debian[-1] if of_debian else pathlib.Path(of_path).parent
        self.folder, self.connections = folder, connections
        self.port = free_address().split(":")[1]
        self.url = f"postgres://stocktide@127.0.0.1:{self.port}/postgres"

    def __enter__(self):
        self.folder.mkdir(parents=True)
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
        self.run("initdb", "-U", "stocktide", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8")
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='' -c max_connections={self.connections}"
        self.run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")
        client = [self.programs / "psql", "-X", "-q", "-A", "-t", "-F", "\t", self.url]
        self.client = subprocess.Popen(client, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.rows("SET client_min_messages = warning")
        return self

    def __exit__(self, *_):
        self.client.stdin.close()
        self.client.wait()
        self.run("pg_ctl", "-m", "immediate", "stop")

    def run(self, program, *arguments):
        # PostgreSQL refuses to run as root.
        role = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        command = [*role, self.programs / program, "-D", self.folder / "data", *arguments]
        subprocess.run(command, check=True, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def rows(self, query):
        """The rows of a query, each a list of texts."""
        self.client.stdin.write(f"{query};\n\\echo end of rows\n")
        self.client.stdin.flush()
        rows = []
        while (line := self.client.stdout.readline()) and line != "end of rows\n":
            rows.append(line.rstrip("\n").split("\t"))
        return rows

    def cpu_s(self):
        """What the server has used so far, sessions that have ended included."""
        postmaster = (self.folder / "data/postmaster.pid").read_text().split("\n")[0]
        return sum(cpu_s(pid) for pid in [postmaster, *children(postmaster)]) + cpu_s(postmaster, of_ended_children=True)


class PgBouncer:
    """PgBouncer in front of the server, with the configuration in `deploy`."""

    def __init__(self, postgres, program, prepares):
        self.folder, self.port = postgres.folder / "pgbouncer", free_address().split(":")[1]
        self.url = postgres.url.replace(f":{postgres.port}/", f":{self.port}/")
        configuration = (pathlib.Path(__file__).parents[2] / "deploy/pgbouncer/pgbouncer.ini").read_text()
        here = {
            "stocktide = host=127.0.0.1 port=5432 dbname=stocktide": f"* = host=127.0.0.1 port={postgres.port}",
            "listen_port = 6432": f"listen_port = {self.port}",
            "auth_type = scram-sha-256": "auth_type = trust",
            "auth_file = /etc/pgbouncer/userlist.txt": f"auth_file = {self.folder}/userlist.txt",
            "logfile = /var/log/postgresql/pgbouncer.log\n": "",
            "pidfile = /var/run/postgresql/pgbouncer.pid": "unix_socket_dir =",
        }
        if prepares:
            here[";; max_prepared_statements"] = "max_prepared_statements"
        for shipped, own in here.items():
            configuration = configuration.replace(shipped, own)
        self.folder.mkdir(exist_ok=True)
        (self.folder / "pgbouncer.ini").write_text(configuration)
        (self.folder / "userlist.txt").write_text('"stocktide" ""\n')
        # It refuses to run as root.
        role = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        self.program = subprocess.Popen([program, "-q", self.folder / "pgbouncer.ini"], stderr=subprocess.DEVNULL, **role)
        wait_until_listening(f"127.0.0.1:{self.port}", self.program)

    def stop(self):
        self.program.terminate()
        self.program.wait()


def children(pid):
    return [pid for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for pid in (task / "children").read_text().split()]


def cpu_s(pid, of_ended_children=False):
    """Seconds of processor time."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    first = 13 if of_ended_children else 11
    return (int(fields[first]) + int(fields[first + 1])) / os.sysconf("SC_CLK_TCK")
