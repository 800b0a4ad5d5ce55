"""MariaDB's protocol, as much as a relay needs that asks questions of its own between a client's.
https://mariadb.com/kb/en/clientserver-protocol/"""

import socket
import struct

COM_QUERY, COM_STMT_PREPARE, COM_STMT_CLOSE, COM_CHANGE_USER, COM_RESET_CONNECTION = 3, 0x16, 0x19, 0x11, 0x1F
# Capabilities that would change what answers look like, or hide them: compression, TLS, session tracking, results
# without EOF, optional metadata, query attributes.
WITHHELD = 0x20 | 0x800 | 0x800000 | 0x1000000 | 0x2000000 | 0x4000000 | 0x8000000
# Longest part of one packet; a text that fills it goes on in the next.
PART_MAX = 0xFFFFFF


class Closed(Exception):
    """One side has gone away."""


class Refused(Exception):
    """The server answered with an error."""


class Stream:
    """Packets of one side."""

    def __init__(self, sock):
        self.socket = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def fill(self):
        part = self.socket.recv(1 << 18)
        if not part:
            raise Closed
        self.buffer += part

    def has_packet(self):
        return len(self.buffer) >= 4 and len(self.buffer) >= 4 + int.from_bytes(self.buffer[:3], "little")

    def take(self):
        """The next packet, whole: its number and payload."""
        while not self.has_packet():
            self.fill()
        length = int.from_bytes(self.buffer[:3], "little")
        number, payload = self.buffer[3], self.buffer[4 : 4 + length]
        self.buffer = self.buffer[4 + length :]
        return number, payload

    def put(self, number, payload):
        self.socket.sendall(len(payload).to_bytes(3, "little") + bytes([number]) + payload)


def withhold(greeting):
    """The server's greeting without what the relay cannot read."""
    at = greeting.index(b"\0", 1) + 1 + 4 + 8 + 1
    low, = struct.unpack_from("<H", greeting, at)
    high, = struct.unpack_from("<H", greeting, at + 5)
    low &= ~WITHHELD & 0xFFFF
    high &= ~(WITHHELD >> 16) & 0xFFFF
    out = bytearray(greeting)
    struct.pack_into("<H", out, at, low)
    struct.pack_into("<H", out, at + 5, high)
    # Six reserved bytes behind the length of the nonce, then four of capabilities that only MariaDB has.
    out[at + 8 + 6 : at + 8 + 10] = b"\0\0\0\0"
    return bytes(out)


def length_encoded(data, at):
    first = data[at]
    if first < 0xFB:
        return first, at + 1
    if first == 0xFB:
        return None, at + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def strings(data, at, count):
    out = []
    for _ in range(count):
        length, at = length_encoded(data, at)
        out.append(None if length is None else data[at : at + length])
        at += length or 0
    return out


def is_end(payload):
    return payload[:1] == b"\xfe" and len(payload) < 9


class Server(Stream):
    """The server's side of one session, with questions of our own."""

    def query(self, sql):
        """Rows of a text of our own, as bytes; raises Refused. A text with several answers gives the first."""
        self.put(0, bytes([COM_QUERY]) + sql)
        first = None
        while True:
            rows, more = self._answer()
            first = rows if first is None else first
            if not more:
                return first

    def _answer(self):
        _, payload = self.take()
        if payload[:1] == b"\xff":
            raise Refused(payload[3:].decode("utf-8", "replace"))
        if payload[:1] == b"\0":
            _, at = length_encoded(payload, 1)
            _, at = length_encoded(payload, at)
            return [], struct.unpack_from("<H", payload, at)[0] & 8
        if payload[:1] == b"\xfb":
            # It wants a file of us.
            self.put(2, b"")
            return self._answer()
        count, _ = length_encoded(payload, 0)
        for _ in range(count + 1):
            self.take()
        rows = []
        while True:
            _, payload = self.take()
            if payload[:1] == b"\xff":
                raise Refused(payload[3:].decode("utf-8", "replace"))
            if is_end(payload):
                return rows, struct.unpack_from("<H", payload, 3)[0] & 8
            rows.append(strings(payload, 0, count))

    def prepare(self, sql):
        """Columns of the result of one statement, as (schema, original table, original name), and how many parameters
        it takes; raises Refused. Nothing runs."""
        self.put(0, bytes([COM_STMT_PREPARE]) + sql)
        _, payload = self.take()
        if payload[:1] == b"\xff":
            raise Refused(payload[3:].decode("utf-8", "replace"))
        number, columns, parameters = struct.unpack_from("<IHH", payload, 1)
        for _ in range(parameters + 1 if parameters else 0):
            self.take()
        found = []
        for _ in range(columns):
            _, definition = self.take()
            _, schema, _, table, _, name = strings(definition, 0, 6)
            found.append((schema, table, name))
        if columns:
            self.take()
        self.put(0, bytes([COM_STMT_CLOSE]) + struct.pack("<I", number))
        return found, parameters
