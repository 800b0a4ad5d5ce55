"""Everything that is measured, started on free loopback ports out of one scratch folder, and stopped again."""

import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

DATABASE = "bench"
USER = "bench"
PASSWORD = "bench"
START_SECONDS = 60
STOP_SECONDS = 20
CATALOG_USER = "weir_catalog"
# Idle sessions, and room for the rest.
CONNECTIONS_MAX = 1200


class SetupError(Exception):
    """Something that the bench needs is not there or does not start."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lent_by_root(account):
    """Servers that refuse to be root run as this account; None when we are not root."""
    return account if os.getuid() == 0 else None


def run_as(account):
    """What `subprocess` is told to run something as that account."""
    return {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []} if account else {}


class Scratch:
    """A folder that goes with us."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-"))
        self.path.chmod(0o755)

    def write(self, name, text):
        path = self.path / name
        path.write_text(text)
        return path

    def folder(self, name, account=None):
        path = self.path / name
        path.mkdir()
        if account:
            entry = pwd.getpwnam(account)
            os.chown(path, entry.pw_uid, entry.pw_gid)
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Server:
    """A process that listens on a port."""

    def __init__(self, scratch, name, port, command, account=None, stop_signal=signal.SIGTERM):
        self.name, self.port, self.stop_signal = name, port, stop_signal
        self.log = scratch.path / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **run_as(account),
            )

    @property
    def pid(self):
        return self.process.pid

    def wait_for(self, ready):
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self.process.poll() is not None:
                raise SetupError(f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise SetupError(f"{self.name} is not ready after {START_SECONDS} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def log_tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def haproxy(scratch, engine, upstream):
    """As a relay of bytes."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    port = free_port()
    config = scratch.write(
        f"haproxy-{engine}.cfg",
        f"""global
  maxconn {2 * CONNECTIONS_MAX}
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
listen {engine}
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{upstream}
""",
    )
    server = Server(scratch, f"haproxy-{engine}", port, [program, "-db", "-f", config])
    server.wait_for(server.accepts)
    return server


ALLOW_ALL = "version: 1\nmode: enforce\n"

# Enough for years of benches: what is measured is counting, not refusing.
ENFORCING = """version: 1
mode: enforce
datasets:
  customers:
    class: personal
    relations:
      - { engine: %s, database: %s, name: "%s" }
    columns: [name, email, phone, address]
    key: [id]
who:
  desk: { group: desk }
rules:
  - name: desk-customers
    who: desk
    dataset: customers
    access: [read, export]
    budget:
      - { records: 100000000000, per: hour }
      - { records: 1000000000000, per: day }
    at: { 80%%: alert }
"""


def enforcing(engine, relation):
    """Counts the records of a relation, with a limit that is never reached."""
    return ENFORCING % (engine, DATABASE, relation)


def weir(scratch, binary, name, engine, upstream, accounts, policy):
    """A `weir` of its own, with this policy, the audit log on, in its default durability. All accounts are one person's."""
    port, admin = free_port(), free_port()
    name = f"{name}-{engine}"
    state = scratch.folder(f"{name}-state")
    scratch.write(f"{name}.policy.yaml", policy)
    accounts = ", ".join(accounts)
    scratch.write(f"{name}.people.yaml", f"people:\n  desk_agent: {{ accounts: [{accounts}], groups: [desk] }}\n")
    scratch.write(f"{name}.password", PASSWORD).chmod(0o600)
    config = scratch.write(
        f"{name}.toml",
        f"""state_dir = "{state}"
policy = "{name}.policy.yaml"
directory = "{name}.people.yaml"
[[listener]]
name = "bench"
engine = "{engine}"
address = "127.0.0.1:{port}"
upstream = "server"
[listener.auth]
mode = "relay"
[[upstream]]
name = "server"
engine = "{engine}"
address = "127.0.0.1:{upstream}"
tls = "off"
[upstream.catalog]
user = "{CATALOG_USER}"
password_file = "{name}.password"
[alert]
file = "alerts.jsonl"
[admin]
address = "127.0.0.1:{admin}"
""",
    )
    server = Server(scratch, name, port, [binary, "run", "--config", config])

    def ready():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    server.wait_for(ready)
    return server


def raise_descriptor_limit():
    """A thousand idle sessions take two descriptors each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
