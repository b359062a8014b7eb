#!/usr/bin/python3
"""The source's network is cut in the middle of a migration: at most one of the
two places runs the guest, it comes back by itself when the link does, and no
acknowledged record is missing.

Twice: while memory flows, and when the guest stands still already and its disk
is being handed over.  (After COMMIT: test_cloud_commit_cut.py.)
A guest that waits for a block which only the other side has stands still until
the link is back (QEMU drains its disks when a migration fails); so no more is
asked of the source during the outage than that nobody else runs it.
Guards: what a source does to go on (node/migproto.c, go_on: THAW the disk, RESUME
the guest).
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import days                                            # noqa: E402
from cloud import Tap, wait_for                        # noqa: E402

tap = Tap()
OUTAGE_S = 14           # Longer than it takes everybody to notice (10 s, 3 heartbeats).


def cut_in(d, phase, name):
    """'hello' is at n2, so that the controller's own site stays."""
    watch = d.watch("hello")
    d.slow_link("n2", 40 if not phase else 8)
    job = d.start_migration("hello", "n1", phase)
    d.c.net.cut(d.c.node("n2").site)
    cut_at = time.monotonic()
    wait_for("n2 to be down", lambda: d.c.get("/nodes/n2")["state"] == "down", 20)
    time.sleep(max(0, OUTAGE_S - (time.monotonic() - cut_at)))
    there = watch.since(time.monotonic() - 2)
    moves = watch.moves()
    tap.ok(len(there) <= 1 and moves in (["n2"], ["n2", "n1"]),
           "%s: at most one place runs it while the link is away" % name, (there, moves))
    tap.ok(phase or moves == ["n2"], "%s: before COMMIT only the source" % name, moves)
    d.fast_link("n2")
    d.c.net.mend(d.c.node("n2").site)
    mended = time.monotonic()
    j = d.c.job_end(job, 60)
    print("# cut while %s: ran at %s; %.1f s after the link came back: job %s: %s" % (
        name, sorted(there), time.monotonic() - mended, j["state"], j["error"]))
    tap.ok(j["state"] in ("done", "failed"), "%s: the job ends when the link is back" % name, j)
    d.c.wait_nodes(2, 60)
    v = d.wait_running("hello")
    at = "n1" if j["state"] == "done" else "n2"
    tap.ok(v["node_name"] == at, "%s: the VM is where the job's end says" % name, (v, j))
    tap.ok(watch.runs_at() == {at}, "%s: it runs there and nowhere else" % name, watch.moves())
    tap.ok(days.whole(d.counting("hello")), "%s: with every record" % name, d.stat("hello"))
    tap.ok(watch.moves() in (["n2"], ["n2", "n1"]), "%s: it was never in two places" % name,
           watch.moves())
    watch.end()
    return at


def main():
    with days.Day("n2") as d:
        cut_in(d, None, "memory flows")
        at = cut_in(d, "stopped", "it stands still")
        j = d.migrate("hello", "n1" if at == "n2" else "n2")
        tap.ok(j["state"] == "done" and days.whole(d.counting("hello")),
               "and a later migration succeeds", j)
    tap.done()


main()
