"""Reads customers through a server-side cursor of psycopg until cut."""

import psycopg

received = 0
with psycopg.connect() as connection:
    try:
        with connection.cursor("theft") as cursor:
            # A batch that divides the budget: libpq drops the rows of a batch that ends in an error.
            cursor.itersize = 50
            cursor.execute("select id, name, email from customers order by id")
            for _ in cursor:
                received += 1
        state = "none"
    except psycopg.Error as error:
        state = error.sqlstate
    connection.rollback()
    usable = "usable" if connection.execute("select count(*) from articles").fetchone() == (500,) else "broken"
print(f"received {received} {state} {usable}")
