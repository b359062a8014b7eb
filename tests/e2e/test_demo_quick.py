#!/usr/bin/python3
"""The demo, unattended: two emulated providers boot the appliance image, the
second joins, a guest live-migrates under load.

Every figure of its result is checked against what a user may expect, and after
`demo down` no process of it is left.  SC_QUICK=1 (part of `make check`): one
migration; else five in a row, there and back.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEMO = os.path.join(TOP, "tests", "demo", "demo")
N = 1 if os.environ.get("SC_QUICK") else 5
n = failed = 0


def ok(good, name, detail=""):
    global n, failed
    n += 1
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", n, name), flush=True)
    if not good:
        for line in str(detail).splitlines()[-60:]:
            print("#   " + line)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


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


def main():
    # Short: sockets' paths have 107 bytes.
    folder = tempfile.mkdtemp(prefix="scdemo.", dir="/tmp")
    env = dict(os.environ, SC_DEMO_FOLDER=folder, PORT=str(free_port()), MIGRATIONS=str(N))
    try:
        p = subprocess.run([DEMO, "up"], env=env, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=2200)
        print("\n".join("# " + line for line in p.stdout.splitlines()))
        ok(p.returncode == 0, "the demo ends as it should", p.stdout)
        try:
            with open(os.path.join(folder, "result.json")) as f:
                result = json.load(f)
        except OSError:
            result = {"migrations": []}
        moves = result["migrations"]
        ok(len(moves) == N, "the VM migrated %d times" % N, result)
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
        down = subprocess.run([DEMO, "down"], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        ok(down.returncode == 0 and not left_behind(folder),
           "ended, it leaves no process and no mount behind", left_behind(folder))
    finally:
        subprocess.run([DEMO, "down"], env=env, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)
    print("1..%d" % n)
    sys.exit(failed != 0)


main()
