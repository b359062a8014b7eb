#!/usr/bin/python3
"""The controller is killed with kill -9 in the middle of a job, restarted, and
finishes the job or rolls it back; the guest does not notice.

While memory flows (it asks both sides and goes on as they say), right after a
migration was asked for, and right after a VM was created.
Guards: jobs_resume() of controller/jobs.c; the step that is begun again asks
both sides of a migration (vm_migrate.c, resolve), and makes a VM only once.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import days                                            # noqa: E402
from cloud import Tap                                  # noqa: E402

tap = Tap()


def restart(d):
    d.c.nodes[0].kill("sc-controller")
    d.c.nodes[0].start("sc-controller")
    d.c.wait_api()


def in_transfer(d, watch):
    d.slow_link("n2")
    job = d.start_migration("hello", "n2")
    d.c.nodes[0].kill("sc-controller")
    time.sleep(1)
    d.c.nodes[0].start("sc-controller")
    d.c.wait_api()
    d.fast_link("n2")
    ended_well(d, watch, job, "n1", "n2", "killed while memory flows")


def ended_well(d, watch, job, source, destination, name):
    j = d.c.job_end(job, 90)
    tap.ok(j["state"] in ("done", "failed"), "%s: restarted, it ends the job" % name, j)
    print("# %s: job %s %s" % (name, j["state"], j["error"]))
    d.c.wait_nodes(2, 60)
    v = d.wait_running("hello")
    at = destination if j["state"] == "done" else source
    tap.ok(v["node_name"] == at, "%s: the VM is where the job's end says" % name, (v, j))
    tap.ok(watch.runs_at() == {at}, "%s: it runs there and nowhere else" % name, watch.moves())
    tap.ok(days.whole(d.counting("hello")), "%s: with every record" % name, d.stat("hello"))
    return at


def at_once(d, watch):
    """Before, in or after its first steps; the answer to the user was durable."""
    source = d.c.vm("hello")["node_name"]
    to = "n2" if source == "n1" else "n1"
    job = d.c.cli("vm", "migrate", "hello", to)["job"]["id"]
    restart(d)
    ended_well(d, watch, job, source, to, "killed when it had promised a migration")


def creating(d):
    answer = d.c.cli("vm", "create", "second", "--image", "guest", "--network", "net1",
                     "--memory", "128", "--node", "n2")
    restart(d)
    j = d.c.job_end(answer["job"]["id"], 90)
    v = d.c.vm("second")
    tap.ok(j["state"] == "done" and v["state"] == "running" and v["node_name"] == "n2",
           "killed when it had promised a VM: restarted, it makes it", (j, v))
    tap.ok(len(days.guests(d.c.node("n2"), v["id"])) == 1, "once")
    j = d.c.job_of(d.c.cli("vm", "delete", "second"))
    tap.ok(j["state"] == "done" and not days.guests(d.c.node("n2"), v["id"]),
           "and it can be deleted", j)


def main():
    with days.Day("n1") as d:
        watch = d.watch("hello")
        in_transfer(d, watch)
        at_once(d, watch)
        creating(d)
        moves = watch.moves()
        tap.ok(len(moves) <= 3, "the guest was never in two places", moves)
        watch.end()
    tap.done()


main()
