#!/usr/bin/python3
"""A spot instance that is taken back, in a whole Supercloud: from the (emulated)
metadata service of its provider to the API and the scheduler in less than two
seconds; and what nodes found out about themselves is there too.  Guests are fake."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import metadata                                         # noqa: E402

PORT = 8775
LIMIT_S, LOADED_S = 2.0, 15.0

if sys.argv[1:] == ["--emulate"]:                       # Inside the node's namespace.
    service = metadata.service(metadata.Instance({"like": "ec2", "name": "n2"}))
    metadata.serve(service, "127.0.0.1", PORT)
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        at = time.monotonic()
        service.notice(json.loads(line))
        print(json.dumps({"at": at}), flush=True)
    sys.exit(0)

import subprocess                                       # noqa: E402

import cloud                                            # noqa: E402
from cloud import Tap, wait_for                         # noqa: E402

tap = Tap()


class Service:
    def __init__(self, site):
        self.child = subprocess.Popen(
            site.cmd("/usr/bin/python3", os.path.abspath(__file__), "--emulate"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.child.stdout.readline()

    def say(self, what):
        self.child.stdin.write(json.dumps(what) + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())["at"]

    def end(self):
        self.child.kill()
        self.child.wait()


def images(c):
    folder = os.path.join(c.net.dir, "images")
    os.makedirs(folder)
    for name, size in (("vmlinuz", 4096), ("initrd.img", 4096), ("disk.raw", 1 << 20)):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(os.urandom(4096))
            f.truncate(size)
    c.guest_images(folder)
    c.cli("network", "create", "net", "10.77.0.0/24")


def create(c, name, *args):
    p = c.cli_raw("-o", "json", "vm", "create", name, "--image", "guest", "--network", "net",
                  "--memory", "64", *args)
    return p.returncode, p.stdout, p.stderr


def journey(c, service):
    def notice():
        return [n for n in c.get("/nodes")["nodes"] if n["name"] == "n2"][0].get("notice")

    times = []
    for action in ("terminate", "stop", "hibernate"):
        at = service.say({"kind": "spot", "action": action, "in_s": 120})
        wait_for("the notice", lambda: (notice() or {}).get("action") == action, 30, 0.02)
        times.append(time.monotonic() - at)
        n = notice()
        tap.ok(n["kind"] == "revocation" and n["source"] == "ec2-spot-action" and n["text"],
               "the API has the node's notice: %s" % n["text"], n)
        if action == "stop":
            code, out, err = create(c, "there", "--node", "n2")
            tap.ok(code != 0, "no VM is begun on a node that is taken back", out)
            code, out, err = create(c, "anywhere")
            tap.ok(code == 0 and c.job_of(json.loads(out))["state"] == "done" and
                   c.vm("anywhere")["node_name"] == "n1", "the scheduler takes another one", err or out)
        service.say({"kind": "clear"})
        wait_for("its end", lambda: (notice() or {"kind": "none"})["kind"] == "none", 30, 0.02)
    tap.ok(min(times) < LIMIT_S and max(times) < LOADED_S, "from the metadata service to the API in less "
           "than %.0f s (%s)" % (LIMIT_S, ", ".join("%.2f" % t for t in times)), times)
    code, out, err = create(c, "later", "--node", "n2")
    tap.ok(code == 0, "once it is taken back, the node gets VMs again", err)

    def probes():
        found = {n["name"]: {p["name"]: p for p in n.get("probes") or []} for n in c.get("/nodes")["nodes"]}
        return found if all("mtu" in p for p in found.values()) else None
    found = wait_for("the probes of both nodes", probes, 90)
    want = {"cpuid-faulting", "kvm", "clock", "disk", "nic", "mtu"}
    tap.ok(all(want <= set(p) for p in found.values()), "every node's probes are in the API",
           {k: sorted(v) for k, v in found.items()})


def main():
    with cloud.Cloud(hypervisor="fake") as c:
        c.start()
        second = c.nodes[1]
        service = Service(second.site)
        try:
            second.tune(metadata="ec2", metadata_endpoint="127.0.0.1:%d" % PORT)
            second.kill("sc-node")
            second.start("sc-node")
            c.wait_nodes(2)
            images(c)
            journey(c, service)
        finally:
            service.end()
    tap.done()


main()
