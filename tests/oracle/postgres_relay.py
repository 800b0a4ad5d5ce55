"""Stands between psql and a throw-away PostgreSQL, and asks the server about each statement before it passes.

psql cuts its files into statements and fills in its variables, as it does for anybody; nothing here reads SQL but
PostgreSQL's own grammar. The questions are asked on the client's own connection, so that its transaction, role, path and
temporary tables hold, and leave nothing behind: each set of them is in a (sub)transaction that is rolled back.
"""

import json
import socket
import struct
import threading

from pglast.parser import ParseError

from judge import Expected
from postgres_grammar import Grammar
from postgres_wire import Closed, Refused, Upstream, receive, startup

# What EXPLAIN takes, and with it the rewriter and planner.
EXPLAINED = {"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "DeclareCursorStmt", "CreateTableAsStmt"}
# Changes rows and nothing else, if anything.
ROWS_ONLY = {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt", "TransactionStmt", "VariableSetStmt",
             "VariableShowStmt", "FetchStmt", "ClosePortalStmt", "DeclareCursorStmt", "LockStmt",
             "DeallocateStmt", "PrepareStmt", "ConstraintsSetStmt", "NotifyStmt", "ListenStmt", "UnlistenStmt"}
# Worth a new snapshot of the catalog when something has changed it. Definitions follow each other by thousands; one that
# comes right behind another is let pass.
WORTH = EXPLAINED | {"CopyStmt", "ViewStmt", "PrepareStmt", "RefreshMatViewStmt", "ExplainStmt", "RuleStmt", "DoStmt",
                     "CallStmt", "TruncateStmt", "ExecuteStmt"}
# Kinds of relations that hold rows for a person to read.
KINDS = "('r', 'p', 'v', 'm', 'f')"

FACTS = """select pg_catalog.array_to_json(pg_catalog.current_schemas(true)),
 (select pg_catalog.json_agg(relname) from pg_catalog.pg_class where relnamespace = pg_catalog.pg_my_temp_schema()),
 pg_catalog.current_setting('standard_conforming_strings'),
 pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"""
# Relations that were opened since the transaction began: a lock on each is kept until its end.
# Asked of the function, which opens none itself.
OPENED = """select distinct relation from pg_catalog.pg_lock_status()
 where locktype = 'relation' and pid = pg_catalog.pg_backend_pid()"""
RESOLVED = "select pg_catalog.to_regclass(n)::pg_catalog.oid from pg_catalog.unnest(array[{names}]::text[]) n"
NAMES = """select n.nspname, c.relname, c.relkind, c.relpersistence
 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in {kinds} and c.oid in ({oids})"""
COLUMNS = """select n.nspname, c.relname, c.relpersistence, a.attname
 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 join pg_catalog.pg_attribute a on a.attrelid = c.oid
 where c.relkind in {kinds} and (c.oid, a.attnum) in ({pairs})"""
# What a view over the statement depends on, column by column: everything that it mentions.
VIEW = "create temporary view weir_oracle_view as select 1 as one from (\n{sql}\n) as weir_oracle_query"
DEPENDS = """select distinct d.refobjid, d.refobjsubid from pg_catalog.pg_rewrite r join pg_catalog.pg_depend d
 on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
 where r.ev_class = 'pg_temp.weir_oracle_view'::pg_catalog.regclass and d.refobjid <> r.ev_class
 and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0"""


# What row security of these relations asks, and what that reads in turn: conditions of the owner's, by which rows are
# left out, and of which nothing comes out.
GUARDS = """with recursive reached (oid, guarded) as (
 select c.oid, false from pg_catalog.pg_class c where c.oid in ({oids})
 union select d.refobjid, r.guarded or p.oid is not null from reached r
 left join pg_catalog.pg_policy p on p.polrelid = r.oid
 left join pg_catalog.pg_rewrite w on w.ev_class = r.oid and w.ev_type = '1' and r.guarded
 join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.oid
 and (d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid
 or d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid))
 select distinct oid from reached where guarded"""


def literal(text):
    return "'" + text.replace("'", "''") + "'" if "\\" not in text else " E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


class Relay:
    """Accepts clients until it is closed. `current` is what the statements are filed under."""

    def __init__(self, server, weir, tally, database):
        self.server, self.weir, self.tally, self.database = server, weir, tally, database
        self.current = ""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        # The snapshot that Weir has was loaded when this was the server's next transaction.
        self.loaded_at = None
        self.touched = True
        self.failure = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self):
        self.listener.close()

    def _serve(self, client):
        upstream = None
        try:
            packet, words = startup(client)
            upstream = Upstream(self.server)
            upstream.send(packet)
            if words is None:
                return
            judged = words.get(b"database", words.get(b"user")) == self.database.encode()
            Session(self, client, upstream, judged).run()
        except (Closed, OSError):
            pass
        except Exception as error:  # told by whoever started the run: a relay that is broken proves nothing
            self.failure = self.failure or error
            raise
        finally:
            client.close()
            if upstream:
                upstream.socket.close()


