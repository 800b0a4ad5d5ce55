"""What a thief does at home with values that were packed in SQL: a case names the way in `decode`; `a+b` is b after
a."""

import base64
import codecs
import re
import zlib


def unhex(data):
    return b"\n".join(bytes.fromhex(run.decode()) for run in re.findall(rb"(?:[0-9a-fA-F]{2}){6,}", data))


def unbase64(data):
    found = []
    for run in re.findall(rb"[A-Za-z0-9+/\n]{12,}={0,2}", data):
        run = run.replace(b"\n", b"")
        try:
            found.append(base64.b64decode(run + b"=" * (-len(run) % 4)))
        except ValueError:
            pass  # words of plain text look like it
    return b"\n".join(found)


def undigit(data):
    """`117,48,48` or `117 48 48` is the text of these codes."""
    runs = re.findall(rb"\d{1,3}(?:[, ]+\d{1,3}){5,}", data)
    return b"\n".join(bytes(int(code) for code in re.split(rb"[, ]+", run) if int(code) < 256) for run in runs)


def inflate(data):
    found, start = [], data.find(b"\x78")
    while start >= 0:
        try:
            found.append(zlib.decompressobj().decompress(data[start:]))
        except zlib.error:
            pass  # an `x` that begins nothing
        start = data.find(b"\x78", start + 1)
    return b"\n".join(found)


def unrotate(data):
    return codecs.encode(data.decode("latin-1"), "rot13").encode("latin-1")


DECODERS = {
    "hex": unhex,
    "base64": unbase64,
    "digits": undigit,
    "zlib": inflate,
    "rot13": unrotate,
    "reverse": lambda data: data[::-1],
}


def decode(data, way):
    for name in way.split("+"):
        data = DECODERS[name](data)
    return data
