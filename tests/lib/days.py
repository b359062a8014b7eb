"""days - a Supercloud with the VM 'hello' running, for tests of bad days.

    with days.Day("n1") as d:
        watch = d.watch("hello")
        job = d.start_migration("hello", "n2")
        ...
        watch.end()

Whether a guest runs is not asked of any of our programs: Watch looks at the
processor time of the virtual CPUs of every QEMU of that VM, in every site.
Times are in seconds.
"""
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cloud                                           # noqa: E402
from netns import sh, stop_pid, wait_for               # noqa: E402

SAMPLE_S = 0.1
RUNS_NS = 1000000          # Of CPU in a sample; a paused machine has none at all,
MADE_NS = 3000000          # but being made takes a little.
FLOWS = 8 << 20            # Bytes sent: the transfer is well under way.


def guests(node, vm_id):
    """Pids of the VM's QEMU processes in the node's site."""
    found = []
    try:
        site = os.stat("/run/netns/" + node.site.ns).st_ino
    except OSError:                                    # The test is at its end.
        return found
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and os.stat("/proc/%s/ns/net" % pid).st_ino == site:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    command = f.read()
                if b"qemu-system" in command and vm_id.encode() in command:
                    found.append(int(pid))
        except OSError:
            continue
    return found


def vcpu_ns(pid):
    """Processor time of the virtual CPUs of a QEMU process; they have names
    like 'CPU 0/TCG'."""
    total = 0
    try:
        for t in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/comm" % (pid, t)) as f:
                if not f.read().startswith("CPU "):
                    continue
            with open("/proc/%d/task/%s/schedstat" % (pid, t)) as f:
                total += int(f.read().split()[0])
    except OSError:
        return None
    return total


class Watch(threading.Thread):
    """Where the VM's virtual CPUs ran, sample by sample."""

    def __init__(self, c, vm_id):
        super().__init__(daemon=True)
        self.nodes, self.vm_id = c.nodes, vm_id
        self.ran = []                                  # (time, name of the node)
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.start()

    def run(self):
        last = {}
        while not self.stopped.wait(SAMPLE_S):
            now = time.monotonic()
            for n in self.nodes:
                for pid in guests(n, self.vm_id):
                    ns = vcpu_ns(pid)
                    if ns is None:
                        continue
                    if ns - last.get(pid, MADE_NS) > RUNS_NS:
                        with self.lock:
                            self.ran.append((now, n.name))
                    last[pid] = max(ns, MADE_NS)

    def since(self, at):
        """Names of the nodes where it ran since 'at' (time.monotonic())."""
        with self.lock:
            return {name for t, name in self.ran if t > at}

    def runs_at(self, timeout=20):
        """Waits until it runs somewhere; the set of places, empty if nowhere."""
        at = time.monotonic()
        try:
            wait_for("virtual CPUs of the VM that run", lambda: self.since(at), timeout)
        except TimeoutError as e:
            print("# %s" % e, flush=True)
        time.sleep(5 * SAMPLE_S)
        return self.since(at)

    def moves(self):
        """The places in order.  Two at once show as A B A B ...: the samples of
        one lie between those of the other."""
        with self.lock:
            order = []
            for _, name in self.ran:
                if not order or order[-1] != name:
                    order.append(name)
            return order

    def end(self):
        self.stopped.set()
        self.join()


