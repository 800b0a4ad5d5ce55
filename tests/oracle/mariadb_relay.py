"""Stands between MariaDB's own test client and a throw-away server, and asks the server about each statement before it
passes.

The client (`mariadb-test`) reads its files' command language and decides what is sent; nothing here reads SQL. What
counts is what the server accepts: a statement that it prepares, and of which it tells the plan. The questions are asked
on the client's own connection, so that its database, mode and temporary tables hold. The relations are those on which
the server takes a metadata lock when it opens what the plan needs: through views, functions and triggers as well.
"""

import select
import socket
import threading

from judge import LEAVING, Answer, Expected
from mariadb_wire import (
    COM_CHANGE_USER, COM_QUERY, COM_RESET_CONNECTION, PART_MAX, Closed, Refused, Server, Stream, withhold,
)

FACTS = b"""select @@in_transaction, database(), @@sql_mode, @@character_set_client, @@character_set_results,
 @@max_statement_time"""
OPENED = b"""select distinct object_schema, object_name from performance_schema.metadata_locks
 where object_type = 'TABLE' and owner_thread_id =
 (select thread_id from performance_schema.threads where processlist_id = connection_id())"""
# Kinds of what has a name; a sequence and what an engine makes up (`seq_1_to_9`) hold nobody's rows.
KIND = """select if(engine <=> 'SEQUENCE', engine, table_type), (select count(*) from information_schema.columns c where c.table_schema = t.table_schema
 and c.table_name = t.table_name and c.column_name = {column}) from information_schema.tables t
 where t.table_schema = {schema} and t.table_name = {name}"""
HOLDS_ROWS = {b"BASE TABLE", b"VIEW", b"SYSTEM VERSIONED"}
# Relations that are linked with this one by a foreign key, and what becomes of rows when the other's change.
LINKED = """select unique_constraint_schema, referenced_table_name, update_rule, delete_rule
 from information_schema.referential_constraints where constraint_schema = {schema} and table_name = {name}
 union all select constraint_schema, table_name, update_rule, delete_rule
 from information_schema.referential_constraints
 where unique_constraint_schema = {schema} and referenced_table_name = {name}"""
# Character sets in which a text is what it looks like.
READABLE = {b"utf8mb4", b"utf8mb3", b"utf8", b"latin1", b"ascii", b"binary"}
# First words of statements that change no definitions.
HARMLESS = {"select", "insert", "update", "delete", "replace", "set", "show", "explain", "describe", "desc", "analyze",
            "check", "checksum", "flush", "use", "begin", "start", "commit", "rollback", "savepoint", "release", "with",
            "values", "table", "handler", "lock", "unlock", "do", "load", "deallocate", "kill", "reset", "signal", "help"}
# First words of what may be asked for its plan.
EXPLAINED = {"select", "insert", "update", "delete", "replace", "with", "values", "table"}
# What the server opens for itself.
OWN = {"performance_schema", "mysql", "sys", "information_schema"}


def quoted(text):
    return "0x" + text.encode().hex() if text else "''"


def first_word(sql):
    """The first word, behind comments and parentheses; what a comment of the server's own holds counts."""
    at = 0
    while at < len(sql):
        if sql[at] in " \t\r\n(":
            at += 1
        elif sql.startswith(("/*!", "/*M!"), at):
            at += 3
            while at < len(sql) and sql[at] in "!0123456789":
                at += 1
        elif sql.startswith("/*", at):
            end = sql.find("*/", at)
            at = len(sql) if end < 0 else end + 2
        elif sql.startswith(("--", "#"), at):
            end = sql.find("\n", at)
            at = len(sql) if end < 0 else end + 1
        else:
            break
    end = at
    while end < len(sql) and (sql[end].isalnum() or sql[end] == "_"):
        end += 1
    return sql[at:end].lower()


class Relay:
    """Accepts clients until it is closed. `current` is what the statements are filed under."""

    def __init__(self, server, weir, tally):
        self.server, self.weir, self.tally = server, weir, tally
        self.current = ""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.touched = True
        self.failure = None
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self):
        self.listener.close()

    def _serve(self, client):
        upstream = None
        try:
            upstream = socket.create_connection(self.server)
            Session(self, Stream(client), Server(upstream)).run()
        except (Closed, OSError):
            pass
        except Exception as error:  # told by whoever started the run: a relay that is broken proves nothing
            self.failure = self.failure or error
            raise
        finally:
            client.close()
            if upstream:
                upstream.close()


