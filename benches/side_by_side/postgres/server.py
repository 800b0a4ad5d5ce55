"""PostgreSQL behind all of them, and pgbouncer, which speaks nothing else."""

import glob
import pathlib
import shutil
import signal
import subprocess

from servers import (
    CATALOG_USER,
    CONNECTIONS_MAX,
    DATABASE,
    PASSWORD,
    USER,
    Server,
    SetupError,
    free_port,
    lent_by_root,
    run_as,
)

SCRAM_USER = "scram_user"
ACCOUNTS = [USER, SCRAM_USER]


def find_programs():
    """Folder of the newest PostgreSQL's programs."""
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    if folders:
        return pathlib.Path(max(folders, key=lambda folder: float(folder.split("/")[-2])))
    found = shutil.which("initdb")
    if not found:
        raise SetupError("no PostgreSQL: install the package `postgresql`")
    return pathlib.Path(found).parent


class Postgres(Server):
    """The server. Nothing in it has to survive a crash, so that it is the proxy that is measured."""

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
        self.programs = find_programs()
        account = lent_by_root("postgres")
        data = scratch.folder("postgres", account)
        initdb = [self.programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        made = subprocess.run(initdb, capture_output=True, text=True, cwd="/", **run_as(account))
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
            f"create role {CATALOG_USER} login",
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

    def versions(self):
        return {"postgresql": [self.programs / "postgres", "--version"]}


def pgbouncer(scratch, upstream):
    """In session mode, which is what a one-to-one proxy compares with."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    port, account = free_port(), lent_by_root("postgres")
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
