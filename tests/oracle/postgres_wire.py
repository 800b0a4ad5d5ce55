"""PostgreSQL's protocol, as much as a relay needs that asks questions of its own between a client's.
https://www.postgresql.org/docs/current/protocol-message-formats.html"""

import socket
import struct

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102


class Closed(Exception):
    """One side has gone away."""


def receive(sock, count):
    parts = []
    while count:
        part = sock.recv(min(count, 1 << 20))
        if not part:
            raise Closed
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def startup(client):
    """The first packet that is no negotiation, and what it holds; `None` in place of that for a cancel request."""
    while True:
        head = receive(client, 4)
        body = receive(client, struct.unpack("!I", head)[0] - 4)
        code = struct.unpack("!I", body[:4])[0]
        if code in (SSL_REQUEST, GSS_REQUEST):
            client.sendall(b"N")
        elif code == CANCEL_REQUEST:
            return head + body, None
        else:
            words = body[4:].split(b"\0")
            return head + body, dict(zip(words[0::2], words[1::2]))


class Refused(Exception):
    """The server answered with an error."""


class Upstream:
    """The server's side of one session."""

    def __init__(self, address):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        # As the last ReadyForQuery said: I, T or E.
        self.status = "I"

    def send(self, data):
        self.socket.sendall(data)

    def message(self):
        """Its next message: the type, and all of its bytes."""
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack_from("!I", self.buffer, 1)[0]:
            part = self.socket.recv(1 << 18)
            if not part:
                raise Closed
            self.buffer += part
        length = 1 + struct.unpack_from("!I", self.buffer, 1)[0]
        whole, self.buffer = self.buffer[:length], self.buffer[length:]
        kind = whole[:1]
        if kind == b"Z":
            self.status = whole[5:6].decode()
        return kind, whole

    def query(self, sql):
        """Rows of a text of our own, as text; raises Refused when the server does not like it."""
        body = sql.encode() + b"\0"
        self.send(b"Q" + struct.pack("!I", len(body) + 4) + body)
        rows, error = [], None
        while True:
            kind, whole = self.message()
            if kind == b"D":
                rows.append(data_row(whole))
            elif kind == b"E":
                error = error_text(whole)
            elif kind == b"Z":
                if error is not None:
                    raise Refused(error)
                return rows

    def describe(self, sql):
        """(OID, attribute number) of each column of a text's result, 0 where it is no plain column; None: no result."""
        text = b"\0" + sql.encode() + b"\0" + struct.pack("!H", 0)
        parse = b"P" + struct.pack("!I", len(text) + 4) + text
        describe = b"D" + struct.pack("!I", 6) + b"S\0"
        self.send(parse + describe + b"S" + struct.pack("!I", 4))
        origins, error = None, None
        while True:
            kind, whole = self.message()
            if kind == b"T":
                origins = row_description(whole)
            elif kind == b"E":
                error = error_text(whole)
            elif kind == b"Z":
                if error is not None:
                    raise Refused(error)
                return origins


def data_row(whole):
    count = struct.unpack_from("!H", whole, 5)[0]
    at, values = 7, []
    for _ in range(count):
        length = struct.unpack_from("!i", whole, at)[0]
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(whole[at : at + length].decode("utf-8", "replace"))
            at += length
    return values


def row_description(whole):
    count = struct.unpack_from("!H", whole, 5)[0]
    at, origins = 7, []
    for _ in range(count):
        at = whole.index(b"\0", at) + 1
        origins.append(struct.unpack_from("!IH", whole, at))
        at += 18
    return origins


def error_text(whole):
    fields = {field[:1]: field[1:] for field in whole[5:].split(b"\0") if field}
    return f"{fields.get(b'C', b'').decode()} {fields.get(b'M', b'').decode('utf-8', 'replace')}"
