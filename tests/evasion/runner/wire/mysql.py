"""A client of MySQL and MariaDB that builds every packet itself.
https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
https://mariadb.com/kb/en/clientserver-protocol/"""

import socket
import struct
import time
from dataclasses import dataclass, field

from . import Closed
from .mysql_packets import (CAPABILITIES, MARIADB_CAPABILITIES, PACKET_MAX, Packets, encrypted_password, native_proof,
                            number, read_number, sha2_proof, string)

USUAL = {"LONG_PASSWORD", "LONG_FLAG", "CONNECT_WITH_DB", "LOCAL_FILES", "PROTOCOL_41", "TRANSACTIONS", "SECURE",
         "MULTI_RESULTS", "PS_MULTI_RESULTS", "PLUGIN_AUTH", "PLUGIN_LENENC", "DEPRECATE_EOF", "CONNECT_ATTRS"}
MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT = 8, 64, 128
# https://mariadb.com/kb/en/progress-reporting/: an error packet that is none.
PROGRESS = 0xFFFF
# A parameter whose value came by COM_STMT_SEND_LONG_DATA.
LONG = object()


class Refused(Exception):
    """The server answered with an error where an answer of another kind was needed to go on."""


@dataclass
class Result:
    """One result of a response."""
    rows: int = 0
    error: str | None = None


@dataclass
class Greeting:
    version: str
    capabilities: int
    mariadb_capabilities: int
    seed: bytes
    plugin: str
    is_mariadb: bool = field(init=False)

    def __post_init__(self):
        self.is_mariadb = not self.capabilities & 1 or "MariaDB" in self.version

    @staticmethod
    def read(data):
        end = data.index(b"\0", 1)
        version, at = data[1:end].decode(), end + 5
        seed, at = data[at:at + 8], at + 9
        low, high = struct.unpack_from("<H", data, at)[0], struct.unpack_from("<H", data, at + 5)[0]
        rest = max(13, data[at + 7] - 8)
        mariadb = 0 if low & 1 else struct.unpack_from("<I", data, at + 14)[0]
        at += 18
        seed = (seed + data[at:at + rest])[:20]
        plugin = data[at + rest:].split(b"\0")[0].decode() or "mysql_native_password"
        return Greeting(version, low | high << 16, mariadb, seed, plugin)


