"""Weir's side of the comparison: the `weir-oracle` program, asked over a pipe."""

import json
import subprocess
import threading

CONFIG = """state_dir = "{state}"
policy = "policy.yaml"

[[listener]]
name = "oracle"
engine = "{engine}"
address = "127.0.0.1:1"
upstream = "oracle"

[listener.auth]
mode = "relay"

[[upstream]]
name = "oracle"
engine = "{engine}"
address = "127.0.0.1:{port}"
tls = "off"

[upstream.catalog]
user = "{user}"
password_file = "{password}"
refresh_secs = 3600
"""


class Weir:
    """Answers what Weir understands of a text. One question at a time, whoever asks."""

    def __init__(self, program, directory, engine, port, user, password, database):
        state = directory / "state"
        state.mkdir(exist_ok=True)
        secret = directory / "password"
        secret.write_text(password)
        secret.chmod(0o600)
        (directory / "policy.yaml").write_text("version: 1\n")
        config = directory / "weir.toml"
        config.write_text(CONFIG.format(state=state, engine=engine, port=port, user=user, password=secret))
        self.log = directory / "weir-oracle.log"
        self.process = subprocess.Popen(
            [program, str(config), "oracle", database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
            encoding="utf-8",
        )
        self.lock = threading.Lock()

    def ask(self, sql, **under):
        """The statements of a text, as `weir-oracle` says them; None when the catalog had to be read and could not."""
        with self.lock:
            try:
                self.process.stdin.write(json.dumps({"sql": sql, **under}) + "\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if not line:
                raise RuntimeError(f"weir-oracle ended: {self.log.read_text().strip()}; the text was: {sql[:2000]}")
            return json.loads(line).get("statements")

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
