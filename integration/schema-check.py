#!/usr/bin/env python3
"""Whether JSON files are what a JSON schema says: schema-check.py SCHEMA FILE...

References to other files ("report.schema.json#/$defs/finding") are looked for beside the schema alone, never in a network.
Prints FILE: PLACE: what is wrong, the first ten of each; exit 1 when something is.
"""
import json
import pathlib
import sys

import jsonschema


def main(schema_path, *paths):
    folder = pathlib.Path(schema_path).resolve().parent
    schema = json.loads(pathlib.Path(schema_path).read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    beside = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.schema.json")}
    resolver = jsonschema.RefResolver(base_uri=schema.get("id", ""), referrer=schema, store=beside)
    wrong = False
    for path in paths:
        document = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        for error in list(kind(schema, resolver=resolver).iter_errors(document))[:10]:
            place = "/".join(str(part) for part in error.absolute_path)
            print(f"{path}: {place}: {error.message[:300]}")
            wrong = True
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
