#!/usr/bin/python3
"""The source's network is cut after COMMIT, before the destination's answer: the
source must not run the guest any more, whatever it thinks of the link; the
destination runs it; and when the link is back the job is finished.

Guards: SRC_UNCERTAIN of node/migproto.c, and the resolver of the controller
(migrate_decide: the destination runs it -> forward, release the source).
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import days                                            # noqa: E402
import nodes                                           # noqa: E402
from cloud import Tap, wait_for                        # noqa: E402

tap = Tap()
SILENCE_S = 9           # A link is given up after 8 s.


def query(d, node, vm_id, job):
    return nodes.rpc(os.path.join(d.c.node(node).run_dir, "sc-node.sock"), "vm.migrate_query",
                     vm_id=vm_id, migration_id=job)["state"]


def cut_after_commit(d):
    """The destination's sc-storage is stopped once the disk is handed over, while
    the last pages come: then COMMIT is sent, but the guest cannot be started."""
    vm = d.c.vm("hello")
    source, to = "n2", "n1"
    watch = d.watch("hello")
    d.slow_link(source)
    job = d.start_migration("hello", to, "handover")
    storage = d.c.node(to).pid("sc-storage")
    os.kill(storage, signal.SIGSTOP)
    try:
        state = wait_for("COMMIT", lambda: query(d, source, vm["id"], job) != "sending" and
                         query(d, source, vm["id"], job), 20, 0.01)
        d.c.net.cut(d.c.node(source).site)
        if not tap.ok(state == "uncertain", "the link was cut before the answer",
                      state):
            return
        time.sleep(SILENCE_S)                          # Now the source has seen it.
        at = time.monotonic()
        time.sleep(1.5)
        tap.ok(not watch.since(at) and query(d, source, vm["id"], job) == "uncertain",
               "nobody runs it while it is not clear who may", watch.moves())
    finally:
        os.kill(storage, signal.SIGCONT)
    tap.ok(watch.runs_at() == {to}, "the destination runs it, the source does not",
           watch.moves())
    d.fast_link(source)
    d.c.net.mend(d.c.node(source).site)
    j = d.c.job_end(job, 60)
    tap.ok(j["state"] == "done", "the job is finished when the link is back", j)
    d.c.wait_nodes(2, 60)
    v = d.wait_running("hello")
    tap.ok(v["node_name"] == to and days.whole(d.counting("hello")),
           "it runs there, with every record", (v, d.stat("hello")))
    wait_for("the source to let go of it",
             lambda: not days.guests(d.c.node(source), vm["id"]), 30)
    tap.ok(watch.moves() == [source, to], "it was never in two places",
           watch.moves())
    watch.end()


def main():
    with days.Day("n2") as d:
        cut_after_commit(d)
        for n in d.c.nodes:      # The switches have to come back, too.
            wait_for("the switch of " + n.name, lambda: "true" in n.site.vsctl(
                "--bare", "--columns=is_connected", "list", "controller"), 30)
        j = d.migrate("hello", "n2")
        tap.ok(j["state"] == "done" and days.whole(d.counting("hello")),
               "and a later migration succeeds", j)
    tap.done()


main()
