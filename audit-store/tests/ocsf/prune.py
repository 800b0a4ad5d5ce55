"""Makes schema-1.8.0.json: the part of the published OCSF schema that our events use, without its prose.

usage: prune.py EXPORT > schema-1.8.0.json

EXPORT is what the schema server of OCSF publishes at https://schema.ocsf.io/1.8.0/export/v2/schema; the Python package
`ocsf-json-schema` 1.2.0 carries the same file as `ocsf_json_schema/ocsf/1.8.0.json`. Nothing is changed but what is left
out: prose, other classes and objects, attributes of profiles that we do not claim. An attribute whose object is left out
stays, so that an event that uses it fails the check instead of passing unseen.
"""
import json
import sys

CLASSES = ["application_error", "application_lifecycle", "authentication", "datastore_activity", "detection_finding"]
OBJECTS = ["actor", "analytic", "attack", "authorization", "database", "evidences", "finding_info", "group", "metadata",
           "network_endpoint", "object", "policy", "product", "query_info", "related_event", "service", "session",
           "sub_technique", "table", "tactic", "technique", "user"]
PROFILES = {"security_control"}


def attribute(whole):
    kept = {name: whole[name] for name in ("type", "requirement", "is_array", "object_type", "sibling") if name in whole}
    if "enum" in whole:
        kept["enum"] = {value: whole["enum"][value]["caption"] for value in sorted(whole["enum"], key=lambda v: (len(v), v))}
    if "@deprecated" in whole:
        kept["deprecated"] = True
    return kept


def entity(whole):
    kept = {name: whole[name] for name in ("uid", "caption", "category_uid", "category_name", "constraints") if name in whole}
    kept["attributes"] = {
        name: attribute(whole["attributes"][name])
        for name in sorted(whole["attributes"])
        if not whole["attributes"][name].get("profiles") or PROFILES & set(whole["attributes"][name]["profiles"])
    }
    return kept


def main(path):
    with open(path, encoding="utf-8") as file:
        whole = json.load(file)
    types = whole["dictionary"]["types"]["attributes"]
    pruned = {
        "version": whole["version"],
        "profiles": sorted(PROFILES),
        "types": {name: {key: types[name][key] for key in ("type", "regex", "range", "max_len") if key in types[name]}
                  for name in sorted(types)},
        "classes": {name: entity(whole["classes"][name]) for name in CLASSES},
        "objects": {name: entity(whole["objects"][name]) for name in OBJECTS},
    }
    # A line for each entity: readable in a diff, a third of the size of the usual indentation.
    sections = []
    for section, content in pruned.items():
        if section in ("version", "profiles"):
            sections.append(f"{json.dumps(section)}: {json.dumps(content)}")
        else:
            lines = (f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in content.items())
            sections.append(f"{json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n}")
    print("{\n" + ",\n".join(sections) + "\n}")


if __name__ == "__main__":
    main(sys.argv[1])
