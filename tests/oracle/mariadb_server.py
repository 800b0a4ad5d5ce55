"""A throw-away MariaDB that serves for one run, and its own test client with its files."""

import os
import shutil
import socket
import subprocess
import sys
import time

from mariadb_wire import Closed, Refused, Server
from postgres_server import TIED, as_user, free_port

SETTINGS = ["bind-address=127.0.0.1", "skip-name-resolve", "innodb-flush-log-at-trx-commit=0", "innodb-doublewrite=0",
            "innodb-flush-method=nosync", "innodb-buffer-pool-size=128M", "innodb-log-file-size=32M", "max-connections=200",
            "local-infile=1", "event-scheduler=OFF", "performance-schema=ON", "lock-wait-timeout=5",
            "performance-schema-instrument=wait/lock/metadata/sql/mdl=ON", "innodb-lock-wait-timeout=2",
            "character-set-server=latin1", "collation-server=latin1_swedish_ci", "max-statement-time=20",
            "default-storage-engine=InnoDB", "secure-file-priv=", "log-bin-trust-function-creators=1",
            "performance-schema-max-metadata-locks=10000", "loose-innodb-stats-persistent=0"]
START_SECONDS = 60
# Databases that are the server's.
OWN = {"information_schema", "mysql", "performance_schema", "sys"}


def login(user):
    """The answer to the greeting of an account without a password: protocol 4.1, several statements, its plugin."""
    capabilities = 0x00000200 | 0x00008000 | 0x00080000 | 0x00010000 | 0x00002000
    return (capabilities.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little") + b"\x2d" + b"\0" * 23
            + user.encode() + b"\0" + b"\0" + b"mysql_native_password\0")


class MariaDb:
    """A running server; `stop` ends it."""

    def __init__(self, directory):
        self.directory = directory
        self.who = as_user("mysql")
        self.data, self.temporary = directory / "data", directory / "tmp"
        for path in (self.data, self.temporary):
            path.mkdir()
            if self.who:
                os.chown(path, self.who["user"], self.who["group"])
        if self.who:
            os.chown(directory, self.who["user"], self.who["group"])
        install = ["mariadb-install-db", "--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal",
                   f"--datadir={self.data}", "--skip-name-resolve", "--innodb-flush-method=nosync"]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **self.who)
        program = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        self.port = free_port()
        self.socket = directory / "socket"
        self.command = TIED + [program, "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}",
                        f"--port={self.port}", f"--tmpdir={self.temporary}", f"--pid-file={directory / 'pid'}"]
        self.command += [f"--{setting}" for setting in SETTINGS]
        self.log = directory / "server.log"
        self.process = None
        self.start()
        # A hundred views that no test reads; each new snapshot of the catalog would hold them.
        self.administer("drop database sys")
        self.administer("create user weir@'%' identified by 'weir'", "grant all on *.* to weir@'%'",
                        "create user root@'%'", "grant all on *.* to root@'%' with grant option")

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log.open("a"), stderr=subprocess.STDOUT, cwd="/", **self.who)
        for _ in range(START_SECONDS * 10):
            if self.process.poll() is not None:
                raise RuntimeError(f"MariaDB did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            try:
                self.administer("select 1")
                return
            except (OSError, Closed):
                time.sleep(0.1)
        raise RuntimeError("MariaDB does not answer")

    def administer(self, *texts):
        """Runs texts as root; the rows of the last."""
        sock = socket.socket(socket.AF_UNIX)
        with sock:
            sock.connect(str(self.socket))
            server = Server.__new__(Server)
            server.socket, server.buffer = sock, b""
            server.take()
            server.put(1, login("root"))
            _, payload = server.take()
            if payload[:1] == b"\xfe":
                server.put(3, b"")
                _, payload = server.take()
            if payload[:1] == b"\xff":
                raise Refused(payload.decode("utf-8", "replace"))
            rows = []
            for text in texts:
                rows = server.query(text.encode())
            return rows

    def clear(self):
        """As a test expects to find it: one empty database, and settings that the last one may have changed."""
        if self.process.poll() is not None:
            # A test's statement took the server down; that is between them.
            self.start()
        names = [name.decode() for (name,) in self.administer("show databases")]
        drops = [f"drop database `{name}`" for name in names if name not in OWN]
        users = self.administer("select concat(\"'\", user, \"'@'\", host, \"'\") from mysql.user"
                                " where user not in ('root', 'weir', 'mysql', 'mariadb.sys', 'PUBLIC') and is_role = 'N'")
        for text in drops + [f"drop user {user.decode()}" for (user,) in users]:
            try:
                self.administer("set foreign_key_checks = 0", text)
            except Refused as refusal:
                # What somebody else's tool left in a database's folder keeps that from going away.
                print(f"mariadb: {text}: {refusal}", file=sys.stderr)
        self.administer("set global sql_mode = default", "set global log_bin_trust_function_creators = 1",
                        "set global lock_wait_timeout = 5", "set global max_statement_time = 20", "create database if not exists test")

    def run_file(self, kit, path, port, seconds):
        """Has the test client run one file against a port; True when it came to its end in time."""
        tests = kit / "usr/share/mysql/mysql-test"
        libraries = ":".join(str(path) for path in (kit / "usr/lib").glob("*-linux-gnu*"))
        variables = dict(MYSQL_TEST_DIR=tests, MYSQLTEST_VARDIR=self.directory, MYSQL_TMP_DIR=self.temporary,
                         MYSQL_DATA_DIR=self.data, MYSQLD_DATADIR=self.data, MASTER_MYPORT=port, MASTER_MYSOCK=self.socket)
        environment = dict(os.environ, LD_LIBRARY_PATH=libraries, TZ="MET", LC_ALL="C", HOME=str(self.directory),
                           **{name: str(value) for name, value in variables.items()})
        command = [str(kit / "usr/bin/mariadb-test"), "--no-defaults", "--host=127.0.0.1", f"--port={port}", "--user=root",
                   "--database=test", f"--test-file={path}", f"--tmpdir={self.temporary}", f"--logdir={self.temporary}",
                   "--continue-on-error", "--silent", "--sleep=0", "--max-connect-retries=2"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=environment, cwd=str(tests))
        try:
            process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
