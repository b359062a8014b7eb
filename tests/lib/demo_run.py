"""demo_run - the demo, run unattended in a folder and on a port of its own.

Used by tests/e2e/test_demo_*.py.  Prints TAP.

    with demo_run.Demo(PROVIDERS="ec2,gce", MIGRATIONS="1") as d:
        d.up(); d.check_migrations(1); d.check_down()
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

from ports import free_port

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEMO = os.path.join(TOP, "tests", "demo", "demo")
n = failed = 0


def ok(good, name, detail=""):
    global n, failed
    n += 1
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", n, name), flush=True)
    if not good:
        for line in str(detail).splitlines()[-60:]:
            print("#   " + line)


def done():
    print("1..%d" % n)
    sys.exit(failed != 0)


def left_behind(folder):
    """Processes whose command line names the demo's folder, and mounts below it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read()
        except OSError:
            continue
        if folder.encode() in line and int(pid) != os.getpid():
            found.append(line.replace(b"\0", b" ").decode(errors="replace")[:200])
    with open("/proc/mounts") as f:
        found += [m for m in f.read().splitlines() if folder in m]
    return found


class Demo:
    def __init__(self, **env):
        # Short: sockets' paths have 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="scdemo.", dir="/tmp")
        self.env = dict(os.environ, SC_DEMO_FOLDER=self.folder, PORT=str(free_port()), **env)
        self.said = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([DEMO, "down"], env=self.env, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=120)
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def up(self, timeout=2200):
        """Whether it ended as it should; 'said' is all it said."""
        p = subprocess.run([DEMO, "up"], env=self.env, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=timeout)
        self.said = p.stdout
        print("\n".join("# " + line for line in self.said.splitlines()))
        return p.returncode == 0

    def check_migrations(self, count):
        """Each figure of the result against what a user may expect."""
        try:
            with open(self.path("result.json")) as f:
                result = json.load(f)
        except OSError:
            result = {"migrations": []}
        moves = result["migrations"]
        ok(len(moves) == count, "the VM migrated %d times" % count, result)
        ok(result.get("region_rtt_ms") == 75, "over a round trip of 75 ms", result)
        for i, m in enumerate(moves):
            which = "migration %d (%s to %s): " % (i + 1, m["from"], m["to"])
            ok(m["from"] != m["to"], which + "it changed its region", m)
            ok(m["connections_broken"] == 0, which + "no connection broken", m)
            ok(m["records_lost"] == 0, which + "no record lost", m)
            ok(m["ip_before"] == m["ip_after"] != "", which + "the same IP address", m)
            ok(0 < m["client_gap_ms"] < 30000, which + "the client saw a gap, and it ended", m)
            ok(m["guest_pause_ms"] < 30000, which + "so did the guest", m)
            ok(m["wan_memory_bytes"] > 1000000, which + "memory went over the WAN", m)

    def check_down(self):
        down = subprocess.run([DEMO, "down"], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        ok(down.returncode == 0 and not left_behind(self.folder),
           "ended, it leaves no process and no mount behind",
           "%s %s" % (down.stdout, left_behind(self.folder)))
