#!/usr/bin/python3
"""sc-storage is killed with kill -9 under write load, several times: no
acknowledged write is lost.  The guest writes records with fsync and reads them
all back past its page cache, all the time.

Then the same while the VM migrates: the migration ends one way or the other,
and nothing is lost either.  At last the VM is stopped and started again from
what is on the disk.  Guards: the replay of the journal (storage/bstore_open.c,
apply_group), the commit before a FLUSH is answered (volume_io.c, drop; together
with bstore_recent_replay, either of which saves what was answered from kill -9),
and the guest's wait for its disk (hypervisor/qemu_args.h, QEMU_RECONNECT_S).
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import days                                            # noqa: E402
from cloud import Tap                                  # noqa: E402

tap = Tap()
TIMES = 4


def restart(d, node, away_s=0.2):
    n = d.c.node(node)
    n.kill("sc-storage")
    time.sleep(away_s)
    n.start("sc-storage")


def main():
    with days.Day("n1") as d:
        d.counting("hello")
        for i in range(TIMES):
            before = d.stat("hello")["seq"]
            restart(d, "n1", 0.2 * i)
            s = d.counting("hello", 90)
            tap.ok(days.whole(s) and s["seq"] > before,
                   "sc-storage killed under write load, time %d: every record is there" % (i + 1), s)
        d.c.wait_nodes(2)
        watch = d.watch("hello")
        d.slow_link("n2", 60)
        job = d.start_migration("hello", "n2")
        restart(d, "n1")
        j = d.c.job_end(job, 90)
        d.fast_link("n2")
        print("# killed in a migration: job %s %s" % (j["state"], j["error"]))
        v = d.wait_running("hello")
        tap.ok(v["node_name"] == ("n2" if j["state"] == "done" else "n1"),
               "killed at the source of a migration: the VM is where the job's end says", (v, j))
        s = d.counting("hello", 90)
        tap.ok(days.whole(s), "with every record", s)
        tap.ok(watch.moves() in (["n1"], ["n1", "n2"]), "and never in two places", watch.moves())
        watch.end()
        acked = d.stat("hello")["seq"]
        j = d.c.job_of(d.c.cli("vm", "stop", "hello", "--force"))
        tap.ok(j["state"] == "done", "the VM is cut off", j)
        j = d.c.job_of(d.c.cli("vm", "start", "hello"))
        tap.ok(j["state"] == "done", "and started again", j)
        s = d.first_words("hello")
        s = d.counting("hello", 90)
        tap.ok(days.whole(s) and s["seq"] >= acked,
               "its disk has every record it ever acknowledged", (acked, s))
    tap.done()


main()