class Session:
    """One client."""

    def __init__(self, relay, client, upstream, judged):
        self.relay, self.client, self.upstream, self.judged = relay, client, upstream, judged
        # Something but rows was changed in the transaction that is open: nobody else can see it yet.
        self.hidden_changes = False
        # The statement at hand calls functions that the server does not ship.
        self.calls = True

    def run(self):
        self._until_ready()
        while True:
            head = receive(self.client, 5)
            body = receive(self.client, struct.unpack("!I", head[1:])[0] - 4)
            if head[:1] == b"Q" and self.judged:
                try:
                    self._examine(body[:-1].decode())
                except UnicodeDecodeError:
                    self.relay.tally.skip("not utf-8")
            self.upstream.send(head + body)
            if head[:1] == b"X":
                return
            if head[:1] in b"QS":
                self._until_ready()
                if self.upstream.status == "I" and self.hidden_changes:
                    # Now everybody sees them, or nobody any more.
                    self.hidden_changes = False
                    self.relay.touched, self.relay.loaded_at = True, None

    def _until_ready(self):
        while True:
            kind, whole = self.upstream.message()
            self.client.sendall(whole)
            if kind == b"G":
                self._copy_in()
            elif kind == b"R" and whole[5:9] != b"\0\0\0\0":
                head = receive(self.client, 5)
                self.upstream.send(head + receive(self.client, struct.unpack("!I", head[1:])[0] - 4))
            elif kind == b"Z":
                return

    def _copy_in(self):
        while True:
            head = receive(self.client, 5)
            self.upstream.send(head + receive(self.client, struct.unpack("!I", head[1:])[0] - 4))
            if head[:1] in (b"c", b"f"):
                return

    def _examine(self, sql):
        tally = self.relay.tally
        self.calls = True
        try:
            grammar = Grammar(sql)
        except ParseError:
            tally.skip("refused by the grammar")
            self._note(None)
            return
        except (RecursionError, UnicodeDecodeError):
            tally.skip("too deep for the oracle")
            self._note(None)
            return
        try:
            if not grammar.statements:
                return
            if self.upstream.status == "E":
                tally.skip("in a failed transaction")
            elif tally.is_known(sql):
                tally.skip("said before")
                self.calls = tally.calls(sql)
            elif self.hidden_changes:
                tally.skip("catalog of an open transaction")
            else:
                self._judge(sql, grammar)
        finally:
            self._note(grammar)

    def _note(self, grammar):
        """A statement is about to pass: may the catalog be another one behind it?"""
        kinds = grammar.runs if grammar else {"?"}
        if kinds <= ROWS_ONLY:
            if grammar.ends_prepared:
                self.relay.touched = True
            return
        if kinds == {"SelectStmt"} and not grammar.made:
            # Functions of its own may do anything; those of the server's do not make relations.
            self.relay.touched |= self.calls
            return
        self.relay.touched = True
        if grammar and grammar.only_temporary:
            return
        if self.upstream.status == "T" or len(kinds) > 1:
            self.hidden_changes = True

    def _judge(self, sql, grammar):
        upstream, relay = self.upstream, self.relay
        inside = upstream.status == "T"
        upstream.query("savepoint weir_oracle" if inside else "begin")
        expected = Expected()
        try:
            facts = self._try(FACTS)
            if facts is None:
                relay.tally.skip("the oracle may not ask here")
                return
            path, temporary, standard, xmax = facts[0]
            renew = relay.touched and xmax != relay.loaded_at
            if renew and not WORTH.intersection(grammar.kinds):
                relay.tally.skip("a definition right behind another")
                return
            self._understand(sql, grammar, expected)
            if not expected.explained and EXPLAINED.intersection(grammar.kinds) and len(grammar.statements) == 1:
                relay.tally.skip("refused by the server")
                return
        finally:
            if inside:
                upstream.query("rollback to savepoint weir_oracle")
                upstream.query("release savepoint weir_oracle")
            else:
                upstream.query("rollback")
        said = relay.weir.ask(
            sql,
            renew=renew,
            search_path=[schema for schema in json.loads(path) if not schema.startswith("pg_temp")],
            temporary=json.loads(temporary) if temporary else [],
            standard_conforming_strings=standard == "on",
        )
        if said is None:
            relay.tally.skip("the catalog was locked")
            return
        if renew:
            relay.loaded_at, relay.touched = xmax, False
        self.calls = any(statement["functions"] for statement in said)
        relay.tally.judge(relay.current, sql, "+".join(grammar.kinds), expected, said)

    def _understand(self, sql, grammar, expected):
        """Fills in what the server and its grammar know of a text."""
        single = len(grammar.statements) == 1 and grammar.kinds[0] in EXPLAINED
        text = sql.strip().rstrip(";")
        # The grammar's names, as the server resolves them.
        if grammar.named:
            names = [(quoted(schema) + "." if schema else "") + quoted(name) for schema, name in grammar.named]
            resolved = self._try(RESOLVED.format(names=", ".join(map(literal, names))))
            self._relations([oid for (oid,) in resolved or [] if oid], expected.named, expected)
        if not single:
            return
        # Behind a savepoint: the locks of earlier questions were given back with theirs.
        before = {oid for (oid,) in self._try(OPENED)}
        opened = self._try(f"explain (verbose, costs off) {text}", OPENED)
        if opened is None:
            return
        expected.explained = True
        opened = {oid for (oid,) in opened} - before
        self._relations(opened, expected.opened, expected)
        if opened:
            guards = self._try(GUARDS.format(oids=", ".join(opened)))
            self._relations([oid for (oid,) in guards or []], expected.guards, expected)
        if grammar.kinds[0] == "SelectStmt" and not grammar.made:
            self._columns(text, expected)

    def _columns(self, text, expected):
        self.upstream.query("savepoint weir_oracle_step")
        try:
            origins = self.upstream.describe(text)
        except Refused:
            origins = None
        self.upstream.query("rollback to savepoint weir_oracle_step")
        self._named_columns([pair for pair in origins or [] if pair[0] and 0 < pair[1] < 32768], expected.origins)
        mentioned = self._try(VIEW.format(sql=text), DEPENDS)
        expected.mentions = mentioned is not None
        self._named_columns(mentioned, expected.mentioned)

    def _try(self, *texts):
        """Rows of the last of them, or None where the server refuses; nothing of it stays."""
        self.upstream.query("savepoint weir_oracle_step")
        rows = None
        try:
            for text in texts:
                rows = self.upstream.query(text)
        except Refused:
            rows = None
        self.upstream.query("rollback to savepoint weir_oracle_step")
        return rows

    def _relations(self, oids, into, expected):
        if not oids:
            return
        for schema, name, kind, persistence in self._try(NAMES.format(kinds=KINDS, oids=", ".join(oids))) or []:
            if persistence == "t":
                expected.temporary_view |= kind == "v"
            else:
                into.add((schema, name))

    def _named_columns(self, pairs, into):
        if not pairs:
            return
        pairs = ", ".join(f"({oid}, {number})" for oid, number in pairs)
        for schema, name, persistence, column in self._try(COLUMNS.format(kinds=KINDS, pairs=pairs)) or []:
            if persistence != "t":
                into.add((schema, name, column))
