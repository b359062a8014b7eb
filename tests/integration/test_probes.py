#!/usr/bin/python3
"""What sc-node finds out about its machine and tells the controller, and what
the path to another node carries: a path that drops large packets without a
word is found.

Two real sc-node in network namespaces, over the fake hypervisor; the
controller is a small one that prints what it is told.
"""
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import netns                                            # noqa: E402
import nodes                                            # noqa: E402
from netns import sh, wait_for                          # noqa: E402

NAMES = ["cpuid-faulting", "kvm", "clock", "disk", "nic", "mtu"]
CONTROLLER = nodes.BUILD + "/bin/sc-net-controller"
PATH_MTU = 1322
tap = nodes.Tap()


class Controller:
    def __init__(self, site, pki):
        self.child = subprocess.Popen(
            site.cmd(CONTROLLER, "serve", "0.0.0.0:7443", pki, "/nonexistent"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = []
        threading.Thread(target=self._read, daemon=True).start()
        wait_for("the controller", lambda: self.events)

    def _read(self):
        for line in self.child.stdout:
            self.events.append(json.loads(line))

    def notify(self, method, params):
        self.child.stdin.write(json.dumps({"method": method, "params": params}) + "\n")
        self.child.stdin.flush()

    def heard(self, event):
        return [e.get("data") for e in list(self.events) if e["event"] == event]

    def end(self):
        self.child.kill()
        self.child.wait()


def start(net, site, pki, node_id, nid):
    folder = os.path.join(net.dir, "w%d" % nid)
    for d in ("run", "state"):
        os.makedirs(os.path.join(folder, d))
    config = os.path.join(folder, "c.json")
    with open(config, "w") as f:
        json.dump({"node_id": node_id, "nid": nid, "name": "n%d" % nid, "region": "r", "provider": "local",
                   "roles": ["node"], "controller": {"host": "10.200.0.1", "port": 7443},
                   "address": site.ip, "run_dir": folder + "/run", "state_dir": folder + "/state",
                   "pki_dir": pki + "/" + node_id, "hypervisor": "fake", "datapath": "netdev"}, f)
    site.popen("/usr/bin/python3", nodes.LIB + "/fake_storage.py", folder + "/run", folder,
               folder + "/calls")
    return site.popen(nodes.BUILD + "/bin/sc-node", "--config", config, log="node-%d.log" % nid)


def main():
    with netns.Net() as net:
        a, b = (net.site("m%d" % i, "10.200.0.%d" % i, ovs=False) for i in (1, 2))
        for s in (a, b):
            s.ip_cmd("link", "set", "lo", "up")
        # The way to b is narrow, and nobody says so.
        net.wan.ip_cmd("link", "set", "s-" + b.name, "mtu", str(PATH_MTU))
        ids = [str(uuid.uuid4()) for _ in (a, b)]
        pki = os.path.join(net.dir, "pki")
        sh(CONTROLLER, "pki", pki, *ids)
        c = Controller(a, pki)
        try:
            start(net, b, pki, ids[1], 2)
            # It will not reach the controller, whose large packets are lost too.
            wait_for("the other node", lambda: os.path.exists(
                os.path.join(net.dir, "w2", "run", "sc-node.sock")))
            started = time.monotonic()
            node = start(net, a, pki, ids[0], 1)
            wait_for("hello", lambda: [h for h in c.heard("hello") if h["node_id"] == ids[0]])
            hello = [h for h in c.heard("hello") if h["node_id"] == ids[0]][0]
            tap.ok("probes" not in hello, "the first hello waits for no probe (%.1f s)" % (
                time.monotonic() - started))
            c.notify("peers", {"peers": [
                {"node_id": i, "nid": n, "address": s.ip, "up": True}
                for n, (i, s) in enumerate(zip(ids, (a, b)), 1)]})

            def report():
                for r in c.heard("node.probes"):
                    mtu = [p for p in r["probes"] if p["name"] == "mtu"]
                    if mtu and "node 2" in mtu[0]["value"]:
                        return r
                return None
            r = wait_for("the probes", report, 60)
            probes = {p["name"]: p for p in r["probes"]}
            tap.ok([p["name"] for p in r["probes"]] == NAMES and all(
                p["value"] and p["ok"] == (p["why"] == "") for p in r["probes"]),
                "every probe has a result, and a reason if it is not well", r)
            tap.ok(abs(r["at"] / 1000 - time.time()) < 120, "the report has its time", r["at"])
            tap.ok("%d bytes reach node 2" % PATH_MTU in probes["mtu"]["value"] and
                   not probes["mtu"]["ok"] and "mtu %d" % (PATH_MTU - 50) in probes["mtu"]["why"],
                   "a path that drops packets above %d bytes is found" % PATH_MTU, probes["mtu"])
            tap.ok(probes["nic"]["value"].startswith("phy0: "),
                   "the interface is the one with the node's address", probes["nic"])
            tap.ok(probes["clock"]["ok"] and "give or take" in probes["clock"]["value"],
                   "the clock is compared with the controller's", probes["clock"])
            tap.ok("MiB/s" in probes["disk"]["value"], "the disk is measured", probes["disk"])
            for p in r["probes"]:
                print("# %-15s %s %s" % (p["name"], "ok " if p["ok"] else "BAD", p["value"]))
            kids = subprocess.run(["pgrep", "-P", str(node.pid)], stdout=subprocess.PIPE,
                                  text=True).stdout.split()
            tap.ok(not kids, "no process is left of it", kids)
            c.end()
            c = Controller(a, pki)
            again = wait_for("hello again", lambda: [
                h for h in c.heard("hello") if h["node_id"] == ids[0]], 30)[0]
            tap.ok([p["name"] for p in again.get("probes", {}).get("probes", [])] == NAMES,
                   "a controller that is there anew gets them with hello", again)
            os.kill(node.pid, signal.SIGTERM)
            node.wait(20)
            tap.ok(True, "sc-node ends")
        except BaseException:
            for n in (1, 2):
                path = os.path.join(net.dir, "node-%d.log" % n)
                if os.path.exists(path):
                    print("# --- %s" % path)
                    with open(path, errors="replace") as f:
                        for line in f.read().splitlines()[-15:]:
                            print("#   " + line[:300])
            raise
        finally:
            c.end()
    tap.done()


main()
