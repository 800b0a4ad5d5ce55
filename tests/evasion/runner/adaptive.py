"""Attacks that need one answer to form the next question. A case names the function in `py` and its `args`."""

import re

from .wire import postgres
from .wire.mysql_packets import row_values


def ask(player, sql):
    """(rows, error or None, numbers that the command's tag ends with)"""
    connection = player.connection()
    if player.case.engine == "pg":
        rows, error, tag = [], None, b""
        connection.send(postgres.query(sql))
        for kind, body in connection.until_ready():
            if kind == b"D":
                rows.append(postgres.row_values(body))
            elif kind == b"E":
                error = postgres.error_text(body)
            elif kind == b"C":
                tag = body
        return rows, error, tag
    rows, record = [], connection.on_packet

    def also_keep(kind, packet):
        record(kind, packet)
        if kind == "row":
            rows.append(row_values(packet))

    connection.on_packet = also_keep
    try:
        results = connection.query(sql)
    finally:
        connection.on_packet = record
    return rows, next((result.error for result in results if result.error), None), b""


def keyset(player, sql, pages, start=0):
    """Pages by the last id seen, which stands first in a row: `sql` has %s for it."""
    last = start
    for _ in range(pages):
        rows, error, _ = ask(player, sql % last)
        if error or not rows:
            return
        last = int(rows[-1][0])


def slices(player, sql, n):
    """A value in pieces that are each too short to be one; `sql` has %s for the piece's number."""
    pieces = []
    for number in range(n):
        rows, error, _ = ask(player, sql % number)
        if error:
            return
        pieces += [value or b"" for row in rows for value in row]
    player.rebuilt(b"".join(pieces))


def error_values(player, sql, ids):
    """A value in each error."""
    for number in ids:
        ask(player, sql % number)
