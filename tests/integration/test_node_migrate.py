#!/usr/bin/python3
"""sc-node with real guests under QEMU: start, migrate there and back, restart
of sc-node, power-off, stop."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import nodes  # noqa: E402

tap = nodes.Tap()


CROWD = """
import socket, sys, time
held = [socket.create_connection((sys.argv[1], 7482)) for _ in range(100)]
print("held", flush=True)
time.sleep(600)
"""


def crowd(node):
    """A hundred connections to the node's migration port that say nothing."""
    held = node.site.popen("/usr/bin/python3", "-c", CROWD, node.site.ip,
                           stdout=subprocess.PIPE, text=True)
    assert held.stdout.readline() == "held\n"
    return held


def main():
    with nodes.Pair() as p:
        a, b = p.nodes
        vm = p.vm("hello")
        t = time.time()
        a.rpc("vm.start", vm=vm)
        a.ticking(vm, 3)
        tap.ok(True, "a guest starts and prints (%.1f s)" % (time.time() - t))
        pid = open(os.path.join(a.run, "vm", vm["id"], "pid")).read().split()[0]
        fds = [os.readlink(os.path.join("/proc", pid, "fd", f))
               for f in os.listdir(os.path.join("/proc", pid, "fd"))]
        tap.ok(not [f for f in fds if a.state in f], "QEMU has none of sc-node's files", fds)
        r = p.migrate(vm, a, b)
        print("# %s" % r)
        tap.ok(vm["id"] not in a.vms() and b.vms()[vm["id"]]["epoch"] == 2,
               "after a migration the destination has it with the next epoch, the source not")
        before = b.tick(vm)
        tap.ok(b.ticking(vm, 5) > before, "it ticks on at the destination")
        tap.ok(r["pause_ms"] < 3000 and r["bytes_wire"] < r["bytes_sent"],
               "the pause is short and the stream is compressed", r)
        calls = [c.split()[0] for c in a.called()]
        tap.ok(calls.index("volume.flush") < calls.index("volume.handover") <
               calls.index("volume.release"), "the source flushes, hands over, releases", calls)
        calls = [c.split()[0] for c in b.called()]
        tap.ok(calls.index("volume.prepare_in") < calls.index("volume.activate"),
               "the destination prepares, then activates", calls)
        held = crowd(a)
        r = p.migrate(vm, b, a)
        print("# %s" % r)
        tap.ok(True, "connections of strangers keep no source out")
        nodes.netns.stop_pid(held.pid)
        n = a.ticking(vm, 5)
        tap.ok(p.records(vm) >= n - 1, "and back; no record is missing on its disk",
               "%d of %d" % (p.records(vm), n))
        a.rpc("vm.console_open", vm_id=vm["id"], session="s1")
        a.rpc("vm.console_in", session="s1", data="aGkK")
        nodes.wait_for("an echo", lambda: "heard hi" in a.console(vm))
        tap.ok(True, "what is typed into the console reaches the guest")
        n = a.tick(vm)
        a.kill(signal.SIGKILL)
        time.sleep(1)
        a.start()
        tap.ok(a.ticking(vm, 3) > n, "a guest survives kill -9 of sc-node and is adopted")
        tap.ok(a.vms()[vm["id"]]["state"] == "running", "and is reported running")
        r = p.migrate(vm, a, b)
        tap.ok(b.ticking(vm, 3), "an adopted guest can migrate")
        b.rpc("vm.console_open", vm_id=vm["id"], session="s2")
        b.rpc("vm.console_in", session="s2", data="b2ZmCg==")
        nodes.wait_for("the power-off", lambda: b.vms()[vm["id"]]["state"] == "stopped")
        tap.ok(True, "a guest that powers off is reported stopped")
        b.rpc("vm.stop", vm_id=vm["id"], epoch=vm["epoch"], grace_ms=0)
        tap.ok(b.vms() == {}, "and forgotten when the controller stops it")
        try:
            a.rpc("vm.start", vm=dict(p.vm("big", memory=4 << 20)))
            tap.ok(False, "a guest without room is refused")
        except nodes.RpcError as e:
            tap.ok(e.errno == "ENOSPC", "a guest without room is refused", e)
        tap.ok(a.vms() == {} and "volume.detach" in a.called()[-1],
               "and nothing of it is left", a.called()[-3:])
        left = a.guests() + b.guests()
        tap.ok(not left, "no guest's files are left")
    tap.done()


main()
