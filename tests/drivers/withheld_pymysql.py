"""Meets errors of the server's that name a value, until Weir withholds them, and goes on."""

import os

import pymysql

connection = pymysql.connect(
    host=os.environ["DB_HOST"],
    port=int(os.environ["DB_PORT"]),
    user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"],
    database=os.environ["DB_NAME"],
)
statement = (
    "select count(*) from articles where "
    "extractvalue(1, concat('~', (select email from customers where id = %s))) is null"
)
with connection.cursor() as cursor:
    own = withheld = 0
    for number in range(1, 7):
        try:
            cursor.execute(statement, (number,))
        except pymysql.MySQLError as error:
            own += error.args[0] == 1105 and f"customer{number}@" in error.args[1]
            withheld += "@" not in error.args[1]
    cursor.execute("select count(*) from articles")
    usable = "usable" if cursor.fetchone() == (500,) else "broken"
print("own" if own > 0 else "none", "withheld" if withheld > 0 else "all", own + withheld, usable)
