"""A client of PostgreSQL's protocol 3 that builds every message itself.
https://www.postgresql.org/docs/current/protocol-message-formats.html"""

import base64
import hashlib
import hmac
import os
import socket
import struct
import time

from . import Closed

PROTOCOL_3_0 = 196608
CANCEL_REQUEST = 80877102


def text(value):
    return (value if isinstance(value, bytes) else value.encode()) + b"\0"


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def query(sql):
    return message(b"Q", text(sql))


def parse(name, sql, types=()):
    return message(b"P", text(name) + text(sql) + struct.pack(f"!H{len(types)}I", len(types), *types))


def _values(values):
    body = struct.pack("!H", len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            value = value if isinstance(value, bytes) else str(value).encode()
            body += struct.pack("!i", len(value)) + value
    return body


def _formats(codes):
    return struct.pack(f"!H{len(codes)}H", len(codes), *codes)


def bind(portal, name, values=(), result_formats=(), value_formats=()):
    names = text(portal) + text(name)
    return message(b"B", names + _formats(value_formats) + _values(values) + _formats(result_formats))


def describe(kind, name):
    return message(b"D", kind.encode() + text(name))


def execute(portal, rows_max=0):
    return message(b"E", text(portal) + struct.pack("!i", rows_max))


def close(kind, name):
    return message(b"C", kind.encode() + text(name))


def sync():
    return message(b"S")


def flush():
    return message(b"H")


def function_call(oid, values, result_format=0):
    return message(b"F", struct.pack("!I", oid) + _formats((0,)) + _values(values) + struct.pack("!H", result_format))


def error_text(body):
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return f"{fields.get(b'C', '')} {fields.get(b'M', '')}"


def column_names(body):
    count, at, names = struct.unpack_from("!H", body)[0], 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        names.append(body[at:end])
        at = end + 19
    return names


def row_values(body):
    count, at, values = struct.unpack_from("!H", body)[0], 2, []
    for _ in range(count):
        length = struct.unpack_from("!i", body, at)[0]
        at += 4
        values.append(None if length < 0 else body[at:at + length])
        at += max(length, 0)
    return values


class Connection:
    """Logged in, or `Closed`. `on_message(kind, body)` sees all that comes; `pace` may hold `chunk` (bytes a
    segment) and `delay_ms` between segments."""

    def __init__(self, address, user, password, database, parameters=None, protocol=PROTOCOL_3_0, pace=None,
                 on_message=None, timeout=60):
        self.address, self.user, self.password, self.timeout = address, user, password, timeout
        self.on_message = on_message or (lambda kind, body: None)
        self.pace = pace or {}
        self.dead, self.buffer, self.at, self.key = False, b"", 0, None
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        parameters = {"user": user, "database": database, "application_name": "evasion", **(parameters or {})}
        body = struct.pack("!I", protocol) + b"".join(text(k) + text(v) for k, v in parameters.items()) + b"\0"
        self.send(struct.pack("!I", len(body) + 4) + body)
        self._log_in()

    def send(self, data):
        chunk = self.pace.get("chunk") or len(data) or 1
        for start in range(0, len(data), chunk):
            self.socket.sendall(data[start:start + chunk])
            if "delay_ms" in self.pace:
                time.sleep(self.pace["delay_ms"] / 1000)

    def _need(self, count):
        if len(self.buffer) - self.at >= count:
            return
        parts = [self.buffer[self.at:]]
        have = len(parts[0])
        try:
            while have < count:
                try:
                    part = self.socket.recv(1 << 18)
                except (ConnectionResetError, BrokenPipeError):
                    part = b""
                if not part:
                    self.dead = True
                    raise Closed("the server closed")
                parts.append(part)
                have += len(part)
        finally:
            self.buffer, self.at = b"".join(parts), 0

    def receive(self):
        self._need(5)
        length = struct.unpack_from("!I", self.buffer, self.at + 1)[0] + 1
        self._need(length)
        kind, body = self.buffer[self.at:self.at + 1], self.buffer[self.at + 5:self.at + length]
        self.at += length
        self.on_message(kind, body)
        return kind, body

    def _log_in(self):
        while True:
            kind, body = self.receive()
            if kind == b"E":
                raise Closed("login: " + error_text(body))
            if kind == b"K":
                self.key = body
            elif kind == b"R":
                method = struct.unpack_from("!I", body)[0]
                if method == 3:
                    self.send(message(b"p", text(self.password)))
                elif method == 10:
                    self._scram()
                elif method not in (0, 12):
                    raise Closed(f"login: method {method} of authentication is not known here")
            elif kind == b"Z":
                return

    def _scram(self):
        """SCRAM-SHA-256 without channel binding: RFC 5802 and 7677."""
        first = "n=,r=" + base64.b64encode(os.urandom(18)).decode()
        opening = ("n,," + first).encode()
        self.send(message(b"p", text("SCRAM-SHA-256") + struct.pack("!i", len(opening)) + opening))
        kind, body = self.receive()
        if kind == b"E":
            raise Closed("login: " + error_text(body))
        challenge = body[4:].decode()
        fields = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        last = "c=biws,r=" + fields["r"]
        signature = hmac.digest(hashlib.sha256(key).digest(), f"{first},{challenge},{last}".encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.send(message(b"p", f"{last},p={proof}".encode()))

    def until_ready(self, times=1, copy_in=None):
        """Receives until the server was ready so often; answers a COPY FROM STDIN with `copy_in`, or fails it."""
        received = []
        while times:
            kind, body = self.receive()
            received.append((kind, body))
            if kind == b"G":
                if copy_in is None:
                    self.send(message(b"f", text("nothing to copy")))
                else:
                    self.send(message(b"d", copy_in.encode()) + message(b"c"))
            elif kind == b"Z":
                times -= 1
        return received

    def receive_for(self, seconds, until=lambda kind, body: False):
        """Receives what comes by itself: notifications, a stream of replication."""
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self.socket.settimeout(max(0.05, left))
                if until(*self.receive()):
                    return
        except (TimeoutError, Closed):
            return
        finally:
            self.socket.settimeout(self.timeout)

    def cancel(self):
        with socket.create_connection(self.address, timeout=5) as other:
            other.sendall(struct.pack("!II", 8 + len(self.key), CANCEL_REQUEST) + self.key)

    def close(self):
        try:
            self.socket.sendall(message(b"X"))
        except OSError:
            pass  # it is gone already
        self.socket.close()
