"""What reached the client, by the message that carried it."""

import hashlib

from .decode import decode

# Scanned in pieces of this size, so that a whole table in flight needs no more memory than this.
SCAN_BYTES = 1 << 20
DIGEST_BYTES = 10


class Recorder:
    """Collects what a client received in one case. A carrier is a kind of message (`DataRow`, `Error`, …), or
    `server_side` for what stayed behind in a copy or file."""

    def __init__(self, scanner, ways_to_decode):
        self.scanner = scanner
        self.ways_to_decode = ways_to_decode
        self.waiting, self.waiting_bytes, self.kept, self.found = {}, {}, {}, {}
        self.messages, self.bytes, self.rows, self.errors = {}, {}, 0, []
        self.total = 0

    def add(self, carrier, data, digest=True):
        self.messages[carrier] = self.messages.get(carrier, 0) + 1
        self.bytes[carrier] = self.bytes.get(carrier, 0) + len(data)
        if digest:
            # A sum, since the order of rows is the server's whim.
            piece = hashlib.sha256(carrier.encode() + b"\0" + data).digest()[:DIGEST_BYTES]
            self.total = (self.total + int.from_bytes(piece, "big")) % (1 << (8 * DIGEST_BYTES))
        self.waiting.setdefault(carrier, []).append(data)
        self.waiting_bytes[carrier] = self.waiting_bytes.get(carrier, 0) + len(data)
        if self.waiting_bytes[carrier] > SCAN_BYTES:
            self._scan(carrier)

    def _scan(self, carrier):
        data = b"\n".join(self.waiting[carrier])
        self.waiting[carrier], self.waiting_bytes[carrier] = [], 0
        self.scanner.scan(data, self.found.setdefault(carrier, {}))
        if self.ways_to_decode:
            self.kept[carrier] = self.kept.get(carrier, b"") + data + b"\n"

    def finish(self):
        """Scans what is left, and what decodes to something."""
        for carrier in list(self.waiting):
            self._scan(carrier)
        for carrier, data in self.kept.items():
            for way in self.ways_to_decode:
                self.scanner.scan(decode(data, way), self.found[carrier])

    def digest(self):
        return "%020x" % self.total

    def by_carrier(self):
        """{carrier: {"table.column": distinct records}}"""
        return {
            carrier: {f"{table}.{column}": len(records) for (table, column), records in sorted(places.items())}
            for carrier, places in self.found.items() if places
        }

    def at_the_client(self):
        """{table: distinct records}, whatever carried them."""
        totals = {}
        for carrier, places in self.found.items():
            if not carrier.startswith("server_"):
                for (table, _), records in places.items():
                    totals.setdefault(table, set()).update(records)
        return {table: len(records) for table, records in totals.items()}
