#!/usr/bin/env python3
"""tidy-keys.py BUILD: "FILE KEY" for each of our .cc files that clang-tidy looks at, one line each.

The key is a digest of all that clang-tidy's word on the file rests on: its version and settings, the compile command, and
every file that the compiler read, headers of the system too, as ninja noted it; "-" where nothing is known of that.
BUILD is a folder that was built.
"""
import hashlib
import json
import pathlib
import subprocess
import sys


def digest(*parts):
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.hexdigest()


def main(build):
    digests = {}

    def of_file(name):
        if name not in digests:
            digests[name] = digest((build / name).read_bytes())
        return digests[name]

    read = {}  # by object: the files that were read for it
    deps = subprocess.run(["ninja", "-C", build, "-t", "deps"], check=True, capture_output=True, text=True).stdout
    for line in deps.splitlines():
        if line.startswith("    "):
            names.append(line.strip())
        elif line:
            names = read.setdefault(line.split(": ")[0], [])

    version = subprocess.run(["clang-tidy-14", "--version"], check=True, capture_output=True).stdout
    settings = pathlib.Path(".clang-tidy").read_bytes()
    done = set()
    for unit in json.loads((build / "compile_commands.json").read_text()):
        name, output = unit["file"], unit["output"]
        if not name.startswith("../") or name[3:].startswith(("unit/", "fuzz/")) or name in done:
            continue
        done.add(name)
        files = [f"{file} {of_file(file)}".encode() for file in sorted(set(read.get(output, [])))]
        print(name[3:], digest(version, settings, unit["command"].encode(), *files)[:32] if files else "-")


main(pathlib.Path(sys.argv[1]).resolve())
