"""A nightly job over psycopg's server cursor: small fetches, many of them. Arguments: host, port, user."""

import sys

import psycopg

host, port, user = sys.argv[1:4]
with psycopg.connect(host=host, port=port, user=user, dbname="weirdb") as connection:
    with connection.cursor(name="nightly") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT id, email FROM customers ORDER BY id LIMIT 3000")
        for row in cursor:
            print(*row)
