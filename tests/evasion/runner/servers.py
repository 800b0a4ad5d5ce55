"""Throw-away servers, each in a folder and on a loopback port of its own, with the population in it."""

import glob
import os

from .admin import CATALOG_ACCOUNT, PASSWORD, ROOT_PASSWORD, MySqlAdmin, PostgresAdmin
from .play import HERE
from .process import Tied, free_port, own, program, run, server_user
from .wire import Closed, mysql, postgres

REPOSITORY = os.path.dirname(os.path.dirname(HERE))
MYSQL9 = os.path.join(REPOSITORY, "target", "mysql9")


class Server:
    """`files` is the directory that SQL may write to."""

    def __init__(self, directory):
        self.user = server_user()
        self.directory = directory
        self.address = ("127.0.0.1", free_port())
        self.files = self._directory("files")
        own(directory, self.user)
        os.chmod(directory, 0o755)

    def _directory(self, name):
        path = os.path.join(self.directory, name)
        os.mkdir(path)
        own(path, self.user)
        return path

    def stop(self):
        self.process.stop()


class Postgres(Server):
    # Replication and two-phase commit are doors, so they stand open as they do where somebody uses them.
    SETTINGS = ["wal_level=logical", "max_prepared_transactions=4", "max_replication_slots=10", "fsync=off",
                "shared_buffers=128MB", "max_wal_size=2GB", "listen_addresses=127.0.0.1", "unix_socket_directories=",
                "password_encryption=scram-sha-256"]
    weir_engine = "postgres"

    def __init__(self, directory):
        super().__init__(directory)
        newest = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))[-1:]
        data = os.path.join(directory, "data")
        password = os.path.join(directory, "password")
        with open(password, "w", encoding="utf-8") as file:
            file.write(ROOT_PASSWORD)
        own(password, self.user)
        run([program("initdb", *newest), "-D", data, "-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "-N",
             "-U", "postgres", "--pwfile", password], self.user)
        with open(os.path.join(data, "pg_hba.conf"), "a", encoding="utf-8") as file:
            file.write("host replication all 127.0.0.1/32 scram-sha-256\n")
        arguments = [program("postgres", *newest), "-D", data, "-p", str(self.address[1])]
        for setting in self.SETTINGS:
            arguments += ["-c", setting]
        self.process = Tied(arguments, os.path.join(directory, "server.log"), self.user, ask_to_end="INT")
        self.process.wait_until(self._answers)
        self.admin = PostgresAdmin(self.address)

    def _answers(self):
        try:
            postgres.Connection(self.address, "postgres", ROOT_PASSWORD, "postgres").close()
            return True
        except (Closed, OSError):
            return False

    def load(self, population):
        self.admin.connection = None
        for table, rows in population.files.items():
            path = os.path.join(self.files, table + ".tsv")
            with open(path, "wb") as file:
                file.write(rows)
            os.chmod(path, 0o644)
        self._psql("postgres", "-c", "DROP DATABASE IF EXISTS weirdb WITH (FORCE)", "-c", "CREATE DATABASE weirdb")
        self._psql("weirdb", "-v", f"datadir={self.files}", "-v", f"port={self.address[1]}",
                   "-v", f"catalog={CATALOG_ACCOUNT}", "-v", f"password={PASSWORD}",
                   "-f", os.path.join(HERE, "postgres.sql"))

    def _psql(self, database, *arguments):
        environment = {**os.environ, "PGPASSWORD": ROOT_PASSWORD, "PGOPTIONS": "-c client_min_messages=warning"}
        run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.address[0], "-p", str(self.address[1]),
             "-U", "postgres", "-d", database, *arguments], env=environment)

    def major(self):
        return int(self.admin.value("SHOW server_version_num")) // 10000

    def version(self):
        return "PostgreSQL " + self.admin.value("SHOW server_version").split()[0]


