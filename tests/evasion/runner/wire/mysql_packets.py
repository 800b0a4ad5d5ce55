"""Numbers, strings and packets of the MySQL protocol, with and without compression.
https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html"""

import hashlib
import struct
import time
import zlib

from . import Closed

PACKET_MAX = 0xFFFFFF
# Below this a compressed packet carries its payload as it is, as the servers' own clients do.
COMPRESS_FROM = 50

CAPABILITIES = {
    "LONG_PASSWORD": 1, "FOUND_ROWS": 1 << 1, "LONG_FLAG": 1 << 2, "CONNECT_WITH_DB": 1 << 3, "COMPRESS": 1 << 5,
    "LOCAL_FILES": 1 << 7, "PROTOCOL_41": 1 << 9, "TRANSACTIONS": 1 << 13, "SECURE": 1 << 15,
    "MULTI_STATEMENTS": 1 << 16, "MULTI_RESULTS": 1 << 17, "PS_MULTI_RESULTS": 1 << 18, "PLUGIN_AUTH": 1 << 19,
    "CONNECT_ATTRS": 1 << 20,
    "PLUGIN_LENENC": 1 << 21, "SESSION_TRACK": 1 << 23, "DEPRECATE_EOF": 1 << 24, "OPTIONAL_METADATA": 1 << 25,
    "QUERY_ATTRS": 1 << 27,
}
MARIADB_CAPABILITIES = {"PROGRESS": 1, "STMT_BULK": 4, "EXT_METADATA": 8, "CACHE_METADATA": 16}


def number(value):
    """A length-encoded integer."""
    if value < 251:
        return bytes([value])
    if value < 1 << 16:
        return b"\xfc" + struct.pack("<H", value)
    if value < 1 << 24:
        return b"\xfd" + struct.pack("<I", value)[:3]
    return b"\xfe" + struct.pack("<Q", value)


def string(value):
    value = value if isinstance(value, bytes) else str(value).encode()
    return number(len(value)) + value


def read_number(data, at):
    """(number or None for NULL, where it ends)"""
    first = data[at]
    if first < 251:
        return first, at + 1
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first)
    if width is None:
        return None, at + 1
    return int.from_bytes(data[at + 1:at + 1 + width], "little"), at + 1 + width


def read_string(data, at):
    length, at = read_number(data, at)
    return (None, at) if length is None else (data[at:at + length], at + length)


def row_values(data):
    """Fields of a row of the text protocol; nothing where it is none."""
    values, at = [], 0
    while at < len(data):
        value, at = read_string(data, at)
        values.append(value)
    return values if at == len(data) else []


def native_proof(password, seed):
    if not password:
        return b""
    once = hashlib.sha1(password.encode()).digest()
    mask = hashlib.sha1(seed + hashlib.sha1(once).digest()).digest()
    return bytes(a ^ b for a, b in zip(once, mask))


def sha2_proof(password, seed):
    if not password:
        return b""
    once = hashlib.sha256(password.encode()).digest()
    mask = hashlib.sha256(hashlib.sha256(once).digest() + seed).digest()
    return bytes(a ^ b for a, b in zip(once, mask))


def encrypted_password(password, seed, key):
    """The password for the server's RSA key, as `caching_sha2_password` asks for it where there is no TLS."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    clear = password.encode() + b"\0"
    masked = bytes(byte ^ seed[place % len(seed)] for place, byte in enumerate(clear))
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
    return serialization.load_pem_public_key(key).encrypt(masked, oaep)


class Packets:
    """Packets over a socket. `pace` may hold `chunk`, `delay_ms`, and for compressed connections `comp_chunk`,
    `comp_raw` (compress nothing) and `comp_force` (compress everything)."""

    def __init__(self, socket, pace):
        self.socket, self.pace = socket, pace
        self.buffer, self.at = b"", 0
        self.inner, self.inner_at = b"", 0
        self.compressed = self.dead = False
        self.sequence = self.outer_sequence = 0

    def _receive(self, count):
        if len(self.buffer) - self.at < count:
            parts = [self.buffer[self.at:]]
            have = len(parts[0])
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
            self.buffer, self.at = b"".join(parts), 0
        data = self.buffer[self.at:self.at + count]
        self.at += count
        return data

    def _take(self, count):
        if not self.compressed:
            return self._receive(count)
        if len(self.inner) - self.inner_at < count:
            parts = [self.inner[self.inner_at:]]
            have = len(parts[0])
            while have < count:
                head = self._receive(7)
                self.outer_sequence = head[3] + 1
                data = self._receive(int.from_bytes(head[:3], "little"))
                if int.from_bytes(head[4:7], "little"):
                    data = zlib.decompress(data)
                parts.append(data)
                have += len(data)
            self.inner, self.inner_at = b"".join(parts), 0
        data = self.inner[self.inner_at:self.inner_at + count]
        self.inner_at += count
        return data

    def receive(self):
        """One payload, whatever number of packets it came in."""
        payload = b""
        while True:
            head = self._take(4)
            length = int.from_bytes(head[:3], "little")
            self.sequence = (head[3] + 1) & 255
            payload += self._take(length)
            if length < PACKET_MAX:
                return payload

    def frame(self, payload):
        framed = []
        while True:
            piece, payload = payload[:PACKET_MAX], payload[PACKET_MAX:]
            framed.append(len(piece).to_bytes(3, "little") + bytes([self.sequence]) + piece)
            self.sequence = (self.sequence + 1) & 255
            if len(piece) < PACKET_MAX:
                return b"".join(framed)

    def _compress(self, data):
        out, most = b"", self.pace.get("comp_chunk", PACKET_MAX - 10)
        for start in range(0, len(data), most):
            piece = data[start:start + most]
            plain = self.pace.get("comp_raw") or (len(piece) < COMPRESS_FROM and not self.pace.get("comp_force"))
            body, length = (piece, 0) if plain else (zlib.compress(piece), len(piece))
            out += len(body).to_bytes(3, "little") + bytes([self.outer_sequence]) + length.to_bytes(3, "little") + body
            self.outer_sequence = (self.outer_sequence + 1) & 255
        return out

    def send_raw(self, data):
        """Bytes that are framed already."""
        if self.compressed:
            data = self._compress(data)
        chunk = self.pace.get("chunk") or len(data) or 1
        for start in range(0, len(data), chunk):
            self.socket.sendall(data[start:start + chunk])
            if "delay_ms" in self.pace:
                time.sleep(self.pace["delay_ms"] / 1000)

    def send(self, payload):
        self.send_raw(self.frame(payload))

    def command(self, payload):
        """The first packet of an exchange."""
        self.sequence = self.outer_sequence = 0
        self.send(payload)
