"""MariaDB behind all of them."""

import shutil
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

ACCOUNTS = [USER]
# What Weir's own account needs: docs/configuration.md.
CATALOG_RIGHTS = "references, show view, connection admin"
ELSEWHERE = "/usr/sbin:/usr/local/sbin"


def find_program(name):
    found = shutil.which(name) or shutil.which(name, path=ELSEWHERE)
    if not found:
        raise SetupError(f"no `{name}`: install the packages `mariadb-server` and `mariadb-client`")
    return found


class Mariadb(Server):
    """The server. Nothing in it has to survive a crash, so that it is the proxy that is measured."""

    SETTINGS = [
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--skip-log-bin",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--innodb-doublewrite=0",
        "--innodb-buffer-pool-size=512M",
        "--performance-schema=off",
        "--character-set-server=utf8mb4",
        f"--max-connections={CONNECTIONS_MAX + 100}",
        "--back-log=1000",
        "--table-open-cache=4000",
    ]

    def __init__(self, scratch, table_rows, rows):
        install, server = find_program("mariadb-install-db"), find_program("mariadbd")
        self.client = find_program("mariadb")
        account = lent_by_root("mysql")
        data = scratch.folder("mariadb", account)
        # Temporary tables in a place of its own: a server that starts deletes those that others have in the same one.
        where = [f"--datadir={data}", f"--tmpdir={scratch.folder('mariadb.tmp', account)}"]
        made = subprocess.run(
            [install, "--no-defaults", *where, "--skip-test-db", "--skip-name-resolve"],
            capture_output=True,
            text=True,
            cwd="/",
            **run_as(account),
        )
        if made.returncode:
            raise SetupError(f"mariadb-install-db failed:\n{(made.stdout + made.stderr)[-2000:]}")
        # What the server does before it lets anybody in: a statement on each line.
        first = data / "first.sql"
        first.write_text(
            f"create user {USER}@'127.0.0.1' identified by '{PASSWORD}';\n"
            f"grant all on *.* to {USER}@'127.0.0.1';\n"
            f"create user {CATALOG_USER}@'127.0.0.1' identified by '{PASSWORD}';\n"
            f"grant {CATALOG_RIGHTS} on *.* to {CATALOG_USER}@'127.0.0.1';\n"
        )
        port = free_port()
        command = [server, "--no-defaults", *where, f"--port={port}", *self.SETTINGS, f"--init-file={first}"]
        command += [f"--socket={data}/socket", f"--pid-file={data}/pid"]
        super().__init__(scratch, "mariadb", port, command, account)
        self.wait_for(lambda: self.run("mysql", "select 1", check=False))
        self.fill(table_rows, rows)

    def run(self, database, *statements, check=True):
        command = [self.client, "--no-defaults", "--skip-ssl", "--host=127.0.0.1", f"--port={self.port}"]
        command += [f"--user={USER}", f"--password={PASSWORD}", database, "--execute", "; ".join(statements)]
        done = subprocess.run(command, capture_output=True, text=True)
        if check and done.returncode:
            raise SetupError(f"cannot fill the database: {done.stderr.strip()}")
        return done.returncode == 0

    def fill(self, table_rows, rows):
        self.run("mysql", f"create database {DATABASE}")
        self.run(
            DATABASE,
            """create table customers (id int primary key, name varchar(80) not null, email varchar(80) not null,
               phone varchar(32), address varchar(160))""",
            f"""insert into customers select seq, concat('Customer ', md5(seq)), concat('mail.', seq, '@example.org'),
                concat('+44 20 ', lpad(seq * 7919 % 10000000, 7, '0')),
                concat(seq % 300, ' ', md5(seq + 1), ' Road, ', md5(seq + 2)) from seq_1_to_{rows}""",
            # As sysbench lays it out, made in a tenth of its time.
            """create table sbtest1 (id int not null auto_increment primary key, k int not null default 0,
               c char(120) not null default '', pad char(60) not null default '', key k_1 (k))""",
            f"""insert into sbtest1 select seq, 1 + seq * 7919 % {table_rows},
                concat(rpad(md5(seq), 59, md5(seq + 1)), '-', rpad(md5(seq + 2), 59, md5(seq + 3))),
                rpad(md5(seq + 4), 59, md5(seq + 5)) from seq_1_to_{table_rows}""",
            "analyze table customers, sbtest1",
        )

    def versions(self):
        return {"mariadb": [self.process.args[0], "--version"], "sysbench": ["sysbench", "--version"]}