class Day:
    """A Cloud with images, network net1 and 'hello' running on 'node'."""

    def __init__(self, node="n1", booted=True, sites=2, **vm):
        self.c = cloud.Cloud(sites=sites)
        try:
            began = time.monotonic()
            self.c.start()
            self.c.guest_images()
            self.c.cli("network", "create", "net1", "10.77.0.0/24")
            self.create("hello", node, **vm)
            if booted:
                self.first_words("hello")
            print("# 'hello' is up after %.1f s" % (time.monotonic() - began), flush=True)
        except BaseException:
            self.c.show_logs()
            self.c.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.c.__exit__(*why)

    def create(self, name, node, memory=128, cmdline=None):
        more = ["--cmdline", cmdline] if cmdline else []
        return self.c.cli("vm", "create", name, "--image", "guest", "--network", "net1",
                          "--memory", str(memory), "--node", node, "--wait", *more)

    def first_words(self, vm, timeout=150):
        return wait_for("the first words of " + vm, lambda: self.c.stats(vm), timeout, 0.2)

    def watch(self, vm):
        return Watch(self.c, self.c.vm(vm)["id"])

    def slow_link(self, node, mbit=40):
        """Both ways between the node and the WAN."""
        site = self.c.node(node).site
        rate = ("root", "tbf", "rate", "%dmbit" % mbit, "burst", "64kb", "latency", "200ms")
        self.c.net.wan.run("tc", "qdisc", "replace", "dev", "s-" + node, *rate)
        site.run("tc", "qdisc", "replace", "dev", "phy0", *rate)

    def fast_link(self, node):
        site = self.c.node(node).site
        self.c.net.wan.run("tc", "qdisc", "del", "dev", "s-" + node, "root", check=False)
        site.run("tc", "qdisc", "del", "dev", "phy0", "root", check=False)

    def kill_machine(self, node):
        """Power loss: nothing of it is heard any more, every process is gone."""
        n = self.c.node(node)
        self.c.net.cut(n.site)
        for pid in sh("ip", "netns", "pids", n.site.ns).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        for pid in [p.pid for p in n.procs.values()] + [n.site.db_proc.pid,
                                                        n.site.switch_proc.pid]:
            stop_pid(pid)
        n.procs.clear()
        os.unlink(n.site.ovsdb)
        os.unlink(n.site.ctl)
        for link in json.loads(n.site.run("ip", "-j", "link")):
            if link["ifname"] not in ("lo", "phy0"):
                n.site.run("ip", "link", "del", link["ifname"], check=False)

    def boot_machine(self, node):
        """Power is back; its disk is as it was."""
        n = self.c.node(node)
        n.site.start_ovs()
        wait_for("br-phy", lambda: "br-phy:" in n.site.ip_cmd("link"))
        n.site.ip_cmd("addr", "replace", n.site.ip + "/24", "dev", "br-phy")
        n.site.ip_cmd("link", "set", "br-phy", "up")
        self.c.net.mend(n.site)
        n.start_all()

    def start_migration(self, vm, node, phase=None):
        """Begins it and waits until memory flows, or until 'phase' (a detail of
        the step 'transfer'); returns the job's id."""
        job = self.c.cli("vm", "migrate", vm, node)["job"]["id"]

        def there():
            j = self.c.job(job)
            if j["state"] != "running":
                raise RuntimeError("the migration ended too early: %s" % j)
            step = [s for s in j["steps"] if s["name"] == "transfer"][0]
            if phase:
                return step["detail"] == phase
            return step["state"] == "running" and (j["result"].get("bytes_sent") or 0) > FLOWS
        wait_for("the transfer", there, 60, 0.01)
        return job

    def migrate(self, vm, node):
        """On a good day; the ended job."""
        return self.c.job_of(self.c.cli("vm", "migrate", vm, node))

    def wait_running(self, vm, timeout=60):
        """Waits until the controller says so; the VM."""
        def running():
            v = self.c.vm(vm)
            return v if v["state"] == "running" and not v["job"] else None
        return wait_for(vm + " to run", running, timeout)

    def counting(self, vm, timeout=60):
        """Waits until the guest has made new records durable and read all of
        them back; its STAT."""
        first = wait_for("a STAT of " + vm, lambda: self.stat(vm), timeout)

        def more():
            s = self.stat(vm)
            return s if s and s["verified"] > first["seq"] else None
        return wait_for("new records of " + vm, more, timeout)

    def stat(self, vm):
        try:
            return self.c.stats(vm)
        except (cloud.ApiError, OSError):
            return None


def whole(stat):
    """Nothing that the guest's disk acknowledged is missing."""
    return stat["lost"] == 0 and stat["errors"] == 0 and stat["verified"] > 0
