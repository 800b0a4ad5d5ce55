"""Reads customers through a prepared, unbuffered cursor of Connector/Python until cut."""

import os

import mysql.connector

connection = mysql.connector.connect(
    host=os.environ["DB_HOST"],
    port=int(os.environ["DB_PORT"]),
    user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"],
    database=os.environ["DB_NAME"],
    ssl_disabled=True,
    use_pure=True,
    charset="utf8mb4",
    collation="utf8mb4_general_ci",
)
received, state = 0, "none"
cursor = connection.cursor(prepared=True)
try:
    cursor.execute("select id, name, email from customers where id > ? order by id", (0,))
    while cursor.fetchone():
        received += 1
except mysql.connector.Error as error:
    state = f"{error.errno} {error.sqlstate}"
# What the library believes of the rest of a result that broke off is its own affair.
connection._unread_result = False
other = connection.cursor()
other.execute("select count(*) from articles")
usable = "usable" if other.fetchall() == [(500,)] else "broken"
print(f"received {received} {state} {usable}")
