"""Meets errors of the server's that name a value, until Weir withholds them, and goes on."""

import psycopg

with psycopg.connect(autocommit=True) as connection:
    for number in (1, 2, 3):
        try:
            connection.execute("select cast(email as int) from customers where id = %s", (number,))
        except psycopg.Error as error:
            text = str(error)
            print(error.sqlstate, "own" if f"customer{number}@" in text else "withheld" if "withheld" in text else text)
    with connection.transaction(force_rollback=True):
        try:
            with connection.transaction():
                connection.execute("select cast(email as int) from customers where id = %s", (4,))
        except psycopg.Error as error:
            print("savepoint", error.sqlstate)
        print("usable" if connection.execute("select count(*) from articles").fetchone() == (500,) else "broken")
