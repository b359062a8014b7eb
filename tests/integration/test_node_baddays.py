#!/usr/bin/python3
"""Migrations that go wrong, with real guests: whatever breaks, exactly one place
runs the guest in the end, and never two."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import nodes  # noqa: E402
from nodes import wait_for  # noqa: E402

tap = nodes.Tap()


class Send(threading.Thread):
    """vm.migrate_out in the background; .error or .result when joined."""

    def __init__(self, pair, vm, src, dst, m, a):
        super().__init__(daemon=True)
        self.args = (vm, src, dst, m, a)
        self.pair, self.result, self.error = pair, None, None
        self.start()

    def run(self):
        try:
            self.result = self.pair.send(*self.args)
        except (nodes.RpcError, OSError, ConnectionError) as e:
            self.error = e

    def end(self, timeout=40):
        self.join(timeout)
        assert not self.is_alive(), "vm.migrate_out does not answer"
        return self.error


def slow(pair, node, rate):
    """The node's uplink is made slow (or fast again: None)."""
    pair.net.wan.run("tc", "qdisc", "del", "dev", "s-" + node.name, "root", check=False)
    node.site.run("tc", "qdisc", "del", "dev", "phy0", "root", check=False)
    if rate:
        node.site.run("tc", "qdisc", "add", "dev", "phy0", "root", "tbf", "rate", rate, "burst",
                      "64k", "limit", "1m")


def errno(fn, **kw):
    try:
        fn(**kw)
        return None
    except nodes.RpcError as e:
        return e.errno


def started(pair, src, name, **kw):
    vm = pair.vm(name, **kw)
    src.rpc("vm.start", vm=vm)
    src.ticking(vm, 3)
    return vm


def running_at(vm, *places):
    return [n.name for n in places if n.vms().get(vm["id"], {}).get("state") == "running"]


def goes_on(a, vm, more=5):
    n = a.tick(vm)
    return a.ticking(vm, more, 30) > n


def destination_killed(p, a, b):
    vm = started(p, a, "killed")
    slow(p, a, "60mbit")
    m, ans = p.prepare(vm, a, b)
    s = Send(p, vm, a, b, m, ans)
    time.sleep(1.5)
    b.kill()
    b.kill_guests()
    e = s.end()
    slow(p, a, None)
    tap.ok(e is not None, "destination killed in the middle: the migration fails with a reason", e)
    tap.ok(goes_on(a, vm) and running_at(vm, a) == ["n1"], "and the guest goes on at the source")
    b.start()
    tap.ok(b.vms() == {} and not b.guests(),
           "the destination starts again without it")
    tap.ok(b.rpc("vm.migrate_cancel", vm_id=vm["id"], migration_id=m)["state"] == "cancelled",
           "and promises never to run it")
    tap.ok(errno(lambda: b.rpc("vm.prepare_in", vm=dict(vm, epoch=2), migration_id=m,
                               **{"from": a.peer()})) == "EEXIST",
           "that migration cannot be begun again")
    r = p.migrate(vm, a, b)
    tap.ok(goes_on(b, vm), "a later one succeeds", r)
    b.rpc("vm.stop", vm_id=vm["id"], epoch=2, grace_ms=0)


def link_cut(p, a, b):
    vm = started(p, a, "cut")
    slow(p, a, "60mbit")
    m, ans = p.prepare(vm, a, b)
    s = Send(p, vm, a, b, m, ans)
    time.sleep(1.5)
    p.net.cut(a.site)
    t = time.time()
    e = s.end()
    took = time.time() - t
    tap.ok(e is not None and took < 11, "link cut in the middle: noticed in %.1f s" % took, e)
    tap.ok(goes_on(a, vm) and running_at(vm, a, b) == ["n1"], "the guest goes on at the source")
    wait_for("the destination's clean-up", lambda: not b.guests(), 15)
    tap.ok(vm["id"] not in b.vms(), "the destination forgets it")
    p.net.mend(a.site)
    slow(p, a, None)
    calls = [c.split()[0] for c in a.called()]
    tap.ok("volume.handover" not in calls[-3:], "nothing was handed over", calls[-5:])
    r = p.migrate(vm, a, b)
    tap.ok(goes_on(b, vm), "when the link is back, a new migration succeeds", r)
    b.rpc("vm.stop", vm_id=vm["id"], epoch=2, grace_ms=0)


