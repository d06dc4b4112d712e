#!/usr/bin/env python3
"""What a report's page must be: well formed, whole without a network, and with the instructions of both sides.

    report-check.py PAGE FUNCTION TEXT…    each TEXT is in the patched column of the function's listing, and not in the original one
"""
import html.parser
import sys

VOID = {"meta", "input", "br", "col", "img", "link", "hr", "wbr"}
# Whose end tags HTML lets one leave out.
OPTIONAL = {"td", "th", "tr", "tbody", "thead", "colgroup", "li", "dt", "dd", "p"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.errors, self.ids, self.targets = [], [], set(), []
        self.scripts = self.policies = 0
        self.listing = self.column = self.name = None
        self.columns = {}  # by function: texts of the original and of the patched column

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.scripts += tag == "script"
        self.policies += attributes.get("http-equiv") == "Content-Security-Policy"
        if tag in {"img", "link", "iframe", "object", "embed"} or "src" in attributes:
            self.errors.append(f"{self.getpos()}: fetches: {tag}")
        if "id" in attributes:
            if attributes["id"] in self.ids:
                self.errors.append(f"{self.getpos()}: a second {attributes['id']}")
            self.ids.add(attributes["id"])
        if tag == "a" and attributes.get("href", "").startswith("#"):
            self.targets.append(attributes["href"][1:])
        if tag == "details" and attributes.get("id", "").startswith("f"):
            self.name = attributes["data-find"].split()[0]
            self.columns[self.name] = ([], [])
        if tag == "tr":
            self.column = -1
        if tag == "td" and self.column is not None:
            self.column += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open[-1] != tag and self.open[-1] in OPTIONAL:
            self.open.pop()
        if not self.open or self.open.pop() != tag:
            self.errors.append(f"{self.getpos()}: </{tag}> ends nothing")

    def handle_data(self, data):
        if self.name and "td" in self.open and self.column in (1, 3):
            self.columns[self.name][self.column // 2].append(data)


def main(path, function, *texts):
    page = Page()
    with open(path, encoding="utf-8") as file:
        page.feed(file.read())
    page.close()
    errors = page.errors + [f"{tag} isn't closed" for tag in page.open]
    errors += [f"#{target} is nowhere" for target in page.targets if target not in page.ids]
    if page.scripts != 1 or page.policies != 1:
        errors.append(f"{page.scripts} scripts, {page.policies} policies")
    original, patched = ("".join(side) for side in page.columns.get(function, ([], [])))
    for text in texts:
        if text not in patched:
            errors.append(f"{function}: not in the patched code: {text}")
        if text in original:
            errors.append(f"{function}: in the original code: {text}")
    if function not in page.columns or not original:
        errors.append(f"{function}: no listing")
    print(*errors, sep="\n")
    return 1 if errors else 0


sys.exit(main(*sys.argv[1:]))
