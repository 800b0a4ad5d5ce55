"""A MySQL client that does as little as one can, so that what is measured is not the client."""

import hashlib
import socket
import struct
import time

READ_BYTES = 256 * 1024
# A result that stalls for longer is an error, not a slow result.
PATIENCE_SECONDS = 60
# LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH. Without DEPRECATE_EOF a
# result ends with an EOF packet.
CAPABILITIES = 0x0008A209
UTF8MB4_GENERAL_CI = 45
PLUGIN = b"mysql_native_password"
COM_QUERY = b"\x03"
EOF, ERR = 0xFE, 0xFF
EOF_PACKET_BYTES = 9


class ServerError(Exception):
    """What the server says."""


class Session:
    """One session, logged in."""

    def __init__(self, port, user, password, database):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""
        greeting = self._packet()
        if greeting[0] == ERR:
            raise ServerError(readable(greeting))
        # Version and number of the connection; salt; capabilities, character set and status; more salt.
        at = greeting.index(b"\0", 1) + 5
        salt = greeting[at : at + 8] + greeting[at + 27 : at + 39]
        token = native_token(password, salt)
        login = struct.pack("<IIB23x", CAPABILITIES, 1 << 24, UTF8MB4_GENERAL_CI) + user.encode() + b"\0"
        self._send(1, login + bytes([len(token)]) + token + database.encode() + b"\0" + PLUGIN + b"\0")
        answer = self._packet()
        if answer.startswith(b"\xfe" + PLUGIN + b"\0"):
            self._send(3, native_token(password, answer[len(PLUGIN) + 2 :][:20]))
            answer = self._packet()
        if answer[0] != 0:
            raise ServerError(readable(answer))

    def close(self):
        self.socket.close()

    def measure(self, sql):
        """Runs a statement and reads its rows one by one; returns (bytes of the answer, rows)."""
        self._send(0, COM_QUERY + sql.encode())
        total, rows, ends = 0, 0, 0
        while ends < 2:
            packet = self._packet()
            total += 4 + len(packet)
            if packet[0] == ERR:
                raise ServerError(readable(packet))
            if packet[0] == EOF and len(packet) < EOF_PACKET_BYTES:
                ends += 1
            elif ends == 1:
                rows += 1
        return total, rows

    def drain(self, sql, expected_bytes):
        """Runs a statement and throws its answer away unread; returns the seconds until all of it was here."""
        begun = time.perf_counter()
        self._send(0, COM_QUERY + sql.encode())
        buffer = memoryview(bytearray(READ_BYTES))
        total, tail = 0, b""
        while total < expected_bytes:
            try:
                got = self.socket.recv_into(buffer)
            except TimeoutError:
                got = 0
            if got == 0:
                raise ServerError(f"{total} of {expected_bytes} bytes came; the last were {readable(tail)}")
            total += got
            tail = (tail + bytes(buffer[max(0, got - 300) : got]))[-300:]
        seconds = time.perf_counter() - begun
        # The last packet: five bytes long, an EOF.
        if total != expected_bytes or tail[-EOF_PACKET_BYTES:][:3] != b"\x05\0\0" or tail[-5] != EOF:
            raise ServerError(f"{total} bytes came, {expected_bytes} were expected; the last were {readable(tail)}")
        return seconds

    def _send(self, sequence, body):
        self.socket.sendall(len(body).to_bytes(3, "little") + bytes([sequence]) + body)

    def _packet(self):
        while len(self.unread) < 4 or len(self.unread) < 4 + int.from_bytes(self.unread[:3], "little"):
            got = self.socket.recv(READ_BYTES)
            if not got:
                raise ServerError("the connection ended in the middle of an answer")
            self.unread += got
        end = 4 + int.from_bytes(self.unread[:3], "little")
        packet, self.unread = self.unread[4:end], self.unread[end:]
        return packet


def native_token(password, salt):
    """What proves the password to mysql_native_password."""
    once = hashlib.sha1(password.encode()).digest()
    mask = hashlib.sha1(salt + hashlib.sha1(once).digest()).digest()
    return bytes(one ^ other for one, other in zip(once, mask))


def readable(packet):
    """An error, or what came instead of an end, on one line."""
    return packet.decode("utf-8", "replace").replace("\n", " ").strip()[-300:]
