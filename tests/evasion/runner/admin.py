"""The administrator's connection to the server itself: accounts, set-up, and a look at what a case left behind."""

import sys

from .wire import mysql, postgres
from .wire.mysql_packets import row_values

PASSWORD = "pw_Evasion1"       # of every login of a case
ROOT_PASSWORD = "weir_root"
CATALOG_ACCOUNT = "weir_catalog"

# What is expected to fail at times; its error is not told.
QUIET = "--?"


class PostgresAdmin:
    MEMBERSHIPS = {
        "support_agent": "IN ROLE g_support", "app": "IN ROLE g_app", "dev": "REPLICATION CREATEROLE IN ROLE g_dev",
        "dba": "SUPERUSER", "analyst": "IN ROLE g_analyst", "backup": "REPLICATION IN ROLE g_backup",
    }

    def __init__(self, address):
        self.address, self.connection = address, None

    def _ask(self, sql):
        if not self.connection or self.connection.dead:
            self.connection = postgres.Connection(self.address, "postgres", ROOT_PASSWORD, "weirdb", timeout=180)
        self.connection.send(postgres.query(sql))
        return self.connection.until_ready()

    def run(self, statements):
        for sql in [statements] if isinstance(statements, str) else statements:
            for kind, body in self._ask(sql):
                if kind == b"E" and not sql.lstrip().startswith(QUIET):
                    print("administrator:", postgres.error_text(body), "::", sql[:120], file=sys.stderr)

    def column(self, sql):
        return [postgres.row_values(body)[0] for kind, body in self._ask(sql) if kind == b"D"]

    def value(self, sql):
        column = self.column(sql)
        return column[0].decode() if column and column[0] is not None else None

    def create_logins(self, cases):
        have = {name.decode() for name in self.column("SELECT rolname FROM pg_roles")}
        wanted = [(user, case.role) for case in cases for user in case.users if user not in have]
        for user, role in wanted:
            self.run(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{PASSWORD}' {self.MEMBERSHIPS[role]}")


class MySqlAdmin:
    ORDINARY = [
        "SELECT, SHOW VIEW, EXECUTE, CREATE TEMPORARY TABLES ON support.*",
        "INSERT, UPDATE, DELETE ON support.customers",
        "INSERT, UPDATE, DELETE ON support.tickets", "INSERT, UPDATE, DELETE ON support.clients",
        "INSERT, UPDATE, DELETE ON support.orders", "INSERT ON support.report_request", "SELECT ON archive.*",
        "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, EXECUTE, "
        "TRIGGER, EVENT ON scratch.*",
    ]
    RIGHTS = {
        "support_agent": ORDINARY,
        "app": ORDINARY,
        "analyst": ["SELECT, SHOW VIEW, EXECUTE ON support.*", "SELECT ON archive.*"],
        "dev": ORDINARY + [
            "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, "
            "ALTER ROUTINE, EXECUTE, TRIGGER, EVENT, LOCK TABLES, CREATE TEMPORARY TABLES, FILE, PROCESS, RELOAD, "
            "REPLICATION SLAVE, REPLICATION CLIENT ON *.*"],
        "dba": ["ALL ON *.*"],
        "backup": ["SELECT, LOCK TABLES, SHOW VIEW, EVENT, TRIGGER, PROCESS, RELOAD, REPLICATION CLIENT ON *.*"],
    }

    def __init__(self, address):
        self.address, self.connection, self.rows = address, None, []

    def _ask(self, sql):
        if not self.connection or self.connection.dead:
            self.connection = mysql.Connection(self.address, "root", ROOT_PASSWORD, "support", timeout=180)
        self.rows = []
        self.connection.on_packet = lambda kind, packet: self.rows.append(packet) if kind == "row" else None
        return self.connection.query(sql)

    def run(self, statements):
        for sql in [statements] if isinstance(statements, str) else statements:
            for result in self._ask(sql):
                if result.error and not sql.startswith(QUIET):
                    print("administrator:", result.error, "::", sql[:120], file=sys.stderr)

    def column(self, sql):
        self._ask(sql)
        return [row_values(row)[0] for row in self.rows]

    def value(self, sql):
        column = self.column(sql)
        return column[0].decode() if column and column[0] is not None else None

    def create_logins(self, cases):
        have = {name.decode() for name in self.column("SELECT user FROM mysql.user")}
        for user, role in [(user, case.role) for case in cases for user in case.users if user not in have]:
            option = " WITH GRANT OPTION" if role == "dba" else ""
            self.run([f"CREATE USER '{user}'@'%' IDENTIFIED BY '{PASSWORD}'",
                      *(f"GRANT {rights} TO '{user}'@'%'{option}" for rights in self.RIGHTS[role])])
