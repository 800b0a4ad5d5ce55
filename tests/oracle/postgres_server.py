"""A throw-away PostgreSQL that serves for one run, and its own regression tests to run on it."""

import glob
import os
import pwd
import signal
import socket
import subprocess
import time

# Durability is of no interest; what the regression tests expect is.
SETTINGS = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "jit=off",
            "max_prepared_transactions=2", "listen_addresses=127.0.0.1", "max_locks_per_transaction=256",
            "track_activities=on", "log_min_messages=fatal", "max_wal_size=4GB", "shared_buffers=256MB"]
START_SECONDS = 60


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def as_user(name):
    """How subprocess becomes somebody else where we are root: these servers refuse to be."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


# A server ends with who started it, whatever ends that.
TIED = ["setpriv", "--pdeathsig", "KILL"]


class Postgres:
    """A running server; `stop` ends it."""

    def __init__(self, directory):
        self.binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))[-1]
        self.who = as_user("postgres")
        self.data = directory / "data"
        self.results = directory / "results"
        for path in (self.data, self.results):
            path.mkdir()
            if self.who:
                os.chown(path, self.who["user"], self.who["group"])
        (self.results / "results").mkdir()
        if self.who:
            os.chown(self.results / "results", self.who["user"], self.who["group"])
        initdb = [f"{self.binaries}/initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync",
                  "--no-locale", "-E", "UTF8"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **self.who)
        self.port = free_port()
        command = TIED + [f"{self.binaries}/postgres", "-D", str(self.data), "-p", str(self.port), "-k", str(self.data)]
        for setting in SETTINGS:
            command += ["-c", setting]
        self.log = directory / "server.log"
        self.process = subprocess.Popen(command, stdout=self.log.open("w"), stderr=subprocess.STDOUT, cwd="/", **self.who)
        for _ in range(START_SECONDS * 10):
            if self.process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()[-2000:]}")
            if self.psql("select 1", check=False).returncode == 0:
                break
            time.sleep(0.1)

    def psql(self, sql, database="postgres", check=True):
        command = [f"{self.binaries}/psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                   "-d", database, "-v", "ON_ERROR_STOP=1", "-c", sql]
        return subprocess.run(command, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def create(self, database):
        """As the regression tests want it."""
        self.psql(f"create database {database} template template0")
        for setting in ("lc_messages to 'C'", "timezone_abbreviations to 'Default'", "bytea_output to 'hex'"):
            self.psql(f"alter database {database} set {setting}")

    def run_file(self, regress, name, port, database, seconds):
        """Has psql run one of the regression tests against a port; True when it came to its end in time."""
        environment = dict(
            os.environ,
            PGTZ="PST8PDT", PGDATESTYLE="Postgres, MDY", PGOPTIONS="-c intervalstyle=postgres_verbose",
            PGAPPNAME=f"pg_regress/{name}", PGHOST="127.0.0.1", PGPORT=str(port), PGUSER="postgres",
            PG_ABS_SRCDIR=str(regress), PG_ABS_BUILDDIR=str(self.results),
            PG_LIBDIR=f"{os.path.dirname(self.binaries)}/lib", PG_DLSUFFIX=".so", LC_ALL="C", PGSSLMODE="disable",
            PGGSSENCMODE="disable", PSQL_PAGER="cat",
        )
        command = [f"{self.binaries}/psql", "-X", "-a", "-q", "-d", database, "-f", str(regress / "sql" / f"{name}.sql")]
        log = self.results / f"{name}.out"
        with log.open("w") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       env=environment, cwd=str(self.results))
            try:
                process.wait(seconds)
                return True
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)


def schedule(regress):
    """Names of the tests, in the order in which they may run one by one."""
    names = []
    for line in (regress / "parallel_schedule").read_text().splitlines():
        if line.startswith("test:"):
            names += line.split()[1:]
    return names
