"""A Weir in front of one server, set up as somebody would who has read docs/configuration.md."""

import json
import os
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
    lines = ["people:"]
    for case in cases:
        lines += [f"  {user}: {{ accounts: [{user}], groups: [{GROUPS[case.role]}] }}" for user in case.users]
    return "\n".join(lines) + "\n"


class Weir:
    def __init__(self, binary, directory, server, cases):
        self.binary, self.directory = binary, directory
        self.address = ("127.0.0.1", free_port())
        self.admin_port = free_port()
        shutil.copy(os.path.join(HERE, "policy.yaml"), directory)
        self._write("people.yaml", directory_of(cases))
        self._write("weir.toml", CONFIGURATION.format(
            engine=server.weir_engine, port=self.address[1], server_port=server.address[1], admin_port=self.admin_port,
            catalog=CATALOG_ACCOUNT))
        self.process = Tied([binary, "run", "--config", os.path.join(directory, "weir.toml")],
                            os.path.join(directory, "weir.log"), environment={"WEIR_CATALOG_PASSWORD": PASSWORD})
        self.process.wait_until(self._is_ready)

    def _write(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
            file.write(text)

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
                                   os.path.join(self.directory, "state", "audit")], capture_output=True, check=True)
        return [json.loads(line) for line in exported.stdout.splitlines() if line]
