"""PyMySQL: types, look-ups, streaming, several statements, procedures, local files, big packets, errors, killing.

Prints a transcript that must be the same directly and through Weir. The connection comes from DB_* variables; ALLOWED
says whether the server may ask for a file of ours."""

import os
import tempfile
import threading
import time

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import DictCursor, SSCursor

PLACE = {
    "host": os.environ["DB_HOST"],
    "port": int(os.environ["DB_PORT"]),
    "user": os.environ["DB_USER"],
    "password": os.environ["DB_PASSWORD"],
    "database": os.environ["DB_NAME"],
    "charset": "utf8mb4",
    "connect_timeout": 20,
}


def said(*words):
    print(*words, flush=True)


def attempt(label, action):
    """Runs what must fail; prints the error's number and message."""
    try:
        action()
    except pymysql.MySQLError as error:
        said(label, type(error).__name__, error.args)
    else:
        raise SystemExit(f"{label}: no error")


def ask(connection, sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def types(connection):
    with connection.cursor() as cursor:
        cursor.execute("select * from every_type order by id")
        said([(column[0], column[1], column[6]) for column in cursor.description])
        for row in cursor:
            said(row)
        cursor.execute("select %s, %s, %s, %s, %s", (1, "naïve ☃ 'quoted' \\", b"\x00\xff'", None, 12.5))
        said("echo", cursor.fetchone())


def look_ups(connection):
    for number in range(5):
        said(ask(connection, "select name, email from customers where id = %s", (number + 1,)))
    with connection.cursor(DictCursor) as cursor:
        cursor.execute("select id, subject from tickets where customer_id = %(id)s order by id", {"id": 14})
        said(cursor.fetchmany(2), cursor.rowcount)
    with connection.cursor() as cursor:
        rows = [(9100 + n, f"title {n}", "body") for n in range(5)]
        said(cursor.executemany("insert into articles (id, title, body) values (%s, %s, %s)", rows))
        cursor.execute("insert into tickets (customer_id, subject) values (1, 'new')")
        said(cursor.lastrowid > 2000, cursor.rowcount)
    connection.rollback()
    said(ask(connection, "select count(*) from articles"))


def streams(connection):
    with connection.cursor(SSCursor) as cursor:
        cursor.execute("select id, email from customers order by id limit 700")
        said(sum(1 for _ in cursor.fetchall_unbuffered()))
    with connection.cursor(SSCursor) as cursor:
        cursor.execute("select id, body from articles order by id")
        said(cursor.fetchmany(3)[0][0])
    # The rest of it is read and dropped before anything else can be said.
    said(ask(connection, "select 'after a stream'"))


def several(connection):
    with connection.cursor() as cursor:
        cursor.execute("select 1; set @x = 2; select @x; update articles set title = title where id < 4; select 'end'")
        while True:
            said(cursor.fetchall(), cursor.rowcount)
            if not cursor.nextset():
                break
        cursor.callproc("two_results", (3,))
        while True:
            said("of the procedure", cursor.fetchall())
            if not cursor.nextset():
                break
        attempt("in the middle", lambda: read_all(cursor, "select 1; select * from no_such_table; select 2"))
    said(ask(connection, "select 'after an error in the middle'"))


def read_all(cursor, sql):
    cursor.execute(sql)
    while cursor.nextset():
        pass


def files(connection):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        for number in range(2000):
            file.write(f"{9000 + number}\ttitle {number}\tbody\t2025-01-01\n")
        file.flush()

        def load():
            with connection.cursor() as cursor:
                cursor.execute(f"load data local infile '{file.name}' into table articles")
                said("loaded", cursor.rowcount)

        if os.environ["ALLOWED"] == "yes":
            load()
            said(ask(connection, "select count(*), max(title) from articles"))
            attempt("no such file", lambda: ask(connection, "load data local infile '/no/such/file' into table articles"))
        else:
            attempt("local file", load)
    connection.rollback()
    said(ask(connection, "select count(*) from articles"))


def big_packets(connection):
    # A row is a packet: a length of three or four bytes, and the value. These end right before, at and behind 2^24-1.
    for length in (2**24 - 6, 2**24 - 5, 2**24 - 4, 2**24 - 1, 2**24, 2**25 + 17):
        value = ask(connection, "select repeat('x', %s)", (length,))[0][0]
        said(length, len(value), set(value) == {"x"})
    for length in (2**24 - 30, 2**24 - 1, 2**24 + 5):
        said("sent", length, ask(connection, "select length(%s)", ("y" * length,)))
    # A packet of exactly 2^24-1 is followed by an empty one.
    head = "select length('"
    text = "z" * (2**24 - 1 - 1 - len(head) - 2)
    said("exact", ask(connection, f"{head}{text}')"))


def errors(connection):
    attempt("syntax", lambda: ask(connection, "selec 1"))
    attempt("missing", lambda: ask(connection, "select * from no_such_table"))
    attempt("unique", lambda: ask(connection, "insert into products select * from products where id = 1"))
    attempt("foreign key", lambda: ask(connection, "insert into tickets (customer_id, subject) values (-1, 'x')"))
    with connection.cursor() as cursor:
        cursor.execute("select 1 / 0, cast('abc' as signed)")
        said(cursor.fetchall(), cursor.warning_count)
        cursor.execute("show warnings")
        said(cursor.fetchall())
    connection.rollback()


def states(connection):
    said(connection.get_server_info() != "", connection.get_host_info().startswith("socket"), connection.thread_id() > 0)
    said(connection.autocommit_mode, connection.character_set_name())
    connection.ping(reconnect=False)
    connection.select_db("billing")
    said(ask(connection, "select database(), count(*) from cards"))
    connection.select_db(os.environ["DB_NAME"])
    connection.begin()
    ask(connection, "update articles set title = 'changed' where id = 1")
    ask(connection, "savepoint s")
    ask(connection, "delete from articles where id = 2")
    ask(connection, "rollback to savepoint s")
    said(ask(connection, "select id, title from articles where id < 3 order by id"))
    connection.rollback()
    said(ask(connection, "select title from articles where id = 1"))
    ask(connection, "set @mine = 7, sql_mode = 'ANSI_QUOTES'")
    said(ask(connection, 'select @mine, "id" from articles where id = 3'))
    ask(connection, "set sql_mode = default")
    ask(connection, "create temporary table mine (n int)")
    ask(connection, "insert into mine values (1), (2)")
    said(ask(connection, "select sum(n) from mine"))
    ask(connection, "prepare p from 'select title from articles where id = ?'")
    ask(connection, "set @id = 5")
    said(ask(connection, "execute p using @id"))
    ask(connection, "deallocate prepare p")


def killing(connection):
    started = time.monotonic()
    other = pymysql.connect(**PLACE)

    def kill():
        # Once the server runs it, and not before.
        look = "select id from information_schema.processlist where info like 'select sleep(61)%'"
        for _ in range(1000):
            found = ask(other, look)
            if found:
                ask(other, f"kill query {found[0][0]}")
                return
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        said("killed", ask(connection, "select sleep(61)"))
    except pymysql.MySQLError as error:
        said("killed", error.args)
    thread.join()
    other.close()
    said("in time", time.monotonic() - started < 30)
    said("usable", ask(connection, "select 'yes'"))


def main():
    connection = pymysql.connect(**PLACE, client_flag=CLIENT.MULTI_STATEMENTS, local_infile=True)
    for part in (types, look_ups, streams, several, files, big_packets, errors, states, killing):
        said("#", part.__name__)
        part(connection)
    connection.close()
    latin = pymysql.connect(**{**PLACE, "charset": "latin1"}, init_command="set session wait_timeout = 1234", autocommit=True)
    said(ask(latin, "select 'é', hex('é'), @@wait_timeout, @@autocommit, @@character_set_client"))
    latin.close()
    attempt("wrong password", lambda: pymysql.connect(**{**PLACE, "user": "alice", "password": "wrong"}))
    attempt("no such database", lambda: pymysql.connect(**{**PLACE, "database": "no_such_database"}))
    said("all of it")


main()
