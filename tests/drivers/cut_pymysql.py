"""Reads customers through PyMySQL's unbuffered cursor until cut."""

import os

import pymysql
from pymysql.cursors import SSCursor

connection = pymysql.connect(
    host=os.environ["DB_HOST"],
    port=int(os.environ["DB_PORT"]),
    user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"],
    database=os.environ["DB_NAME"],
)
received, state = 0, "none"
cursor = connection.cursor(SSCursor)
try:
    cursor.execute("select id, name, email from customers order by id")
    while cursor.fetchone():
        received += 1
except pymysql.MySQLError as error:
    state = error.args[0]
with connection.cursor() as other:
    other.execute("select count(*) from articles")
    usable = "usable" if other.fetchone() == (500,) else "broken"
print(f"received {received} {state} {usable}")
