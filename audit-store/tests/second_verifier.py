"""Verifies an audit log by docs/log-format.md alone; shares no code with the writer.

usage: second_verifier.py DIRECTORY [CHECKPOINT]
Prints "sound RECORDS COVERED" and exits 0, or prints what is wrong and exits 1.
Needs nothing but Python 3 and the openssl command (for ed25519).
"""
import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

TABLE = []
for n in range(256):
    for _ in range(8):
        n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def sha(data):
    return hashlib.sha256(data).digest()


class Wrong(Exception):
    pass


def need(condition, problem):
    if not condition:
        raise Wrong(problem)


class Tree:
    def __init__(self):
        self.size, self.edge = 0, []

    def push(self, payload):
        new, size = sha(b"\0" + payload), self.size
        while size & 1:
            new, size = sha(b"\1" + self.edge.pop() + new), size >> 1
        self.edge.append(new)
        self.size += 1

    def root(self):
        if not self.edge:
            return sha(b"")
        root = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            root = sha(b"\1" + left + root)
        return root


def signature_is_valid(key, text, signature):
    der = bytes.fromhex("302a300506032b6570032100") + key
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, data in (("key", der), ("text", text), ("signature", signature)):
            paths[name] = os.path.join(folder, name)
            with open(paths[name], "wb") as file:
                file.write(data)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", paths["key"], "-rawin",
                   "-in", paths["text"], "-sigfile", paths["signature"]]
        return subprocess.run(command, capture_output=True).returncode == 0


def open_note(note, name, key):
    body, _, signature = note.rpartition(b"\n\n")
    text = body + b"\n"
    key_hash = sha(name.encode() + b"\n\x01" + key)[:4]
    found = re.fullmatch("\u2014 {} (\\S+)\n".format(re.escape(name)).encode(), signature)
    need(found, "a checkpoint has no signature line")
    raw = base64.b64decode(found.group(1), validate=True)
    need(raw[:4] == key_hash and signature_is_valid(key, text, raw[4:]), "a checkpoint has no valid signature")
    lines = text.decode().split("\n")
    need(lines[0] == name and lines[3].startswith("time_ms "), "a checkpoint is about something else")
    return int(lines[1]), base64.b64decode(lines[2], validate=True)


def frames(data, last):
    at = 0
    while at < len(data):
        length, crc = struct.unpack_from("<II", data, at) if at + 8 <= len(data) else (None, None)
        if last and (length is None or not any(data[at:]) or 0 < length <= 1 << 20 and at + 8 + length > len(data)):
            for later in range(at + 1, len(data) - 16):
                length, crc = struct.unpack_from("<II", data, later)
                payload = data[later + 8:later + 8 + length]
                whole = len(payload) == length and re.match(rb'\{"seq":\d+,', payload)
                need(not (whole and crc32c(payload) == crc), "a whole record follows a broken frame")
            return
        need(length is not None and 0 < length <= 1 << 20 and at + 8 + length <= len(data), f"byte {at}: broken frame")
        payload = data[at + 8:at + 8 + length]
        need(crc32c(payload) == crc, f"byte {at}: wrong checksum")
        yield payload
        at += 8 + length


def main(folder, external):
    def read(name):
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()

    name, key_hash, key = read("keys/log.pub").decode().strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    need(key[0] == 1 and sha(name.encode() + b"\n" + key)[:4].hex() == key_hash, "the public key is broken")
    key = key[1:]
    listed = sorted(os.listdir(folder))
    notes = []
    for file in listed:
        if re.fullmatch(r"checkpoints-\d{20}-\d+", file):
            # A note is its text, an empty line, its signature line; then an empty line.
            notes += [f"{text}\n\n{sign}\n".encode() for text, sign in
                      re.findall("((?:[^\n]+\n)*?[^\n]+)\n\n(\u2014 [^\n]+)\n\n", read(file).decode())]
        elif file == "latest.checkpoint":
            notes.append(read(file))
    if external:
        with open(external, "rb") as file:
            notes.append(file.read())
    signed = {}
    for size, root in (open_note(note, name, key) for note in notes):
        need(signed.setdefault(size, root) == root, f"two roots were signed for {size} records")
    segments = [file for file in listed if re.fullmatch(r"\d{20}\.log", file)]
    heads = [json.loads(next(frames(read(file), False))) for file in segments]
    tree, covered = Tree(), 0
    for at, (file, head) in enumerate(zip(segments, heads)):
        last = at + 1 == len(segments)
        following = None if last else heads[at + 1]
        need(head["weir_log"] == 1 and head["log"] == name, f"{file}: another log or format")
        need(head["first"] == int(file[:20]) == tree.size + 1, f"{file}: begins at the wrong sequence")
        need([base64.b64decode(text) for text in head["edge"]] == tree.edge, f"{file}: wrong edge")
        payloads = frames(read(file), last)
        next(payloads)
        while last or tree.size + 1 < following["first"]:
            payload = next(payloads, None)
            if payload is None:
                break
            need(payload.startswith(b'{"seq":%d,' % (tree.size + 1)), f"{file}: record {tree.size + 1} is not in place")
            need(json.loads(payload)["seq"] == tree.size + 1 and b"\n" not in payload, f"{file}: not one line of JSON")
            tree.push(payload)
            if tree.size in signed:
                need(signed[tree.size] == tree.root(), f"record {covered + 1} to {tree.size}: not what was signed")
                covered = tree.size
        need(last or following["after_failure"] or next(payloads, None) is None, f"{file}: something follows its end")
    need(max(signed, default=0) <= tree.size, f"{max(signed, default=0)} records were signed, {tree.size} are there")
    print("sound", tree.size, covered)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    except (Wrong, ValueError, KeyError, IndexError, StopIteration) as wrong:
        print("wrong:", wrong)
        sys.exit(1)
