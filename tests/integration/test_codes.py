#!/usr/bin/python3
"""Every code that an instance can print is in docs/troubleshooting.md, and every
code there can be printed."""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = ("appliance", "cloud-init", "daemons", "console/http", "console/api")
CODE = re.compile(r"SC-[A-Z]\d\d")
n = failed = 0


def ok(good, name, why=""):
    global n, failed
    n += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {n} - {name}", flush=True)
    if not good:
        print("# " + str(why), flush=True)


def read(path):
    try:
        with open(os.path.join(TOP, path), encoding="utf-8") as f:
            return f.read()
    except UnicodeDecodeError:
        return ""


def printed():
    """{code: file} of the source; sc-join's are numbers in a table."""
    found = {}
    for top in SOURCES:
        for folder, _, files in os.walk(os.path.join(TOP, top)):
            for name in files:
                path = os.path.relpath(os.path.join(folder, name), TOP)
                if path.endswith((".md", ".pyc")) or "/examples/" in path:
                    continue
                for line in read(path).splitlines():
                    if not line.lstrip().startswith(("*", "/*", "//")):
                        found.update({c: path for c in CODE.findall(line)})
    join = re.findall(r"^    C\((\d+), [A-Z_]+,", read("daemons/join/fail.h"), re.M)
    found.update({f"SC-J{int(i):02}": "daemons/join/fail.h" for i in join})
    return found, len(join)


def rows(path):
    """Codes that begin a row of a table."""
    return re.findall(r"^\| (SC-[A-Z]\d\d) \|", read(path), re.M)


def main():
    found, joins = printed()
    table = rows("docs/troubleshooting.md")
    ok(joins == 12 and len(found) > joins + 8, "the source has codes", sorted(found))
    ok(len(table) == len(set(table)), "no code has two rows", table)
    missing = {c: f for c, f in found.items() if c not in table}
    ok(not missing, "every code of the source has a row in docs/troubleshooting.md", missing)
    gone = sorted(set(table) - set(found))
    ok(not gone, "every row is of a code that can be printed", gone)
    mentioned = sorted(set(CODE.findall(read("docs/troubleshooting.md"))) - set(table))
    ok(not mentioned, "no code is only mentioned", mentioned)
    joining = rows("docs/protocols/joining.md")
    ok(sorted(joining) == sorted(c for c in found if c.startswith("SC-J")),
       "docs/protocols/joining.md has exactly sc-join's codes", joining)
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
