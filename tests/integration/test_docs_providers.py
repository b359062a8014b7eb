#!/usr/bin/python3
"""docs/providers and the programs say the same: settings that a page names are the
driver's, limits of user-data agree, examples and links are there."""
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("SC_BUILD", os.path.join(TOP, "build")))
PAGES = os.path.join(TOP, "docs/providers")
n = failed = 0


def ok(good, name, why=""):
    global n, failed
    n += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {n} - {name}", flush=True)
    if not good:
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def adds(text):
    """(driver, keys) of each 'provider add' command that a page shows."""
    for command in re.findall(r"supercloud provider add((?:[^\n`]|\\\n)*)", text):
        words = command.replace("\\\n", " ").split()
        if len(words) > 1:
            yield words[1], set(re.findall(r"--set '?([a-z_]+)=", command))


def main():
    out = subprocess.run([BUILD + "/bin/sc-provider", "drivers"], stdout=subprocess.PIPE, check=True)
    drivers = {d["name"]: d for d in json.loads(out.stdout)}
    pages = {p: read(os.path.join(PAGES, p)) for p in sorted(os.listdir(PAGES)) if p.endswith(".md")}
    ok({"README.md", "ec2.md", "gce.md", "azure.md", "rackspace.md", "openstack.md", "local.md"} <= set(pages),
       "every provider has its page", sorted(pages))
    shown = set()
    for page, text in pages.items():
        for driver, keys in adds(text):
            if driver not in drivers:
                print(f"# {page}: driver {driver} is not in this tree")
                continue
            shown.add(driver)
            fields = {f["name"]: f for f in drivers[driver]["fields"]}
            wrong = sorted(k for k in keys if k not in fields or fields[k]["secret"])
            ok(not wrong, f"{page}: the settings for {driver} are its own, and no secret is among them", wrong)
    ok(len(shown) >= 3, "pages show how to add an account", shown)

    source = read(os.path.join(TOP, "daemons/controller/user_data.c"))
    nova = 65535 // 4 * 3
    for name, limit in re.findall(r'^    \{ "([a-z0-9-]+)", (\w+),', source, re.M):
        want = nova if limit == "NOVA_MAX" else int(limit)
        if name in drivers:
            ok(drivers[name]["user_data_max"] == want, f"{name}: the driver takes as much user-data as is rendered for it",
               (drivers[name]["user_data_max"], want))

    broken = []
    for folder, _, files in os.walk(os.path.join(TOP, "docs")):
        for name in files:
            if not name.endswith(".md"):
                continue
            path = os.path.join(folder, name)
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(path)):
                if not os.path.exists(os.path.join(folder, link)):
                    broken.append(f"{os.path.relpath(path, TOP)}: {link}")
    ok(not broken, "every link among the documents leads somewhere", "\n".join(broken))
    anchors = re.findall(r"^## (.+)$", pages["README.md"], re.M)
    used = {a for t in pages.values() for a in re.findall(r"README\.md#([a-z-]+)", t)}
    ok(used <= {a.lower().replace(" ", "-") for a in anchors}, "links to a section find it", used)
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
