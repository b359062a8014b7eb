#!/usr/bin/python3
"""The destination machine loses its power in the middle of a migration: the guest
goes on at the source, the job fails with the reason, and when the machine is
back it does not run the guest, but can take it.

Guards: the silence limit of a migration's link (node/migconn.c; what follows it
in migproto.c is doubled by the engine's own error on its cut stream) and the
roll-back of controller/migrate_decide.c (the source says 'resumed').
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import days                                            # noqa: E402
from cloud import Tap, wait_for                        # noqa: E402

tap = Tap()


def main():
    with days.Day("n1") as d:
        vm = d.c.vm("hello")
        watch = d.watch("hello")
        d.slow_link("n2")
        job = d.start_migration("hello", "n2")
        began = time.monotonic()
        d.kill_machine("n2")
        j = d.c.job_end(job, 60)
        print("# the job ended %.1f s after the power" % (time.monotonic() - began))
        tap.ok(j["state"] == "failed" and j["error"] and "n1" in j["error"],
               "the destination killed in the middle: the job fails with the reason", j)
        print("# " + j["error"])
        v = d.wait_running("hello")
        tap.ok(v["node_name"] == "n1", "the VM is at its source", v)
        tap.ok(days.whole(d.counting("hello")), "goes on there, and has all its records")
        tap.ok(watch.runs_at() == {"n1"} and watch.moves() == ["n1"], "it never stopped to be there",
               watch.moves())
        d.boot_machine("n2")
        d.fast_link("n2")
        d.c.wait_nodes(2, 60)
        tap.ok(not days.guests(d.c.node("n2"), vm["id"]) and watch.moves() == ["n1"],
               "the machine that comes back does not run it")
        wait_for("sc-network at n2", lambda: "true" in d.c.node("n2").site.vsctl(
            "--columns=is_connected", "list", "controller"), 30)
        j = d.migrate("hello", "n2")
        tap.ok(j["state"] == "done", "but takes it when asked again", j)
        tap.ok(days.whole(d.counting("hello")), "with all its records")
        tap.ok(watch.moves() == ["n1", "n2"], "and it was never in two places", watch.moves())
        watch.end()
    tap.done()


main()
