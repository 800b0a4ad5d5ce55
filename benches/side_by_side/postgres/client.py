"""A PostgreSQL client that does as little as one can, so that what is measured is not the client."""

import base64
import hashlib
import hmac
import re
import secrets
import socket
import struct
import time

PROTOCOL_3_0 = 196608
READ_BYTES = 256 * 1024
# A result that stalls for longer is an error, not a slow result.
PATIENCE_SECONDS = 300


class ServerError(Exception):
    """What the server says, with its SQLSTATE."""


class Session:
    """One session, logged in."""

    def __init__(self, port, user, password, database):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""
        self.password = password
        pairs = b"user\0%s\0database\0%s\0\0" % (user.encode(), database.encode())
        body = struct.pack("!I", PROTOCOL_3_0) + pairs
        self.socket.sendall(struct.pack("!I", len(body) + 4) + body)
        self._log_in()

    def close(self):
        self.socket.close()

    def drain(self, sql):
        """Runs a statement and throws its rows away unread; returns (bytes, rows, seconds)."""
        begun = time.perf_counter()
        self._send(b"Q", sql.encode() + b"\0")
        buffer = memoryview(bytearray(READ_BYTES))
        total, tail, head = 0, b"", b""
        while True:
            got = self.socket.recv_into(buffer)
            if got == 0:
                raise ServerError("the connection ended in the middle of a result")
            head = head or bytes(buffer[:512])
            total += got
            tail = (tail + bytes(buffer[max(0, got - 128) : got]))[-128:]
            # ReadyForQuery ends the answer; nothing but CommandComplete or an error stands right before it.
            if re.search(rb"Z\x00\x00\x00\x05[ITE]\Z", tail):
                break
        seconds = time.perf_counter() - begun
        done = re.search(rb"C....(?:SELECT|COPY) (\d+)\x00Z\x00\x00\x00\x05[ITE]\Z", tail, re.DOTALL)
        if not done:
            raise ServerError("no command tag at the end: " + readable(tail if head[:1] != b"E" else head))
        return total, int(done.group(1)), seconds

    def _send(self, kind, body):
        self.socket.sendall(kind + struct.pack("!I", len(body) + 4) + body)

    def _message(self):
        while len(self.unread) < 5 or len(self.unread) < 1 + struct.unpack("!I", self.unread[1:5])[0]:
            got = self.socket.recv(65536)
            if not got:
                raise ServerError("the connection ended during the login")
            self.unread += got
        end = 1 + struct.unpack("!I", self.unread[1:5])[0]
        message, self.unread = self.unread[:end], self.unread[end:]
        return message[:1], message[5:]

    def _log_in(self):
        first = nonce = None
        while True:
            kind, body = self._message()
            if kind == b"E":
                raise ServerError(readable(body))
            if kind == b"Z":
                return
            if kind != b"R":
                continue
            method = struct.unpack("!I", body[:4])[0]
            if method == 10:
                nonce = base64.b64encode(secrets.token_bytes(18)).decode()
                first = f"n=,r={nonce}"
                token = f"n,,{first}".encode()
                self._send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(token)) + token)
            elif method == 11:
                self._send(b"p", scram_proof(self.password, first, body[4:].decode()))
            elif method not in (0, 12):
                raise ServerError(f"authentication method {method} is not spoken here")


def scram_proof(password, first, challenge):
    """The second token of SCRAM-SHA-256 (RFC 5802)."""
    fields = dict(part.split("=", 1) for part in challenge.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c=biws,r={fields['r']}"
    signature = hmac.digest(hashlib.sha256(key).digest(), f"{first},{challenge},{final}".encode(), "sha256")
    proof = base64.b64encode(bytes(one ^ other for one, other in zip(key, signature))).decode()
    return f"{final},p={proof}".encode()


def readable(body):
    """The fields of an error on one line."""
    return body.replace(b"\0", b" ").decode("utf-8", "replace").strip()[:300]
