"""Steps of PostgreSQL cases."""

from .admin import PASSWORD
from .play import Player
from .wire import postgres as pg

# Carriers by message kind; others carry nothing of anybody's.
CARRIERS = {
    b"D": "DataRow", b"d": "CopyData", b"N": "Notice", b"E": "Error", b"A": "Notification", b"S": "ParameterStatus",
    b"C": "CommandComplete", b"T": "RowDescription", b"V": "FunctionCallResponse", b"t": "ParameterDescription",
    b"s": "PortalSuspended",
}
# What a look-alike must receive byte for byte; the rest differs between two runs on one server.
COMPARED = {b"D", b"T", b"d", b"C", b"V"}


class PostgresPlayer(Player):
    DATABASE = "weirdb"
    last_row = None

    def last_values(self):
        return self.last_row

    def open(self, options):
        parameters = {"application_name": "case " + self.case.id, **options.get("params", {})}
        if options.get("replication"):
            parameters["replication"] = options["replication"]
        return pg.Connection(
            self.stage.target, options.get("user", self.case.user), options.get("password", PASSWORD),
            options.get("db", self.DATABASE), parameters, options.get("proto", pg.PROTOCOL_3_0), options.get("wire"),
            self.received)

    def set_pace(self, connection, pace):
        connection.pace = pace

    def received(self, kind, body):
        carrier = CARRIERS.get(kind)
        if not carrier:
            return
        if kind == b"D":
            self.recorder.rows += 1
            self.last_row = pg.row_values(body)
            body = b"\n".join(b"\\N" if value is None else value for value in self.last_row)
        elif kind == b"T":
            body = b"\n".join(pg.column_names(body))
        elif kind == b"E":
            self.error(pg.error_text(body))
        elif kind == b"d":
            self.recorder.rows += 1
        self.recorder.add(carrier, body, digest=kind in COMPARED and not self.case.volatile)

    def wire_step(self, connection, step):
        if "q" in step:
            text = step["q"]
            data = bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode(step.get("enc", "utf-8"))
            connection.send(pg.query(data))
            connection.until_ready(copy_in=step.get("copy_in"))
        elif "ext" in step:
            self.extended(connection, step)
        elif "msgs" in step:
            train, ready = b"", 0
            for message in step["msgs"]:
                train += hand_made(message)
                ready += message[0] in ("S", "Q")
            connection.send(train)
            connection.until_ready(step.get("z", ready))
        elif "fcall" in step:
            oid = int(self.stage.admin.value(f"SELECT '{step['fcall']}'::regprocedure::oid"))
            connection.send(pg.function_call(oid, step.get("args", []), step.get("fmt", 0)))
            connection.until_ready()
        elif "listen" in step:
            connection.receive_for(step["listen"])
        elif "repl" in step:
            connection.send(pg.query(step["repl"]))
            connection.receive_for(step.get("seconds", 2), until=lambda kind, body: kind == b"E")
            self.forget(step.get("conn"))
        elif "cancel_during" in step:
            connection.send(pg.query(step["cancel_during"]))
            connection.receive_for(step.get("after", 0.05), until=lambda kind, body: True)
            connection.cancel()
            connection.until_ready()
        else:
            raise ValueError(f"no such step: {step}")

    def extended(self, connection, step):
        name, portal, slice_rows = step.get("stmt", ""), step.get("portal", ""), step.get("max", 0)
        formats = [step["fmt"]] if "fmt" in step else []
        train = pg.parse(name, step["ext"], step.get("oids", ()))
        train += pg.bind(portal, name, step.get("params", ()), formats)
        if step.get("describe", True):
            train += pg.describe("P", portal)
        if not slice_rows:
            connection.send(train + pg.execute(portal) + pg.sync())
            connection.until_ready()
            return
        connection.send(train + pg.execute(portal, slice_rows) + pg.flush())
        left = step.get("rounds")
        while (kind := connection.receive()[0]) not in (b"C", b"E", b"I"):
            if kind == b"s":
                left = left and left - 1
                if left == 0:
                    break
                connection.send(pg.execute(portal, slice_rows) + pg.flush())
        connection.send(pg.sync())
        connection.until_ready()


def hand_made(message):
    kind, rest = message[0], message[1:]
    if kind == "RAW":
        return bytes.fromhex(rest[0])
    return {"P": pg.parse, "B": pg.bind, "D": pg.describe, "E": pg.execute, "C": pg.close, "S": pg.sync, "H": pg.flush,
            "Q": pg.query}[kind](*rest)
