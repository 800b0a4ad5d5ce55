"""A Weir in front of one server, set up as somebody would who has read docs/configuration.md."""

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request

from .admin import CATALOG_ACCOUNT, PASSWORD
from .cases import GROUPS
from .play import HERE
from .process import Tied, free_port

CONFIGURATION = """\
state_dir = "state"
policy = "policy.yaml"
directory = "people.yaml"

[[listener]]
engine = "{engine}"
address = "127.0.0.1:{port}"
upstream = "db"

[listener.auth]
mode = "relay"

[[upstream]]
name = "db"
engine = "{engine}"
address = "127.0.0.1:{server_port}"
tls = "off"

[upstream.catalog]
user = "{catalog}"
password_env = "WEIR_CATALOG_PASSWORD"

[alert]
file = "alerts.jsonl"

[admin]
address = "127.0.0.1:{admin_port}"

[allow]
local_infile = true         # loading files is the shop's daily work, and takes nothing out
"""


def directory_of(cases):
    """Everybody who works with these databases, and in which group."""
    lines = ["people:" if cases else "people: {}"]
    for case in cases:
        lines += [f"  {user}: {{ accounts: [{user}], groups: [{GROUPS[case.role]}] }}" for user in case.users]
    return "\n".join(lines) + "\n"


class Weir:
    def __init__(self, binary, directory, server, cases, policy=os.path.join(HERE, "policy.yaml")):
        self.binary, self.directory = binary, directory
        self.address = ("127.0.0.1", free_port())
        self.admin_port = free_port()
        shutil.copy(policy, self._path("policy.yaml"))
        self._write("people.yaml", directory_of(cases))
        self._write("weir.toml", CONFIGURATION.format(
            engine=server.weir_engine, port=self.address[1], server_port=server.address[1], admin_port=self.admin_port,
            catalog=CATALOG_ACCOUNT))
        self.environment = {"WEIR_CATALOG_PASSWORD": PASSWORD}
        self._confirm_views()
        self.process = Tied([binary, "run", "--config", self._path("weir.toml")], self._path("weir.log"),
                            environment=self.environment)
        self.process.wait_until(self._is_ready)

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _write(self, name, text):
        with open(self._path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def _confirm_views(self):
        """Writes the definitions that stand in the database now beside the views that the policy calls harmless."""
        checked = subprocess.run(
            [self.binary, "policy", "check", self._path("policy.yaml"), "--config", self._path("weir.toml"), "--json"],
            env={**os.environ, **self.environment}, capture_output=True, check=False)
        if checked.returncode:
            raise SystemExit(f"the policy is refused:\n{(checked.stdout + checked.stderr).decode()}")
        with open(self._path("policy.yaml"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        for finding in json.loads(checked.stdout)["files"][0]["diagnostics"]:
            definition = re.search(r"`definition: (\w+)`", finding.get("hint") or "")
            if definition:
                place = finding["line"] - 1
                lines[place] = lines[place].replace(" }", f", definition: {definition[1]} }}")
        self._write("policy.yaml", "\n".join(lines) + "\n")

    def _is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self):
        self.process.stop()

    def events(self):
        """The audit log, once Weir has ended."""
        exported = subprocess.run([self.binary, "audit", "export", "--format", "jsonl", "--dir",
                                   self._path(os.path.join("state", "audit"))], capture_output=True, check=True)
        return [json.loads(line) for line in exported.stdout.splitlines() if line]