def hold(p, method):
    open(os.path.join(p.volumes, "hold-" + method), "w").close()


def release(p, method):
    os.unlink(os.path.join(p.volumes, "hold-" + method))


def cut_while_stopped(p, a, b):
    """The guest stands still, its disk half handed over, when the link breaks."""
    vm = started(p, a, "stopped")
    hold(p, "handover")
    m, ans = p.prepare(vm, a, b)
    s = Send(p, vm, a, b, m, ans)
    wait_for("the hand-over", lambda: any("handover" in c for c in a.called()[-4:]), 30)
    p.net.cut(a.site)
    e = s.end()
    release(p, "handover")
    p.net.mend(a.site)
    tap.ok(e is not None and goes_on(a, vm),
           "link cut while the guest stands still: it goes on at the source", e)
    calls = [c.split()[0] for c in a.called()]
    tap.ok("volume.thaw" in calls, "its disk is thawed first", calls[-5:])
    n = a.tick(vm)
    tap.ok(p.records(vm) >= n - 1, "no record is lost", (p.records(vm), n))
    a.rpc("vm.stop", vm_id=vm["id"], epoch=1, grace_ms=0)


def cut_after_commit(p, a, b):
    """The link breaks between COMMIT and RUNNING: the destination runs it, the
    source must not, and learns it from the controller."""
    vm = started(p, a, "commit")
    hold(p, "activate")
    m, ans = p.prepare(vm, a, b)
    s = Send(p, vm, a, b, m, ans)
    wait_for("COMMIT", lambda: any("activate" in c for c in b.called()[-4:]), 30)
    p.net.cut(a.site)
    e = s.end()
    tap.ok(getattr(e, "errno", None) == "ENOLINK",
           "link cut after COMMIT: the source says that it does not know", e)
    tap.ok(a.vms()[vm["id"]]["state"] == "unknown" and
           a.rpc("vm.migrate_query", vm_id=vm["id"], migration_id=m)["state"] == "uncertain",
           "and does not run it")
    tap.ok(errno(lambda: a.rpc("vm.stop", vm_id=vm["id"], epoch=1)) == "EBUSY",
           "nor does it let anybody take it for stopped")
    release(p, "activate")
    tap.ok(goes_on(b, vm, 3), "the destination runs it")
    tap.ok(b.rpc("vm.migrate_cancel", vm_id=vm["id"], migration_id=m)["state"] == "running",
           "and says that it is too late to cancel")
    a.kill()
    time.sleep(0.2)
    a.start()
    tap.ok(a.vms()[vm["id"]]["state"] == "unknown", "a restart of the source changes nothing")
    p.net.mend(a.site)
    a.rpc("vm.migrate_resolve", vm_id=vm["id"], migration_id=m, outcome="release")
    tap.ok(vm["id"] not in a.vms() and running_at(vm, a, b) == ["n2"] and
           not a.guests(), "once resolved, the source lets go of it")
    tap.ok(errno(lambda: a.rpc("vm.migrate_resolve", vm_id=vm["id"], migration_id=m,
                               outcome="resume")) == "EBUSY", "and cannot be talked back")
    b.rpc("vm.stop", vm_id=vm["id"], epoch=2, grace_ms=0)


