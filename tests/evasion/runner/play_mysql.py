"""Steps of MySQL and MariaDB cases."""

import re

from .admin import PASSWORD
from .play import Player
from .wire import mysql
from .wire.mysql_packets import row_values

CARRIERS = {"row": "Row", "col": "ColumnDef", "err": "Error", "ok": "OK", "eof": "EOF", "infile": "LocalInfileRequest",
            "binlog": "BinlogEvent"}
COMPARED = {"row", "col"}
# Rows of the text protocol are taken apart up to here, for values that decode to something; the rest is scanned whole.
SPLIT_BYTES, SPLIT_ROWS = 300, 50
DIRECT_STATEMENT = 0xFFFFFFFF  # MariaDB: the statement that was prepared last


class MySqlPlayer(Player):
    DATABASE = "support"

    def __init__(self, case, stage):
        super().__init__(case, stage)
        self.statements = {}
        self.last_row = b""

    def last_values(self):
        return row_values(self.last_row)

    def open(self, options):
        files = {name: text.encode() for name, text in options.get("files", {}).items()}
        return mysql.Connection(
            self.stage.target, options.get("user", self.case.user), options.get("password", PASSWORD),
            options.get("db", self.DATABASE), options.get("caps", ()), options.get("nocaps", ()),
            options.get("maria_caps", ()), options.get("charset", 45), files, {"program_name": "case " + self.case.id},
            options.get("wire"), self.received)

    def set_pace(self, connection, pace):
        connection.set_pace(pace)

    def received(self, kind, payload):
        if kind == "err":
            self.error("%d %s" % (int.from_bytes(payload[1:3], "little"), payload[3:].decode(errors="replace")))
        elif kind == "row":
            self.recorder.rows += 1
            self.last_row = payload
            short = len(payload) < SPLIT_BYTES and self.recorder.rows < SPLIT_ROWS
            if (short or self.case.decode) and (values := row_values(payload)):
                payload = b"\n".join(b"\\N" if value is None else value for value in values)
        self.recorder.add(CARRIERS[kind], payload, digest=kind in COMPARED and not self.case.volatile)

    def wire_step(self, connection, step):
        if "q" in step:
            text = step["q"]
            data = bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode(step.get("enc", "utf-8"))
            connection.query(data, step.get("attrs", ()))
        elif "stmt" in step:
            self.prepared(connection, step)
        elif "prepare" in step:
            try:
                self.statements[step["as"]] = connection.prepare(step["prepare"])
            except mysql.Refused:
                self.statements.pop(step["as"], None)
        elif "execute" in step:
            statement = DIRECT_STATEMENT if step["execute"] == -1 else self.statements.get(step["execute"])
            values = [mysql.LONG if value == "@long" else value for value in step.get("params", [])]
            if statement is not None:
                connection.execute(statement, values, step.get("cursor", 0))
        elif "fetch_stmt" in step:
            for _ in range(step.get("rounds", 1) if step["fetch_stmt"] in self.statements else 0):
                connection.fetch(self.statements[step["fetch_stmt"]], step["n"])
        elif "bulk" in step:
            if step["bulk"] in self.statements:
                connection.execute_bulk(self.statements[step["bulk"]], step["rows"])
        elif "longdata" in step:
            if step["longdata"] in self.statements:
                connection.long_data(self.statements[step["longdata"]], step.get("param", 0), step["data"].encode())
        elif "field_list" in step:
            connection.field_list(step["field_list"])
        elif "change_user" in step:
            connection.change_user(step["change_user"], step.get("password", PASSWORD), step.get("db", self.DATABASE))
        elif "com" in step:
            text = step.get("text")
            connection.send_command(bytes.fromhex(step["com"]) + (text.encode() if text else b""))
        elif "pipeline" in step:
            connection.pipeline(step["pipeline"])
        elif "binlog" in step:
            connection.binlog(step.get("file", ""), step.get("pos", 4), step["binlog"])
            self.forget(step.get("conn"))
        else:
            raise ValueError(f"no such step: {step}")

    def prepared(self, connection, step):
        try:
            statement = connection.prepare(step["stmt"])
        except mysql.Refused:
            return
        for values in step.get("loop") or [step.get("params", [])]:
            values = [int(v) if isinstance(v, str) and re.fullmatch(r"-?\d+", v) else v for v in values]
            connection.execute(statement, values, step.get("cursor", 0))
            left = step.get("rounds")
            while step.get("fetch") and left != 0 and not connection.fetch(statement, step["fetch"]):
                left = left and left - 1
        connection.close_statement(statement)
