#!/usr/bin/env python3
"""The rules: one file each in doc/rules/, with examples in integration/rules/, and all that is made of them.

    rules/table.py names [ROOT]           one line a rule: name, whether it has examples
    rules/table.py cpp OUT DEPFILE        the table that is compiled into the programs (rules/rules.h)
    rules/table.py guide [ROOT]           writes the rules' part of doc/patch-author-guide.md
    rules/table.py check [ROOT]           prints FILE:LINE: what is wrong; exit 1 when something is

A file begins with lines "key: value", and after an empty line has Markdown: what the rule means, and a paragraph that
begins with "Instead:".

    group:     a chapter of the guide, below
    kind:      notice, warning, refusal or error; several with commas
    programs:  who says it
    summary:   one line
    ack:       yes: kpatch-build --ack takes it
    example:   "none: why"; else integration/rules/NAME/ has examples (integration/rules-run)
"""
import pathlib
import re
import sys

GROUPS = {
    "files": "Files of the patch",
    "code": "Code",
    "data": "Data and types",
    "lists": "Exports, and lists that the kernel reads",
    "links": "What code refers to",
    "cumulative": "Cumulative livepatches",
    "build": "The build",
    "audit": "The finished module",
    "test": "The test in a guest",
    "source": "Livepatches from source",
}
KINDS = ["notice", "warning", "refusal", "error"]
KEYS = {"group", "kind", "programs", "summary", "ack", "example"}
BEGIN = "<!-- rules: written by rules/table.py from doc/rules/, not to be edited here -->\n"
END = "<!-- end of rules -->\n"
NAME = r'"([a-z]+(?:-[a-z]+)*)"'

# How the sources name a rule: by a function that takes it, before a severity or behind one, in a table.
MENTIONS = [
    r"\b(?:refuse|refusal|warn|note|find|find_in|find_at|object_to|finding|fail|dropped)\(\s*(?:\w+,\s*)?(?:\*[^\"();]*\([^()]*\)->second,\s*)?"
    + NAME + r"\s*,",
    r"\{\s*" + NAME + r"\s*,\s*(?:\w+\s*\?\s*)?Severity::",
    r"(?:[{(]|^)\s*" + NAME + r"\s*,\s*(?:\w+\s*\?\s*)?Severity::",
    r"Severity::\w+,\s*" + NAME,
    r"Fate::refused,\s*" + NAME,
    r"sealed_rule = " + NAME,
    r"Finding \w+\{\s*" + NAME,
    r"\?\s*" + NAME + r"\s*:\s*" + NAME + r",\s*(?:chunk|fmt|place)",
]
# Folders whose programs have findings.
SOURCES = ["arch", "create-diff-object", "extract", "from-source", "kbuild", "kernel", "klp", "klp-build", "klpmake",
           "kpatch-build", "patch", "try", "verify"]


class Wrong(Exception):
    pass


class Rule:
    def __init__(self, root, file):
        self.file = file.relative_to(root)
        self.name = file.stem
        head, _, self.body = file.read_text().partition("\n\n")
        keys = {}
        for number, line in enumerate(head.split("\n"), 1):
            key, colon, value = line.partition(": ")
            if not colon or key not in KEYS or key in keys:
                raise Wrong(f"{self.file}:{number}: \"{line}\" is no \"key: value\" of a rule")
            keys[key] = value
        for key in ("group", "kind", "programs", "summary"):
            if not keys.get(key):
                raise Wrong(f"{self.file}:1: has no {key}")
        self.group, self.summary = keys["group"], keys["summary"]
        self.kinds = keys["kind"].split(", ")
        self.programs = keys["programs"].split(", ")
        self.acknowledgeable = keys.get("ack") == "yes"
        example = keys.get("example", "")
        if example and not example.startswith("none: "):
            raise Wrong(f"{self.file}:1: example: \"none: why\" is meant")
        self.no_example = example.removeprefix("none: ")
        if self.group not in GROUPS:
            raise Wrong(f"{self.file}:1: there is no group {self.group}")
        if not set(self.kinds) <= set(KINDS):
            raise Wrong(f"{self.file}:1: {keys['kind']} are no kinds of findings")
        if "\nInstead: " not in "\n" + self.body:
            raise Wrong(f"{self.file}:1: no paragraph begins with \"Instead:\"")
        self.folder = root / "integration/rules" / self.name
        self.examples = {side: self.text_of(side) for side in ("bad", "good")}
        for side, text in self.examples.items():
            if bool(text) == bool(self.no_example):
                raise Wrong(f"{self.file}:1: integration/rules/{self.name}/ has no {side} example, and no reason is given"
                            if not text else f"{self.file}:1: has a {side} example, and a reason why there is none")

    # As the guide shows it: the options, and the patch.
    def text_of(self, side):
        options, patch = self.folder / f"{side}.options", self.folder / f"{side}.patch"
        text = ""
        if options.exists():
            words = options.read_text().strip()
            text += f"kpatch-build {words}" + (" fix.patch\n" if patch.exists() else "\n")
            for word in re.findall(r"previous\.\w+", words):
                if (self.folder / word).exists():
                    text += f"\n{word}:\n" + (self.folder / word).read_text()
            if patch.exists():
                text += "\nfix.patch:\n"
        if patch.exists():
            text += patch.read_text()
        return text

    def sentences(self):
        """What the table says of the rule beside its text, as Markdown."""
        kinds = " or ".join(self.kinds)
        text = f"{kinds[0].upper()}{kinds[1:]} of {', '.join(f'`{p}`' for p in self.programs)}."
        if self.acknowledgeable:
            text += f" `--ack {self.name}` accepts it; the module records that."
        return text

    def section(self):
        text = f"### Rule `{self.name}`\n\n**{self.summary}.** {self.sentences()}\n\n"
        text += self.body.replace("\nInstead: ", "\n**Instead:** ").rstrip() + "\n"
        if self.no_example:
            return text + f"\nNo example: {self.no_example}.\n"
        for side, says in (("bad", "Bad:"), ("good", "Good:")):
            text += f"\n{says}\n\n```diff\n{self.examples[side]}```\n"
        return text