def destination_dies_after_commit(p, a, b):
    """COMMIT is lost with the destination's machine: it never wrote 'mine'."""
    vm = started(p, a, "lost")
    hold(p, "handover")
    m, ans = p.prepare(vm, a, b)
    s = Send(p, vm, a, b, m, ans)
    wait_for("the hand-over", lambda: any("handover" in c for c in a.called()[-4:]), 30)
    os.kill(b.proc.pid, signal.SIGSTOP)      # It will read nothing any more.
    time.sleep(0.3)
    release(p, "handover")
    time.sleep(1.0)
    b.kill()
    b.kill_guests()
    e = s.end()
    tap.ok(e is not None, "destination's machine lost around READY: the source is told", e)
    b.start()
    if getattr(e, "errno", None) == "ENOLINK":
        b.rpc("vm.migrate_cancel", vm_id=vm["id"], migration_id=m)
        a.rpc("vm.migrate_resolve", vm_id=vm["id"], migration_id=m, outcome="resume")
    tap.ok(goes_on(a, vm) and running_at(vm, a, b) == ["n1"], "and the guest goes on there")
    a.rpc("vm.stop", vm_id=vm["id"], epoch=1, grace_ms=0)


def source_daemon_killed(p, a, b):
    """kill -9 of the source's sc-node in the middle; the guest is not its child."""
    vm = started(p, a, "source")
    slow(p, a, "60mbit")
    m, ans = p.prepare(vm, a, b)
    s = Send(p, vm, a, b, m, ans)
    time.sleep(1.5)
    a.kill()
    s.end()
    slow(p, a, None)
    a.start()
    tap.ok(goes_on(a, vm) and running_at(vm, a, b) == ["n1"],
           "source's sc-node killed in the middle: the guest goes on at the source")
    tap.ok(a.rpc("vm.migrate_query", vm_id=vm["id"], migration_id=m)["state"] == "resumed",
           "and the migration is over")
    wait_for("the destination's clean-up", lambda: not b.guests(), 15)
    tap.ok(b.rpc("vm.migrate_query", vm_id=vm["id"], migration_id=m)["state"] == "cancelled",
           "the destination has cancelled it")
    a.rpc("vm.stop", vm_id=vm["id"], epoch=1, grace_ms=0)


def refusals(p, a, b):
    vm = started(p, a, "no")
    e = errno(lambda: p.prepare(dict(vm, memory_mib=4 << 20), a, b))
    tap.ok(e == "ENOSPC", "a destination without room refuses before anything moves", e)
    tap.ok(b.vms() == {} and not b.guests(), "and keeps nothing")
    m, ans = p.prepare(vm, a, b)
    e = errno(lambda: p.send(vm, a, a, m, ans))
    tap.ok(e == "EINVAL", "a migration to the node it is on is refused", e)
    e = errno(lambda: p.send(vm, a, b, m, dict(ans, ticket="0" * 64)))
    tap.ok(e == "ECANCELED" and goes_on(a, vm, 2), "a wrong ticket is refused", e)
    b.rpc("vm.migrate_cancel", vm_id=vm["id"], migration_id=m)
    e = errno(lambda: a.rpc("vm.stop", vm_id=vm["id"], epoch=7))
    tap.ok(e == "ESTALE", "a stop with another epoch is refused", e)
    m, ans = p.prepare(vm, a, b)
    s = Send(p, vm, a, b, m, ans)
    b.rpc("vm.migrate_cancel", vm_id=vm["id"], migration_id=m)
    s.end()
    there = running_at(vm, a, b)
    tap.ok(len(there) == 1, "a cancel that races with the migration leaves it in one place", there)
    for n in (a, b):
        if vm["id"] in n.vms():
            n.rpc("vm.stop", vm_id=vm["id"], grace_ms=0)


def main():
    with nodes.Pair() as p:
        a, b = p.nodes
        for day in (refusals, destination_killed, link_cut, cut_while_stopped, cut_after_commit,
                    destination_dies_after_commit, source_daemon_killed):
            print("# %s" % day.__name__)
            day(p, a, b)
            for n in (a, b):
                tap.ok(n.vms() == {}, "%s: nothing is left on %s" % (day.__name__, n.name),
                       n.vms())
    tap.done()


main()
