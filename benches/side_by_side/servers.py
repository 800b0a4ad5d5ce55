"""Everything that is measured, started on free loopback ports out of one scratch folder, and stopped again."""

import glob
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
SCRAM_USER = "scram_user"
PASSWORD = "bench"
START_SECONDS = 60
STOP_SECONDS = 20
# Idle sessions, and room for the rest.
CONNECTIONS_MAX = 1200


class SetupError(Exception):
    """Something that the bench needs is not there or does not start."""


def postgres_programs():
    """Folder of the newest PostgreSQL's programs."""
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    if folders:
        return pathlib.Path(max(folders, key=lambda folder: float(folder.split("/")[-2])))
    found = shutil.which("initdb")
    if not found:
        raise SetupError("no PostgreSQL: install the package `postgresql`")
    return pathlib.Path(found).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def server_account():
    """Servers that refuse to be root run as this account; None when we are not root."""
    return "postgres" if os.getuid() == 0 else None


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
        options = {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []} if account else {}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
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


class Postgres(Server):
    """The server behind all of them. Nothing in it has to survive a crash, so that it is the proxy that is measured."""

    SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 512MB
max_wal_size = 4GB
autovacuum = off
jit = off
max_parallel_workers_per_gather = 0
"""

    def __init__(self, scratch, scale, rows):
        self.programs = postgres_programs()
        account = server_account()
        data = scratch.folder("postgres", account)
        options = {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []} if account else {}
        initdb = [self.programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        made = subprocess.run(initdb, capture_output=True, text=True, cwd="/", **options)
        if made.returncode:
            raise SetupError(f"initdb failed:\n{made.stderr[-2000:]}")
        port = free_port()
        with open(data / "postgresql.conf", "a") as conf:
            conf.write(self.SETTINGS + f"port = {port}\nmax_connections = {CONNECTIONS_MAX + 100}\n")
        (data / "pg_hba.conf").write_text(
            f"host all {SCRAM_USER} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        )
        # Fast shutdown: clients are not waited for.
        command = [self.programs / "postgres", "-D", data]
        super().__init__(scratch, "postgres", port, command, account, signal.SIGINT)
        self.wait_for(lambda: self.psql("postgres", "select 1", check=False))
        self.fill(scale, rows)

    def psql(self, database, *statements, check=True):
        command = [self.programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", self.port]
        command += ["-U", "postgres", "-d", database]
        for statement in statements:
            command += ["-c", statement]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if check and done.returncode:
            raise SetupError(f"cannot fill the database: {done.stderr.strip()}")
        return done.returncode == 0

    def fill(self, scale, rows):
        self.psql(
            "postgres",
            f"create role {USER} login password '{PASSWORD}'",
            f"create role {SCRAM_USER} login password '{PASSWORD}' in role {USER}",
            "create role weir_catalog login",
            f"create database {DATABASE} owner {USER}",
        )
        pgbench = [self.programs / "pgbench", "-h", "127.0.0.1", "-p", self.port, "-U", USER, "-i", "-q", "-s", scale]
        done = subprocess.run([str(word) for word in pgbench + [DATABASE]], capture_output=True, text=True)
        if done.returncode:
            raise SetupError(f"pgbench -i failed: {done.stderr[-1000:]}")
        self.psql(
            DATABASE,
            "create table customers (id int primary key, name text not null, email text not null, phone text, address text)",
            f"""insert into customers select n, 'Customer ' || md5(n::text), 'mail.' || n || '@example.org',
                '+44 20 ' || lpad((n * 7919 % 10000000)::text, 7, '0'), (n % 300) || ' ' || md5((n + 1)::text) || ' Road, '
                || md5((n + 2)::text) from generate_series(1, {rows}) n""",
            f"alter table customers owner to {USER}",
        )
        self.psql(DATABASE, "vacuum analyze")


def pgbouncer(scratch, upstream):
    """In session mode, which is what a one-to-one proxy compares with."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    port, account = free_port(), server_account()
    users = scratch.write("pgbouncer.users", f'"{USER}" "{PASSWORD}"\n"{SCRAM_USER}" "{PASSWORD}"\n')
    hba = scratch.write(
        "pgbouncer.hba", f"host all {SCRAM_USER} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
    )
    config = scratch.write(
        "pgbouncer.ini",
        f"""[databases]
{DATABASE} = host=127.0.0.1 port={upstream} dbname={DATABASE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = hba
auth_hba_file = {hba}
auth_file = {users}
pool_mode = session
max_client_conn = {CONNECTIONS_MAX + 100}
default_pool_size = {CONNECTIONS_MAX}
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
""",
    )
    server = Server(scratch, "pgbouncer", port, [program, config], account, signal.SIGINT)
    server.wait_for(server.accepts)
    return server


def haproxy(scratch, upstream):
    """As a relay of bytes."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    port = free_port()
    config = scratch.write(
        "haproxy.cfg",
        f"""global
  maxconn {2 * CONNECTIONS_MAX}
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
listen postgres
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{upstream}
""",
    )
    server = Server(scratch, "haproxy", port, [program, "-db", "-f", config])
    server.wait_for(server.accepts)
    return server


ALLOW_ALL = "version: 1\nmode: enforce\n"

# Enough for years of benches: what is measured is counting, not refusing.
ENFORCING = f"""version: 1
mode: enforce
datasets:
  customers:
    class: personal
    relations:
      - {{ engine: postgres, database: {DATABASE}, name: "public.customers" }}
    columns: [name, email, phone, address]
    key: [id]
who:
  desk: {{ group: desk }}
rules:
  - name: desk-customers
    who: desk
    dataset: customers
    access: [read, export]
    budget:
      - {{ records: 100000000000, per: hour }}
      - {{ records: 1000000000000, per: day }}
    at: {{ 80%: alert }}
"""


def weir(scratch, binary, name, upstream, policy):
    """A `weir` of its own, with this policy, the audit log on, in its default durability."""
    port, admin = free_port(), free_port()
    state = scratch.folder(f"{name}-state")
    scratch.write(f"{name}.policy.yaml", policy)
    scratch.write(f"{name}.people.yaml", f"people:\n  desk_agent: {{ accounts: [{USER}, {SCRAM_USER}], groups: [desk] }}\n")
    config = scratch.write(
        f"{name}.toml",
        f"""state_dir = "{state}"
policy = "{name}.policy.yaml"
directory = "{name}.people.yaml"
[[listener]]
name = "bench"
engine = "postgres"
address = "127.0.0.1:{port}"
upstream = "server"
[[upstream]]
name = "server"
engine = "postgres"
address = "127.0.0.1:{upstream}"
tls = "off"
[upstream.catalog]
user = "weir_catalog"
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
