"""mysqlclient, which speaks through MariaDB's C library: look-ups, streams, several results, changing the user.

Prints a transcript that must be the same directly and through Weir. The connection comes from DB_* variables."""

import os

import MySQLdb
from MySQLdb.cursors import DictCursor, SSCursor

PLACE = {
    "host": os.environ["DB_HOST"],
    "port": int(os.environ["DB_PORT"]),
    "user": os.environ["DB_USER"],
    "passwd": os.environ["DB_PASSWORD"],
    "db": os.environ["DB_NAME"],
    "charset": "utf8mb4",
    "connect_timeout": 20,
}


def said(*words):
    print(*words, flush=True)


def attempt(label, action):
    try:
        action()
    except MySQLdb.Error as error:
        said(label, type(error).__name__, error.args)
    else:
        raise SystemExit(f"{label}: no error")


def ask(connection, sql, values=None):
    cursor = connection.cursor()
    try:
        cursor.execute(sql, values)
        return cursor.fetchall()
    finally:
        cursor.close()


def main():
    connection = MySQLdb.connect(**PLACE)
    cursor = connection.cursor()
    cursor.execute("select * from every_type order by id")
    said([(column[0], column[1]) for column in cursor.description])
    for row in cursor.fetchall():
        said(row)
    for number in range(5):
        said(ask(connection, "select name, email from customers where id = %s", (number + 1,)))
    named = connection.cursor(DictCursor)
    named.execute("select id, subject from tickets where customer_id = %(id)s order by id", {"id": 14})
    said(named.fetchall())
    said(cursor.executemany("insert into articles (id, title, body) values (%s, %s, %s)", [(9100 + n, "t", "b") for n in range(50)]))
    connection.rollback()
    stream = connection.cursor(SSCursor)
    stream.execute("select id, email from customers order by id limit 900")
    said(sum(1 for _ in stream))
    stream.close()
    cursor.callproc("two_results", (3,))
    while True:
        said("of the procedure", cursor.fetchall())
        if not cursor.nextset():
            break
    attempt("syntax", lambda: ask(connection, "selec 1"))
    attempt("unique", lambda: ask(connection, "insert into products select * from products where id = 1"))
    said(connection.get_proto_info(), connection.character_set_name(), connection.thread_id() > 0)
    said(connection.stat().startswith("Uptime"), connection.ping())
    said(connection.affected_rows() is not None, connection.warning_count())
    connection.select_db("billing")
    said(ask(connection, "select count(*) from cards"))
    connection.change_user("bob", os.environ["DB_PASSWORD"], os.environ["DB_NAME"])
    said(ask(connection, "select substring_index(user(), '@', 1), database(), @mine"))
    attempt("change with a wrong password", lambda: connection.change_user("alice", "wrong", os.environ["DB_NAME"]))
    again = MySQLdb.connect(**PLACE, init_command="set @mine = 5", read_default_group="client")
    said(ask(again, "select @mine"), ask(again, "select repeat('x', 17000000)")[0][0] == "x" * 17_000_000)
    again.close()
    said("all of it")


main()
