"""MySQL Connector/Python, in Python and as C extension: text and prepared, buffered and not, several results, query
attributes, resetting the session, changing the user.

Prints a transcript that must be the same directly and through Weir. The connection comes from DB_* variables."""

import os
import sys
import warnings

import mysql.connector
from mysql.connector import errorcode, pooling

warnings.simplefilter("ignore", DeprecationWarning)

PLACE = {
    "host": os.environ["DB_HOST"],
    "port": int(os.environ["DB_PORT"]),
    "user": os.environ["DB_USER"],
    "password": os.environ["DB_PASSWORD"],
    "database": os.environ["DB_NAME"],
    "connection_timeout": 20,
    "ssl_disabled": True,
    "charset": "utf8mb4",
    "collation": "utf8mb4_general_ci",
}


def said(*words):
    print(*words, flush=True)


def attempt(label, action):
    try:
        action()
    except mysql.connector.Error as error:
        said(label, type(error).__name__, error.errno, error.sqlstate, error.msg)
    else:
        raise SystemExit(f"{label}: no error")


def ask(connection, sql, values=None, **options):
    cursor = connection.cursor(**options)
    try:
        cursor.execute(sql, values)
        return cursor.fetchall()
    finally:
        cursor.close()


def day(pure):
    connection = mysql.connector.connect(**PLACE, use_pure=pure)
    cursor = connection.cursor()
    cursor.execute("select * from every_type order by id")
    said([(column[0], column[1]) for column in cursor.description])
    for row in cursor:
        said(row)
    cursor.close()
    for options in ({}, {"buffered": True}, {"dictionary": True}, {"prepared": True}, {"raw": True}):
        said(options, ask(connection, "select id, name, email from customers where id = %s", (7,), **options))
    prepared = connection.cursor(prepared=True)
    for number in range(6):
        prepared.execute("select subject, status, details, opened_at from tickets where id = ?", (number + 1,))
        said(prepared.fetchall())
    prepared.execute("select subject, status, details, opened_at from tickets where id = ?", (10**6,))
    said(prepared.fetchall())
    prepared.close()
    prepared = connection.cursor(prepared=True)
    # All types but YEAR, which the library in Python cannot read here.
    prepared.execute(
        "select i1, u1, i2, i3, i8, u8, f4, f8, n, b, c, v, t, bl, vb, d, ti, dt, ts, e, s, j from every_type where id = %s",
        (1,),
    )
    said("binary", prepared.fetchall())
    prepared.close()
    unbuffered = connection.cursor(prepared=True)
    unbuffered.execute("select id, email from customers where id <= ? order by id", (400,))
    said("in pieces", len(unbuffered.fetchmany(50)), unbuffered.fetchone(), len(unbuffered.fetchall()))
    unbuffered.close()
    long = connection.cursor(prepared=True)
    long.execute("select length(?), ?", ("n" * 300_000, b"\x00\x01\xff"))
    said("long", long.fetchall())
    long.close()
    cursor = connection.cursor()
    cursor.callproc("two_results", (2,))
    said([result.fetchall() for result in cursor.stored_results()])
    cursor.close()
    said("several", several(connection, "select 1; set @a = 5; select @a, 'x'; select id from articles where id < 3 order by id"))
    attempt("syntax", lambda: ask(connection, "selec 1"))
    attempt("missing", lambda: ask(connection, "select * from no_such_table where id = %s", (1,), prepared=True))
    attempt("unique", lambda: ask(connection, "insert into products select * from products where id = 1"))
    said(errorcode.ER_DUP_ENTRY)
    connection.rollback()
    connection.start_transaction(isolation_level="READ COMMITTED")
    connection.rollback()
    ask(connection, "start transaction read only")
    attempt("read only", lambda: ask(connection, "delete from articles"))
    connection.rollback()
    connection.start_transaction()
    said(connection.in_transaction)
    ask(connection, "set @mine = 3")
    connection.commit()
    connection.cmd_reset_connection()
    said("reset", ask(connection, "select @mine, database()"))
    connection.cmd_change_user("bob", PLACE["password"], PLACE["database"])
    said("changed", ask(connection, "select substring_index(current_user(), '@', 1)"))
    connection.cmd_init_db("billing")
    said(ask(connection, "select count(*) from cards"), connection.is_connected())
    connection.database = PLACE["database"]
    said(ask(connection, "select repeat('y', 16777300)")[0][0] == "y" * 16_777_300)
    connection.close()


def several(connection, text):
    """All results of a text of several statements. How it is asked for changed between versions of the library."""
    cursor = connection.cursor()
    found = []
    try:
        cursor.execute(text)
        found.append(cursor.fetchall() if cursor.with_rows else cursor.rowcount)
        while cursor.nextset():
            found.append(cursor.fetchall() if cursor.with_rows else cursor.rowcount)
    finally:
        cursor.close()
    return found


def attributes():
    """Only a server that offers query attributes gets them."""
    connection = mysql.connector.connect(**PLACE, use_pure=True)
    if not connection._query_attrs_supported:
        said("no query attributes here")
        return
    cursor = connection.cursor()
    cursor.add_attribute("case", "T-4711")
    cursor.add_attribute("agent", 42)
    cursor.execute("select name from customers where id = 9")
    said("with attributes", cursor.fetchall())
    prepared = connection.cursor(prepared=True)
    prepared.add_attribute("case", "T-4712")
    prepared.execute("select name from customers where id = ?", (10,))
    said("with attributes", prepared.fetchall())


def pool():
    connections = pooling.MySQLConnectionPool(pool_name="desk", pool_size=3, **PLACE)
    for number in range(9):
        connection = connections.get_connection()
        said(ask(connection, "select sum(id) from articles where id <= %s", (number,)), ask(connection, "select @left"))
        ask(connection, "set @left = 1")
        connection.close()


day(pure=True)
if mysql.connector.HAVE_CEXT:
    day(pure=False)
else:
    sys.exit("the C extension is missing")
attributes()
pool()
said("all of it")
