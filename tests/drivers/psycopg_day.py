"""psycopg 3: text and binary, server cursors, pipelines, COPY, notices, notifications, cancelling.

Prints a transcript that must be the same directly and through Weir. The connection comes from PG* variables."""

import logging
import threading
import time

import psycopg
from psycopg import sql
from psycopg.rows import dict_row


# How much of a failed pipeline is answered before psycopg leaves it depends on timing; so does a remark about it.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)


def said(*words):
    print(*words, flush=True)


def attempt(label, action):
    """Runs what must fail; prints the SQLSTATE and message."""
    try:
        action()
    except psycopg.Error as error:
        said(label, error.sqlstate, str(error).splitlines()[0])
    else:
        raise SystemExit(f"{label}: no error")


def types(connection):
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            cursor.execute("select * from every_type order by id")
            said("columns", [(c.name, c.type_code) for c in cursor.description])
            for row in cursor:
                said("binary" if binary else "text", row)
    echo = connection.execute(
        "select %s::int, %b::bigint, %s::text, %s::bytea, %b::numeric, %s::jsonb",
        (1, 2**40, "naïve ☃ 'quoted'", b"\x00\xff", 12.5, '{"k": [1]}'),
    ).fetchone()
    said("echo", echo)


def prepared(connection):
    for number in range(12):  # past psycopg's threshold of five, so that it prepares
        row = connection.execute("select name, email from customers where id = %s", (number + 1,)).fetchone()
        said("look-up", row)
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.executemany(
            "insert into articles (id, title, body) values (%s, %s, %s) returning id",
            [(9100 + n, f"title {n}", "body") for n in range(5)],
            returning=True,
        )
        while True:
            said("returned", cursor.fetchone())
            if not cursor.nextset():
                break
    connection.rollback()


def cursors(connection):
    with connection.transaction():
        with connection.cursor("server_side") as cursor:
            cursor.itersize = 50
            cursor.execute("select id, email from customers order by id limit 175")
            rows = [row for row in cursor]
            said("server cursor", len(rows), rows[0], rows[-1])
        with connection.cursor("scrolling", scrollable=True) as cursor:
            cursor.execute("select id from articles order by id")
            cursor.scroll(10)
            said("scrolled", cursor.fetchmany(3))


def pipeline(connection):
    with connection.pipeline() as pipe:
        first = connection.execute("select count(*) from tickets where customer_id = %s", (14,))
        second = connection.execute("select language from customers where id = %s", (2,))
        pipe.sync()
        third = connection.execute("insert into articles values (9200, 'p', 'p', null)")
        said("pipeline", first.fetchone(), second.fetchone(), third.statusmessage)
    connection.rollback()

    def broken():
        with connection.pipeline():
            connection.execute("select 1")
            connection.execute("select * from no_such_table")
            connection.execute("select 2")

    attempt("pipeline error", broken)
    connection.rollback()
    said("after", connection.execute("select 42").fetchone())
    # Row by row; after the pipelines, since psycopg 3.3 mistakes a pipeline's first result after a stream.
    with connection.cursor() as cursor:
        total = sum(1 for _ in cursor.stream("select id from customers where id <= %s", (300,)))
        said("streamed", total)


def copying(connection):
    with connection.cursor() as cursor:
        with cursor.copy("copy (select id, title, updated_at from articles where id <= 200 order by id) to stdout") as copy:
            blocks = b"".join(copy)
            said("copy out", len(blocks), blocks[:40])
        with cursor.copy("copy (select id, title from articles where id <= 20) to stdout (format binary)") as copy:
            copy.set_types(["int4", "text"])
            said("copy binary", list(copy.rows())[-1])
        cursor.execute("create temp table loaded (id int, note text)")
        with cursor.copy("copy loaded from stdin") as copy:
            for number in range(3000):
                copy.write_row((number, f"note {number}\twith tab"))
        said("copy in", cursor.execute("select count(*), max(note) from loaded").fetchone())

        def fails():
            with cursor.copy("copy loaded from stdin") as copy:
                copy.write("no number\tx\n")

        attempt("copy error", fails)
    connection.rollback()


def messages(connection):
    heard = []
    connection.add_notice_handler(lambda d: heard.append((d.severity, d.message_primary)))
    connection.execute("do $$ begin raise notice 'one'; raise warning 'two'; end $$")
    said("notices", heard)
    connection.commit()
    connection.autocommit = True
    connection.execute("listen news")
    connection.execute("notify news, 'first'")
    connection.execute("select pg_notify('news', 'second')")
    said("notified", [notify.payload for notify in connection.notifies(timeout=10, stop_after=2)])
    connection.execute("unlisten *")
    connection.autocommit = False


def errors(connection):
    attempt("syntax", lambda: connection.execute("selec 1"))
    attempt("in failed transaction", lambda: connection.execute("select 1"))
    connection.rollback()
    attempt("unique", lambda: connection.execute("insert into articles select * from articles where id = 1"))
    connection.rollback()
    attempt("parameter", lambda: connection.execute("select %s::int", ("x",)))
    connection.rollback()
    with connection.transaction():
        try:
            with connection.transaction():
                connection.execute("select 1/0")
        except psycopg.errors.DivisionByZero as error:
            said("savepoint", error.sqlstate)
        said("outer goes on", connection.execute("select 1").fetchone())


def cancelling(connection):
    started = time.monotonic()

    def cancel():
        # Once the server runs it, and not before: a cancel that comes early has nothing to cancel.
        with psycopg.connect(autocommit=True) as other:
            for _ in range(1000):
                busy = other.execute(
                    "select 1 from pg_stat_activity where query like %s and state = 'active' and pid <> pg_backend_pid()",
                    ("select pg_sleep(61)%",),
                ).fetchone()
                if busy:
                    break
                time.sleep(0.01)
        connection.cancel_safe(timeout=10)

    thread = threading.Thread(target=cancel)
    thread.start()
    attempt("cancelled", lambda: connection.execute("select pg_sleep(61)"))
    thread.join()
    said("in time", time.monotonic() - started < 30)
    connection.rollback()
    said("usable", connection.execute("select 'yes'").fetchone())


def main():
    with psycopg.connect(application_name="psycopg day") as connection:
        said(connection.info.user, connection.info.dbname, connection.info.encoding)
        said(connection.info.parameter_status("application_name"), connection.info.parameter_status("TimeZone"))
        for part in (types, prepared, cursors, pipeline, copying, messages, errors, cancelling):
            said("#", part.__name__)
            part(connection)
        query = sql.SQL("select {} from {} where id = 1").format(sql.Identifier("name"), sql.Identifier("public", "customers"))
        said(connection.execute(query).fetchone())
        connection.rollback()
        xid = connection.xid(1, "weir-test", "psycopg")
        connection.tpc_begin(xid)
        connection.execute("select 1")
        connection.tpc_rollback()
    options = "-c search_path=billing,public -c statement_timeout=1234"
    with psycopg.connect(options=options, client_encoding="latin1") as connection:
        said(connection.execute("show search_path").fetchone(), connection.execute("show statement_timeout").fetchone())
        said(connection.execute("select count(*) from cards").fetchone(), connection.info.encoding)
    said("all of it")


main()
