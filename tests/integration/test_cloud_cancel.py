#!/usr/bin/python3
"""A user cancels jobs of a real cloud: a migration over a slow WAN in the middle
(the guest goes on at its source, nothing is left at the destination), the
controller killed -9 right after, a creation; and what is too late or never can
be cancelled is refused with the reason.

Guards: controller/jobs.c (a cancel is stored before anything is done about it),
migrate_ask of controller/vm_migrate.c (the destination decides), drop_vm.
"""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import days                                            # noqa: E402
import nodes                                           # noqa: E402
from cloud import Tap, wait_for                        # noqa: E402

tap = Tap()


def cancel(d, job):
    return d.c.api("POST", "/jobs/%s/cancel" % job, {})


def expect_at_source(d, watch, vm_id, j, how):
    print("# " + j["error"])
    tap.ok(j["state"] == "cancelled" and "cancelled by admin" in j["error"] and "n1" in j["error"],
           how + ": the job ends as cancelled", j)
    v = d.wait_running("hello")
    tap.ok(v["node_name"] == "n1" and not v["error"], how + ": the VM is at its source", v)
    tap.ok(days.whole(d.counting("hello")), how + ": it goes on there, and has all its records")
    to = d.c.node("n2")
    wait_for("the destination to let go of it", lambda: not days.guests(to, vm_id), 30)
    state = nodes.rpc(os.path.join(to.run_dir, "sc-node.sock"), "vm.migrate_query",
                      vm_id=vm_id, migration_id=j["id"])["state"]
    tap.ok(state == "cancelled", how + ": the destination has promised never to run it", state)
    tap.ok(watch.moves() == ["n1"], how + ": it never ran anywhere else", watch.moves())


def in_the_middle(d):
    vm = d.c.vm("hello")
    watch = d.watch("hello")
    d.slow_link("n2", 20)
    job = d.start_migration("hello", "n2")
    shown = d.c.job(job)
    tap.ok(shown["may_cancel"] and "goes on" in shown["cancel_note"],
           "a migration under way says that it may be cancelled, and what then", shown)
    answers = []
    more = [threading.Thread(target=lambda: answers.append(cancel(d, job))) for _ in range(2)]
    for t in more:
        t.start()
    for t in more:
        t.join()
    tap.ok([a[0] for a in answers] == [202, 202], "cancelled twice at once is one cancel", answers)
    began = time.monotonic()
    j = d.c.job_end(job, 60)
    print("# cancelled within %.1f s" % (time.monotonic() - began))
    expect_at_source(d, watch, vm["id"], j, "cancelled in the middle")
    tap.ok(sum("asked to cancel" in line["text"] for line in j["log"]) == 1,
           "the log says it once", j["log"])
    status, a = cancel(d, job)
    tap.ok(status == 409 and "it is cancelled" in a["error"]["message"],
           "a job that has ended is refused, with its state", (status, a))

    job = d.start_migration("hello", "n2")
    status, a = cancel(d, job)
    d.c.nodes[0].kill("sc-controller", signal.SIGKILL)
    d.c.nodes[0].start("sc-controller")
    d.c.wait_api()
    j = d.c.job_end(job, 60)
    tap.ok(status == 202, "cancelled, and the controller killed at once", a)
    expect_at_source(d, watch, vm["id"], j, "the controller was killed")
    d.c.wait_nodes(2, 60)
    d.fast_link("n2")
    wait_for("sc-network's switches", lambda: all("true" in n.site.vsctl(
        "--bare", "--columns=is_connected", "list", "controller") for n in d.c.nodes), 30)
    return watch


def too_late(d, watch):
    """The destination has its word, but cannot start the guest yet."""
    vm = d.c.vm("hello")
    d.slow_link("n2", 40)
    job = d.start_migration("hello", "n2", "handover")
    storage = d.c.node("n2").pid("sc-storage")
    os.kill(storage, signal.SIGSTOP)
    try:
        wait_for("COMMIT", lambda: nodes.rpc(
            os.path.join(d.c.node("n2").run_dir, "sc-node.sock"), "vm.migrate_query",
            vm_id=vm["id"], migration_id=job)["state"] == "running", 20, 0.01)
        status, a = cancel(d, job)
    finally:
        os.kill(storage, signal.SIGCONT)
    d.fast_link("n2")
    print("# " + a.get("error", {}).get("message", "?"))
    tap.ok(status == 409 and "too late" in a["error"]["message"] and "n2" in a["error"]["message"],
           "after the moment of commitment it is too late, and says so and why", (status, a))
    j = d.c.job_end(job, 60)
    tap.ok(j["state"] == "done" and not j["cancel_at"] and j["result"]["pause_ms"],
           "that migration ends well, with its figures", j)
    v = d.wait_running("hello")
    tap.ok(v["node_name"] == "n2" and days.whole(d.counting("hello")) and
           watch.moves() == ["n1", "n2"], "and it was never in two places", watch.moves())


def others(d):
    p = d.c.cli_raw("vm", "create", "unwanted", "--image", "guest", "--network", "net1",
                    "--memory", "128", "--node", "n1")
    job = p.stdout.strip()
    p = d.c.cli_raw("job", "cancel", job, "--wait")
    tap.ok(p.returncode == 0 and "cancelled" in p.stdout, "a creation is cancelled", p)
    left = [v["name"] for v in d.c.get("/vms")["vms"]]
    tap.ok(left == ["hello"], "and leaves no VM", left)
    job = d.c.cli("vm", "delete", "hello")["job"]["id"]
    status, a = cancel(d, job)
    tap.ok(status == 409 and ("cannot be cancelled" in a["error"]["message"] or
                              "it is done" in a["error"]["message"]),
           "a deletion is not", (status, a))
    tap.ok(d.c.job_end(job, 60)["state"] == "done", "it goes through")
    for n in d.c.nodes:
        wait_for("no guest at " + n.name, lambda: not days.guests(n, ""), 30)
    tap.ok(True, "and no guest is left at any node")


def main():
    with days.Day("n1") as d:
        watch = in_the_middle(d)
        too_late(d, watch)
        watch.end()
        others(d)
    tap.done()


main()