class MySqlFamily(Server):
    SETTINGS = ["--bind-address=127.0.0.1", "--local-infile=1", "--log-bin=binlog", "--binlog-format=ROW",
                "--server-id=1", "--max-allowed-packet=64M", "--innodb-buffer-pool-size=192M",
                "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--performance-schema=ON",
                "--max-connections=400"]
    weir_engine = "mysql"

    def __init__(self, directory):
        super().__init__(directory)
        self.data = self._directory("data")
        settings = self.SETTINGS + self.settings() + [
            f"--datadir={self.data}", f"--socket={directory}/socket", f"--pid-file={directory}/pid",
            f"--tmpdir={self._directory('tmp')}", f"--secure-file-priv={self.files}", f"--port={self.address[1]}"]
        first = os.path.join(directory, "init.sql")
        with open(first, "w", encoding="utf-8") as file:
            for host in ("localhost", "127.0.0.1"):
                file.write(f"CREATE USER IF NOT EXISTS root@'{host}';\n"
                           f"ALTER USER root@'{host}' IDENTIFIED BY '{ROOT_PASSWORD}';\n"
                           f"GRANT ALL ON *.* TO root@'{host}' WITH GRANT OPTION;\n")
            file.write(f"CREATE USER {CATALOG_ACCOUNT}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n")
            for rights in self.catalog_rights():
                file.write(f"GRANT {rights} TO {CATALOG_ACCOUNT}@'127.0.0.1';\n")
        self.initialise(settings)
        arguments = [*self.server_program(), "--no-defaults", *settings, f"--init-file={first}"]
        self.process = Tied(arguments, os.path.join(directory, "server.log"), self.user)
        self.process.wait_until(self._answers)
        self.admin = MySqlAdmin(self.address)

    def _answers(self):
        try:
            mysql.Connection(self.address, "root", ROOT_PASSWORD, "").close()
            return True
        except (Closed, OSError):
            return False

    def load(self, population):
        files = {f"data/{table}.tsv": rows for table, rows in population.files.items()}
        connection = mysql.Connection(self.address, "root", ROOT_PASSWORD, "", files=files, timeout=300)
        self.admin.connection = None
        with open(os.path.join(HERE, "mysql.sql"), encoding="utf-8") as file:
            for part in file.read().split("\n;;\n"):
                lines = [line for line in part.splitlines() if not line.startswith("-- ")]
                if lines and lines[0].startswith("@"):
                    if lines.pop(0) != "@" + self.name:
                        continue
                sql = "\n".join(lines).strip()
                for result in connection.query(sql) if sql else []:
                    if result.error:
                        raise SystemExit(f"mysql.sql: {result.error}\n{sql[:300]}")
        connection.close()

    def major(self):
        return int(self.admin.value("SELECT version()").split(".")[0])

    def version(self):
        return f"{self.title} {self.admin.value('SELECT version()').split('-')[0]}"


class MariaDb(MySqlFamily):
    name, title = "mariadb", "MariaDB"

    def settings(self):
        return []

    def catalog_rights(self):
        # That it may read the data too is what docs/configuration.md offers for views without naming each.
        return ["REFERENCES, SHOW VIEW, SELECT, CONNECTION ADMIN ON *.*"]

    def initialise(self, settings):
        run([program("mariadb-install-db"), "--no-defaults", "--skip-test-db",
             "--auth-root-authentication-method=normal", "--skip-name-resolve", f"--datadir={self.data}"], self.user)

    def server_program(self):
        return [program("mariadbd")]


class MySql9(MySqlFamily):
    name, title = "mysql", "MySQL"

    @staticmethod
    def is_set_up():
        return os.path.exists(os.path.join(MYSQL9, "root", ".complete"))

    def settings(self):
        root = os.path.join(MYSQL9, "root", "usr")
        return ["--mysqlx=OFF", f"--basedir={root}", f"--lc-messages-dir={root}/share/mysql",
                f"--plugin-dir={root}/lib/mysql/plugin", f"--character-sets-dir={root}/share/mysql/charsets"]

    def catalog_rights(self):
        return ["REFERENCES, SHOW VIEW, SELECT, SHOW_ROUTINE, CONNECTION_ADMIN, SYSTEM_USER ON *.*"]

    def initialise(self, settings):
        run([*self.server_program(), "--no-defaults", "--initialize-insecure", *settings], self.user)

    def server_program(self):
        return [os.path.join(MYSQL9, "run"), "mysqld"]


SERVERS = {"pg": Postgres, "mysql": MySql9, "mariadb": MariaDb}


def ready(engine):
    """Whether this machine has the server. MySQL 9 is a choice of its own."""
    return engine != "mysql" or MySql9.is_set_up()