def read(root):
    rules, problems = [], []
    for file in sorted((root / "doc/rules").glob("*.md"), key=lambda path: path.stem):
        try:
            rules.append(Rule(root, file))
        except Wrong as wrong:
            problems.append(str(wrong))
    return rules, problems


def guide_part(rules):
    text = BEGIN
    for group, title in GROUPS.items():
        members = [rule for rule in rules if rule.group == group]
        text += f"\n## Rules: {title[0].lower()}{title[1:]}\n\n| rule | kind | |\n|---|---|---|\n"
        for rule in members:
            text += f"| [`{rule.name}`](#rule-{rule.name}) | {', '.join(rule.kinds)} | {rule.summary} |\n"
        for rule in members:
            text += "\n" + rule.section()
    return text + "\n" + END


def with_guide_part(text, part):
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Wrong("doc/patch-author-guide.md:1: has no place for the rules")
    return before + part + after


def literal(text):
    """A C++ string, in pieces, since compilers limit one."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("?", "\\?")
    return "\n     ".join(f'"{line}\\n"' for line in escaped.split("\n")[:-1]) or '""'


def line(text):
    return literal(text + "\n")[:-3] + '"'


def row(rule):
    return (f"    {{{line(rule.name)}, {line(GROUPS[rule.group])}, {line(', '.join(rule.kinds))}, {str(rule.acknowledgeable).lower()},\n"
            f"     {line(', '.join(rule.programs))},\n     {line(rule.summary)},\n     {literal(rule.body)},\n"
            f"     {line(rule.no_example)},\n     {literal(rule.examples['bad'])},\n"
            f"     {literal(rule.examples['good'])}}},\n")


def cpp(root, out, depfile):
    rules, problems = read(root)
    if problems:
        raise Wrong("\n".join(problems))
    pathlib.Path(out).write_text(
        '// Written by rules/table.py.\n#include "rules/rules.h"\n\n#include <array>\n\nnamespace kpatch {\nnamespace {\n\n'
        "constexpr auto rows = std::to_array<Rule>({\n" + "".join(row(rule) for rule in rules) +
        "});\n\n}  // namespace\n\nstd::span<const Rule> all_rules() { return rows; }\n\n}  // namespace kpatch\n")
    inputs = [root / "doc/rules", root / "integration/rules"]
    inputs += list((root / "doc/rules").glob("*.md")) + list((root / "integration/rules").glob("**/*"))
    pathlib.Path(depfile).write_text(f"{out}: {' '.join(str(path) for path in sorted(inputs))}\n")


def without_comments(text):
    return re.sub(r"//[^\n]*", "", text)


def mentions_in(text, patterns):
    """Of a source's text: (line, rule) for each rule that it names."""
    text = without_comments(text)
    for pattern in patterns:
        for match in re.finditer(pattern, text, re.MULTILINE):
            for name in match.groups():
                yield text.count("\n", 0, match.start()) + 1, name


def check(root):
    rules, problems = read(root)
    known = {file.stem for file in (root / "doc/rules").glob("*.md")}
    literals = set()
    for folder in SOURCES:
        for file in sorted((root / folder).glob("**/*.cc")) + sorted((root / folder).glob("**/*.h")):
            text = file.read_text()
            literals |= set(re.findall(NAME, without_comments(text)))
            for line, name in sorted(set(mentions_in(text, MENTIONS[1:] if folder == "kernel" else MENTIONS))):
                if name not in known:
                    problems.append(f"{file.relative_to(root)}:{line}: names rule {name}, which doc/rules/ doesn't have")
    for name in sorted(known - literals):
        problems.append(f"doc/rules/{name}.md:1: no program names this rule")
    for folder in sorted((root / "integration/rules").glob("*")):
        if folder.name not in known:
            problems.append(f"{folder.relative_to(root)}:1: examples of a rule that doc/rules/ doesn't have")
    guide = root / "doc/patch-author-guide.md"
    if not problems:
        try:
            text = guide.read_text()
            if with_guide_part(text, guide_part(rules)) != text:
                problems.append("doc/patch-author-guide.md:1: isn't what rules/table.py guide writes")
        except Wrong as wrong:
            problems.append(str(wrong))
    return problems


def main(arguments):
    what = arguments[1] if len(arguments) > 1 else ""
    own = pathlib.Path(__file__).resolve().parent.parent
    try:
        if what == "cpp" and len(arguments) == 4:
            cpp(own, *arguments[2:])
            return 0
        root = pathlib.Path(arguments[2]).resolve() if len(arguments) == 3 else own
        if what == "check" and len(arguments) <= 3:
            problems = check(root)
            print("".join(problem + "\n" for problem in problems), end="")
            return 1 if problems else 0
        if what in ("names", "guide") and len(arguments) <= 3:
            rules, problems = read(root)
            if problems:
                raise Wrong("\n".join(problems))
            if what == "names":
                for rule in rules:
                    print(rule.name, "-" if rule.no_example else "examples", ",".join(rule.kinds))
            else:
                guide = root / "doc/patch-author-guide.md"
                guide.write_text(with_guide_part(guide.read_text(), guide_part(rules)))
            return 0
    except Wrong as wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main(sys.argv))
