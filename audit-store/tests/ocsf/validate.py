"""Checks OCSF events, one a line on standard input, against the published schema; shares no code with the exporter.

usage: validate.py SCHEMA < events.jsonl
Prints "valid N" and exits 0, or prints what is wrong and exits 1. SCHEMA is what prune.py makes. Needs nothing but Python 3.
"""
import json
import re
import sys

# Controls, bidirectional marks, line separators: an event is one line, and it is shown on terminals.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


class Check:
    def __init__(self, schema):
        self.schema = schema
        self.classes = {entity["uid"]: entity for entity in schema["classes"].values()}
        self.problems = []

    def tell(self, path, problem):
        self.problems.append(f"{path or 'event'}: {problem}")

    def event(self, event):
        entity = self.classes.get(event.get("class_uid"))
        if entity is None:
            return self.tell("class_uid", f"{event.get('class_uid')!r} is no class that is exported")
        self.entity("", event, entity)
        uid, activity = event["class_uid"], event.get("activity_id")
        for name, expected in (
            ("category_uid", uid // 1000),
            ("category_name", entity["category_name"]),
            ("class_name", entity["caption"]),
            ("type_uid", uid * 100 + activity if isinstance(activity, int) else None),
            ("type_name", f"{entity['caption']}: {entity['attributes']['activity_id']['enum'].get(str(activity))}"),
        ):
            if name in event and event[name] != expected:
                self.tell(name, f"{event[name]!r} should be {expected!r}")
        metadata = event.get("metadata", {})
        if metadata.get("version") != self.schema["version"]:
            self.tell("metadata.version", f"{metadata.get('version')!r} is not {self.schema['version']}")
        if not set(metadata.get("profiles", [])) <= set(self.schema["profiles"]):
            self.tell("metadata.profiles", f"{metadata['profiles']} are not those of the schema")

    def entity(self, path, value, entity):
        attributes = entity["attributes"]
        if not attributes:
            return
        for name, attribute in attributes.items():
            if attribute["requirement"] == "required" and name not in value:
                self.tell(f"{path}{name}", "required and not there")
        for name, content in value.items():
            if name not in attributes:
                self.tell(f"{path}{name}", "not in the schema")
            else:
                self.attribute(f"{path}{name}", content, attributes[name], value)
        for kind, names in (entity.get("constraints") or {}).items():
            there = [name for name in names if name in value]
            if kind == "at_least_one" and not there or kind == "just_one" and len(there) != 1:
                self.tell(path.rstrip("."), f"{kind} of {', '.join(names)}: {there}")

    def attribute(self, path, content, attribute, around):
        if attribute.get("deprecated"):
            self.tell(path, "deprecated")
        if attribute.get("is_array"):
            if not isinstance(content, list) or not content:
                return self.tell(path, "not an array with something in it")
            for at, item in enumerate(content):
                self.scalar(f"{path}[{at}]", item, attribute)
            return
        self.scalar(path, content, attribute)
        if "enum" in attribute and "sibling" in attribute:
            caption, sibling = attribute["enum"].get(str(content)), around.get(attribute["sibling"])
            if content == 99 and not sibling:
                self.tell(path, f"99 without {attribute['sibling']}")
            if content != 99 and sibling is not None and sibling != caption:
                self.tell(path, f"{attribute['sibling']} {sibling!r} should be {caption!r}")

    def scalar(self, path, content, attribute):
        kind = attribute["type"]
        if kind == "json_t":
            return None
        if kind == "object_t":
            entity = self.schema["objects"].get(attribute["object_type"])
            if entity is None:
                return self.tell(path, f"object {attribute['object_type']} is not in this part of the schema")
            if not isinstance(content, dict):
                return self.tell(path, "not an object")
            return self.entity(f"{path}.", content, entity)
        limits = self.schema["types"][kind]
        base = limits.get("type", kind)
        whole = isinstance(content, int) and not isinstance(content, bool)
        right = {
            "boolean_t": isinstance(content, bool),
            "integer_t": whole and -(1 << 63) <= content < 1 << 63,
            "long_t": whole and -(1 << 63) <= content < 1 << 63,
            "float_t": whole or isinstance(content, float),
            "string_t": isinstance(content, str),
        }[base]
        if not right:
            return self.tell(path, f"{content!r} is no {kind}")
        if "enum" in attribute and str(content) not in attribute["enum"]:
            self.tell(path, f"{content!r} is none of {', '.join(attribute['enum'])}")
        if "range" in limits and not limits["range"][0] <= content <= limits["range"][1]:
            self.tell(path, f"{content!r} is out of range")
        if "max_len" in limits and len(content) > limits["max_len"]:
            self.tell(path, f"longer than {limits['max_len']}")
        if "regex" in limits and not re.search(limits["regex"], content):
            self.tell(path, f"{content!r} does not fit {kind}")
        return None


def main(path):
    with open(path, encoding="utf-8") as file:
        check = Check(json.load(file))
    count = 0
    # Bytes, since text would be split at separators that are no line end in JSON lines.
    for line in sys.stdin.buffer.read().split(b"\n"):
        if not line:
            continue
        count += 1
        before = len(check.problems)
        text = line.decode()
        if UNSAFE.search(text):
            check.tell("", "a character that is not safe to show")
        check.event(json.loads(text))
        check.problems[before:] = [f"line {count}: {problem}" for problem in check.problems[before:]]
    print("\n".join(check.problems) or f"valid {count}")
    return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
