"""Attacks that need one answer to form the next question. A case names the function in `py` and its `args`."""

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
    """A value in each error; `sql` has %d for whose, once or more."""
    for number in ids:
        ask(player, sql.replace("%d", str(number)))


def characters(player, sql, positions):
    """Values of many records at once, one place after another: each row is the code of a letter."""
    columns = []
    for position in range(1, positions + 1):
        rows, error, _ = ask(player, sql % position)
        if error:
            break
        columns.append([int(row[0] or 0) for row in rows])
    for codes in zip(*columns):
        player.rebuilt(bytes(code for code in codes if 0 < code < 256))


def bits(player, sql, positions):
    """The same, a bit at a time."""
    columns = []
    for position in range(1, positions + 1):
        codes = None
        for bit in range(7):
            rows, error, _ = ask(player, sql % (position, bit))
            if error:
                break
            ones = [(row[0] in (b"t", b"1")) << bit for row in rows]
            codes = [code | one for code, one in zip(codes, ones)] if codes else ones
        else:
            columns.append(codes)
            continue
        break
    for codes in zip(*columns):
        player.rebuilt(bytes(code for code in codes if code))


def yes_or_no(player, sql, ids, positions):
    """One record's value by halving: `sql` has the record, the place and the code to be above."""
    for record in ids:
        value = ""
        for position in range(1, positions + 1):
            low, high = 0, 127
            while low < high:
                middle = (low + high) // 2
                rows, error, _ = ask(player, sql % (record, position, middle))
                if error or not rows:
                    return
                low, high = (middle + 1, high) if rows[0][0] not in (b"0", b"f", None) else (low, middle)
            value += chr(low)
        player.rebuilt(value)


def count_by_prefix(player, sql, alphabet, upto, want, prefix="", lead=""):
    """Values by how many begin so. `lead` is what stands in front of all of them."""
    found = []

    def walk(start):
        if len(found) >= want:
            return
        rows, error, _ = ask(player, sql % start)
        if error or not rows or rows[0][0] in (b"0", None):
            return
        if len(start) == upto:
            found.append(start)
            player.rebuilt(lead + start)
            return
        for letter in alphabet:
            walk(start + letter)

    walk(prefix)