class Connection:
    """Logged in, or `Closed`. `on_packet(kind, payload)` sees all that comes: `row`, `col`, `err`, `ok`, `eof`,
    `infile`, `binlog`. `files` is what LOCAL INFILE is answered with: {name: bytes}."""

    def __init__(self, address, user, password, database, capabilities=(), without=(), mariadb_capabilities=(),
                 charset=45, files=None, attributes=None, pace=None, on_packet=None, timeout=90):
        self.user, self.password, self.database, self.timeout = user, password, database, timeout
        self.on_packet = on_packet or (lambda kind, payload: None)
        self.files, self.pace = files or {}, pace or {}
        self.status = self.warnings = 0
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.packets = Packets(self.socket, self.pace)
        first = self.packets.receive()
        if first[0] == 0xFF:
            raise Closed("greeting: " + error_text(first))
        greeting = Greeting.read(first)
        self.is_mariadb = greeting.is_mariadb
        self._settle_capabilities(greeting, (USUAL | set(capabilities)) - set(without), mariadb_capabilities)
        self._answer(greeting, charset, attributes or {})
        self._authenticate(greeting.seed)
        self.packets.compressed = self.has("COMPRESS")

    @property
    def dead(self):
        return self.packets.dead

    def has(self, capability):
        return bool(self.capabilities & CAPABILITIES[capability])

    def set_pace(self, pace):
        self.pace = self.packets.pace = pace or {}

    # Login.

    def _settle_capabilities(self, greeting, wanted, wanted_of_mariadb):
        if not self.database:
            wanted.discard("CONNECT_WITH_DB")
        offered = greeting.capabilities | CAPABILITIES["LONG_PASSWORD"] | CAPABILITIES["CONNECT_WITH_DB"]
        self.capabilities = sum(CAPABILITIES[name] for name in wanted) & offered
        self.mariadb_capabilities = 0
        if greeting.mariadb_capabilities and wanted_of_mariadb:
            # Whoever speaks of MariaDB's own capabilities does not claim to be MySQL.
            self.capabilities &= ~CAPABILITIES["LONG_PASSWORD"]
            asked = sum(MARIADB_CAPABILITIES[name] for name in wanted_of_mariadb)
            self.mariadb_capabilities = asked & greeting.mariadb_capabilities

    def _proof(self, plugin, seed):
        if plugin == "caching_sha2_password":
            return sha2_proof(self.password, seed)
        if plugin == "mysql_native_password":
            return native_proof(self.password, seed)
        raise Closed(f"login: `{plugin}` is not known here")

    def _answer(self, greeting, charset, attributes):
        plugin = greeting.plugin if greeting.plugin == "caching_sha2_password" else "mysql_native_password"
        reply = struct.pack("<IIB", self.capabilities, 1 << 30, charset) + bytes(19)
        reply += struct.pack("<I", self.mariadb_capabilities)
        reply += self.user.encode() + b"\0" + string(self._proof(plugin, greeting.seed))
        if self.has("CONNECT_WITH_DB"):
            reply += self.database.encode() + b"\0"
        reply += plugin.encode() + b"\0"
        if self.has("CONNECT_ATTRS"):
            pairs = {"_client_name": "evasion", **attributes}.items()
            reply += string(b"".join(string(key) + string(value) for key, value in pairs))
        self.packets.send(reply)

    def _authenticate(self, seed):
        while True:
            packet = self.packets.receive()
            if packet[0] == 0:
                return
            if packet[0] == 0xFF:
                raise Closed("login: " + error_text(packet))
            if packet[0] == 0xFE:
                end = packet.index(b"\0", 1)
                seed = packet[end + 1:].rstrip(b"\0")[:20]
                self.packets.send(self._proof(packet[1:end].decode(), seed))
            elif packet[:2] == b"\x01\x04":  # caching_sha2_password wants the password itself
                self.packets.send(b"\x02")
                self.packets.send(encrypted_password(self.password, seed, self.packets.receive()[1:]))

    # What comes back.

    def _fail(self, packet):
        self.on_packet("err", packet)
        return error_text(packet)

    def _ok(self, packet):
        self.on_packet("ok", packet)
        _, at = read_number(packet, 1)
        _, at = read_number(packet, at)
        self.status, self.warnings = struct.unpack_from("<HH", packet, at)

    def _ends_rows(self, packet):
        return packet[0] == 0xFE and len(packet) < (PACKET_MAX if self.has("DEPRECATE_EOF") else 9)

    def _end_of_rows(self, packet):
        self.on_packet("eof", packet)
        if self.has("DEPRECATE_EOF"):
            _, at = read_number(packet, 1)
            _, at = read_number(packet, at)
            self.status, self.warnings = struct.unpack_from("<HH", packet, at)
        else:
            self.warnings, self.status = struct.unpack_from("<HH", packet, 1)

    def response(self):
        """One whole response, with all its results."""
        results = []
        while True:
            packet = self.packets.receive()
            if packet[0] == 0xFF and len(packet) > 8 and struct.unpack_from("<H", packet, 1)[0] == PROGRESS:
                continue
            result = Result()
            results.append(result)
            if packet[0] == 0xFE and len(packet) < 9:
                self.on_packet("eof", packet)
                return results
            if packet[0] == 0xFF:
                result.error = self._fail(packet)
            elif packet[0] == 0:
                self._ok(packet)
            elif packet[0] == 0xFB:
                self._give_file(packet, result)
            elif self._rows(packet, result):
                return results
            if result.error or not self.status & MORE_RESULTS:
                return results

    def _give_file(self, packet, result):
        self.on_packet("infile", packet)
        data = self.files.get(packet[1:].decode(errors="replace"), b"")
        for start in range(0, len(data), 1 << 20):
            self.packets.send(data[start:start + (1 << 20)])
        self.packets.send(b"")
        answer = self.packets.receive()
        if answer[0] == 0xFF:
            result.error = self._fail(answer)
        else:
            self._ok(answer)

    def _rows(self, packet, result):
        """True when the server keeps the rows in a cursor."""
        optional = self.has("OPTIONAL_METADATA") and not self.is_mariadb
        described, at = (packet[0], 1) if optional else (1, 0)
        columns, at = read_number(packet, at)
        if self.mariadb_capabilities & MARIADB_CAPABILITIES["CACHE_METADATA"]:
            described = packet[at]
        if described:
            for _ in range(columns):
                self.on_packet("col", self.packets.receive())
        if not self.has("DEPRECATE_EOF"):
            self.status = struct.unpack_from("<HH", self.packets.receive(), 1)[1]
            if described and self.status & CURSOR_EXISTS:
                return True
        while True:
            row = self.packets.receive()
            if row[0] == 0xFF:
                result.error = self._fail(row)
                return False
            if self._ends_rows(row):
                self._end_of_rows(row)
                return bool(self.status & CURSOR_EXISTS and not result.rows)
            result.rows += 1
            self.on_packet("row", row)

    # Commands.

    def send_command(self, payload):
        self.packets.command(payload)
        return self.response()

    def query(self, sql, attributes=()):
        text = sql if isinstance(sql, bytes) else sql.encode()
        if self.has("QUERY_ATTRS") and not self.is_mariadb:
            head = number(len(attributes)) + number(1)
            if attributes:
                head += bytes((len(attributes) + 7) // 8) + b"\1"
                head += b"".join(b"\xfe\0" + string(key) for key, _ in attributes)
                head += b"".join(string(value) for _, value in attributes)
            text = head + text
        return self.send_command(b"\x03" + text)

    def pipeline(self, texts):
        """Several COM_QUERY in one write, without waiting."""
        data = b""
        for sql in texts:
            self.packets.sequence = 0
            data += self.packets.frame(b"\x03" + sql.encode())
        self.packets.send_raw(data)
        return [result for _ in texts for result in self.response()]

    def prepare(self, sql):
        """Number of the statement."""
        self.packets.command(b"\x16" + (sql if isinstance(sql, bytes) else sql.encode()))
        packet = self.packets.receive()
        if packet[0] == 0xFF:
            raise Refused(self._fail(packet))
        statement, columns, parameters = struct.unpack_from("<IHH", packet, 1)
        described = not (self.has("OPTIONAL_METADATA") and not self.is_mariadb and len(packet) > 12) or packet[12]
        for count, kind in ((parameters, None), (columns, "col")):
            for _ in range(count if described else 0):
                definition = self.packets.receive()
                if kind:
                    self.on_packet(kind, definition)
            if described and count and not self.has("DEPRECATE_EOF"):
                self.packets.receive()
        return statement

    def execute(self, statement, values=(), cursor=0):
        body = b"\x17" + struct.pack("<IBI", statement, cursor, 1)
        if values:
            nulls, types, data = bytearray((len(values) + 7) // 8), b"", b""
            unnamed = b"\0" if self.has("QUERY_ATTRS") and not self.is_mariadb else b""
            for place, value in enumerate(values):
                if value is None:
                    nulls[place // 8] |= 1 << place % 8
                    types += b"\x06\0" + unnamed
                elif value is LONG:
                    types += b"\xfc\0" + unnamed
                elif isinstance(value, int):
                    types += b"\x08\0" + unnamed
                    data += struct.pack("<q", value)
                else:
                    types += b"\xfd\0" + unnamed
                    data += string(value)
            body += bytes(nulls) + b"\1" + types + data
        return self.send_command(body)

    def fetch(self, statement, rows):
        """True when that was the last."""
        self.packets.command(b"\x1c" + struct.pack("<II", statement, rows))
        while True:
            row = self.packets.receive()
            if row[0] == 0xFF:
                self._fail(row)
                return True
            if self._ends_rows(row):
                self._end_of_rows(row)
                return bool(self.status & LAST_ROW_SENT)
            self.on_packet("row", row)

    def execute_bulk(self, statement, rows):
        """MariaDB's COM_STMT_BULK_EXECUTE, with strings."""
        body = b"\xfa" + struct.pack("<IH", statement, 128) + b"\xfd\0" * len(rows[0])
        return self.send_command(body + b"".join(b"\0" + string(value) for row in rows for value in row))

    def long_data(self, statement, parameter, data):
        self.packets.command(b"\x18" + struct.pack("<IH", statement, parameter) + data)

    def close_statement(self, statement):
        self.packets.command(b"\x19" + struct.pack("<I", statement))

    def field_list(self, table):
        self.packets.command(b"\x04" + table.encode() + b"\0")
        while True:
            packet = self.packets.receive()
            if packet[0] == 0xFF:
                self._fail(packet)
                return
            if self._ends_rows(packet):
                return
            self.on_packet("col", packet)

    def change_user(self, user, password, database, charset=45):
        body = b"\x11" + user.encode() + b"\0\0" + database.encode() + b"\0"
        body += struct.pack("<H", charset) + b"mysql_native_password\0"
        self.packets.command(body + (number(0) if self.has("CONNECT_ATTRS") else b""))
        self.user, self.password = user, password
        self._authenticate(b"")

    def binlog(self, file, position, seconds):
        """COM_BINLOG_DUMP, for so long."""
        self.packets.command(b"\x12" + struct.pack("<IHI", position, 1, 4242) + file.encode())
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self.socket.settimeout(max(0.05, left))
                packet = self.packets.receive()
                if packet[0] == 0xFF:
                    self._fail(packet)
                    return
                if self._ends_rows(packet):
                    return
                self.on_packet("binlog", packet)
        except TimeoutError:
            return
        finally:
            self.socket.settimeout(self.timeout)

    def close(self):
        try:
            self.packets.command(b"\x01")
        except OSError:
            pass  # it is gone already
        self.socket.close()


def error_text(packet):
    return "%d %s" % (struct.unpack_from("<H", packet, 1)[0], packet[3:].decode(errors="replace"))