class Session:
    """One client."""

    def __init__(self, relay, client, server):
        self.relay, self.client, self.server = relay, client, server
        # Names of temporary tables, by what Weir says of statements that went well.
        self.temporary = set()
        # Acts of the statement that is under way, until its answer is known.
        self.pending = None
        # An answer is due to the client: what the server says next is not ours.
        self.awaiting = False
        # Under LOCK TABLES the server lets nothing else be opened.
        self.locked = False

    def run(self):
        number, greeting = self.server.take()
        self.client.put(number, withhold(greeting) if greeting[:1] != b"\xff" else greeting)
        self._log_in()
        while True:
            # What stands in the buffers was read together with what was wanted.
            while self.client.has_packet():
                self._command(*self.client.take())
            if self.server.buffer:
                self._reply()
            readable, _, _ = select.select([self.client.socket, self.server.socket], [], [])
            if self.server.socket in readable:
                self.server.fill()
                self._reply()
            elif self.client.socket in readable:
                self.client.fill()

    def _log_in(self):
        self.server.put(*self.client.take())
        while True:
            number, payload = self.server.take()
            self.client.put(number, payload)
            if payload[:1] in (b"\0", b"\xff"):
                return
            # 01 is followed by another packet of the server's, or asks for one of the client's.
            if payload[:1] != b"\x01" or payload[1:2] == b"\x04":
                self.server.put(*self.client.take())

    def _reply(self):
        """Passes on what the server has said."""
        data, self.server.buffer = self.server.buffer, b""
        self.awaiting = False
        if self.pending is not None and len(data) > 4:
            acts, self.pending = self.pending, None
            if data[4] != 0xFF:
                self._apply(acts)
        self.client.socket.sendall(data)

    def _apply(self, acts):
        for act in acts:
            if isinstance(act, dict):
                if "create_temporary" in act:
                    self.temporary.add(act["create_temporary"])
                if "drop_temporary" in act:
                    self.temporary.discard(act["drop_temporary"])

    def _command(self, number, payload):
        if number == 0 and payload[:1] in (bytes([COM_CHANGE_USER]), bytes([COM_RESET_CONNECTION])):
            self.temporary.clear()
            self.locked = False
        if number == 0 and payload[:1] == bytes([COM_QUERY]) and len(payload) < PART_MAX:
            if self.awaiting:
                self.relay.tally.skip("sent before an answer")
            else:
                with self.relay.lock:
                    self._examine(payload[1:])
            self.awaiting = True
        self.server.put(number, payload)

    def _examine(self, raw):
        tally, relay = self.relay.tally, self.relay
        try:
            sql = raw.decode()
        except UnicodeDecodeError:
            tally.skip("not utf-8")
            relay.touched = True
            return
        word = first_word(sql)
        self.pending = []
        if word not in EXPLAINED:
            self._definition(sql, word)
            return
        if self.locked:
            tally.skip("under lock tables")
        elif tally.is_known(sql):
            tally.skip("said before")
        else:
            self._judge(sql, raw, word)

    def _definition(self, sql, word):
        """What is not asked about: it may change the catalog or make a temporary table."""
        self.relay.tally.skip("neither reads nor writes rows")
        if word == "lock" or word == "flush" and ("read lock" in sql.lower() or "for export" in sql.lower()):
            self.locked = True
        elif word == "unlock":
            self.locked = False
        if word in HARMLESS:
            return
        if word in ("create", "drop", "alter", "rename"):
            said = self.relay.weir.ask(sql)
            self.pending = [act for statement in said for act in statement["acts"]]
            if "catalog_changed" not in self.pending and any(isinstance(act, dict) for act in self.pending):
                return
        self.relay.touched = True

    def _judge(self, sql, raw, word):
        relay, server = self.relay, self.server
        began = False
        expected = Expected()
        try:
            facts = server.query(FACTS)
            if not facts:
                # sql_select_limit holds for our questions too.
                relay.tally.skip("the oracle may not ask here")
                return
            inside, database, mode, charset, results, _ = facts[0]
            if charset not in READABLE or results is not None and results not in READABLE:
                relay.tally.skip("another character set")
                return
            if b"ORACLE" in mode.split(b","):
                relay.tally.skip("sql_mode=ORACLE")
                return
            if inside == b"0":
                server.query(b"start transaction")
                began = True
            before = self._opened()
            columns, parameters = server.prepare(raw)
            if parameters == 0:
                server.query(b"explain " + raw)
            expected.opened = {each for each in self._opened() - before if each[0] not in OWN}
            expected.explained = True
            for schema, table, name in columns:
                where = (schema.decode("utf-8", "replace"), table.decode("utf-8", "replace"))
                # In what the statement itself derives, the server names what the statement calls it.
                if name and where in expected.opened:
                    expected.origins.add((*where, name.decode("utf-8", "replace")))
        except Refused:
            relay.tally.skip("refused by the server")
            return
        finally:
            if began:
                server.query(b"rollback")
        renew = relay.touched
        said = relay.weir.ask(
            sql,
            renew=renew,
            search_path=[database.decode()] if database else [],
            temporary=sorted(self.temporary),
            sql_mode=mode.decode(),
        )
        if said is None:
            relay.tally.skip("the catalog was locked")
            return
        relay.touched = False
        self.pending = [act for statement in said for act in statement["acts"]]
        self._look_again(expected, Answer(said), word)
        relay.tally.judge(relay.current, sql, word, expected, said)

    def _look_again(self, expected, answer, word):
        """What Weir does not tell may be no relation that holds rows, or one that is only asked whether a key is there."""
        for schema, name in [each for each in expected.opened if not answer.names(each)]:
            rows = self.server.query(KIND.format(schema=quoted(schema), name=quoted(name), column="''").encode())
            if not rows or rows[0][0] not in HOLDS_ROWS:
                expected.opened.discard((schema, name))
                continue
            for other, table, *rules in self.server.query(LINKED.format(schema=quoted(schema), name=quoted(name)).encode()):
                checks = word == "insert" or set(rules) <= {b"RESTRICT", b"NO ACTION"}
                if checks and (other.decode(), table.decode()) in expected.opened:
                    expected.guards.add((schema, name))
        for schema, name, column in [each for each in expected.origins if not answer.has(each, LEAVING)]:
            # Where a derived table is called as the relation that it reads, the server names the one for the other.
            sql = KIND.format(schema=quoted(schema), name=quoted(name), column=quoted(column))
            if not any(count != b"0" for _, count in self.server.query(sql.encode())):
                expected.origins.discard((schema, name, column))

    def _opened(self):
        rows = self.server.query(OPENED)
        return {(schema.decode("utf-8", "replace"), name.decode("utf-8", "replace")) for schema, name in rows}
