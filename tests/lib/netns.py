"""netns - sites in network namespaces, each with its own userspace Open vSwitch.

Used by the integration tests and by `make dev`.  A Net has a namespace "wan"
with a Linux bridge; each Site is a namespace with one uplink to it, its own
ovsdb-server and ovs-vswitchd (userspace datapath, private run folder), and the
site's address on br-phy, so that VXLAN of the userspace datapath has its
underlay there.  A Guest is a namespace that plays a VM: its interface stands in
a site under the name given, ready for sc-node or ovs-vsctl to attach.

    with netns.Net() as net:
        a = net.site("a", "10.200.0.1")
        b = net.site("b", "10.200.0.2")
        a.run("ping", "-c1", b.ip)

Nothing of it touches the machine's own namespace or its own OVS.  Everything
is stopped by process id and removed on close(), on exceptions and on SIGTERM;
what a killed run left is swept by the next one.  Times are in seconds.

Net(keep=True) is for `make dev`: processes outlive the caller; save() writes
what there is to a file and Net.load(file).close() ends it.
"""
import atexit
import ctypes
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib

PREFIX = "scn"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_libc = ctypes.CDLL(None, use_errno=True)

# ETHTOOL_STXCSUM = 0 on interface argv[1]: the userspace datapath does not
# finish checksums that a veth leaves to the hardware.
_CSUM_OFF = """
import array, fcntl, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for cmd in (0x17, 0x19, 0x1f, 0x24):
    v = array.array("B", struct.pack("II", cmd, 0))
    try:
        fcntl.ioctl(s, 0x8946, struct.pack("16sP", sys.argv[1].encode(),
                                           v.buffer_info()[0]))
    except OSError:
        pass
"""


def sh(*cmd, check=True, **kw):
    """Runs 'cmd'; returns its output.  A failure says what it printed."""
    kw.setdefault("timeout", 60)
    p = subprocess.run([str(c) for c in cmd], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, **kw)
    if check and p.returncode:
        raise RuntimeError("%s: exit %d: %s" % (" ".join(map(str, cmd)),
                                                p.returncode, p.stdout))
    return p.stdout


def wait_for(what, fn, timeout=20, every=0.05):
    """Waits until fn() is true and returns its value; 'what' names it."""
    end = time.monotonic() + timeout
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("waited %g s for %s" % (timeout, what))
        time.sleep(every)


def alive(pid):
    try:
        os.kill(pid, 0)
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def stop_pid(pid, grace=5.0):
    """SIGTERM, then SIGKILL after 'grace'; waits for the end."""
    if not alive(pid):
        _reap(pid)
        return
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + grace
    while alive(pid) and time.monotonic() < end:
        _reap(pid)
        time.sleep(0.01)
    if alive(pid):
        os.kill(pid, signal.SIGKILL)
        while alive(pid):
            _reap(pid)
            time.sleep(0.01)
    _reap(pid)


def _reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except OSError:
        pass


def _die_with_parent(nice):
    def before_exec():
        _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if nice:
            os.nice(nice)
    return before_exec


def _owner_alive(name):
    try:
        return alive(int(name[len(PREFIX):].split("-", 1)[0]))
    except ValueError:
        return True


def sweep():
    """Removes the namespaces and folders of runs that were killed, with what
    runs there."""
    for line in sh("ip", "netns", "list").splitlines():
        name = line.split()[0] if line.split() else ""
        if not name.startswith(PREFIX) or _owner_alive(name):
            continue
        for pid in sh("ip", "netns", "pids", name, check=False).split():
            stop_pid(int(pid), 1)
        sh("ip", "netns", "del", name, check=False)
    for folder in glob.glob(os.path.join(tempfile.gettempdir(), "scnet.*.*")):
        pid = os.path.basename(folder).split(".")[1]
        if pid.isdigit() and not alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


class Space:
    """One network namespace: a site, a guest or the WAN."""

    def __init__(self, net, label):
        self.net = net
        self.label = label
        self.ns = "%s%s-%s" % (PREFIX, net.tag, label)
        sh("ip", "netns", "add", self.ns)
        net.spaces.append(self)
        self.ip_cmd("link", "set", "lo", "up")

    def ip_cmd(self, *args):
        return sh("ip", "-n", self.ns, *args)

    def cmd(self, *args):
        """The command line that runs 'args' in here."""
        return ["ip", "netns", "exec", self.ns] + [str(a) for a in args]

    def run(self, *args, **kw):
        return sh(*self.cmd(*args), **kw)

    def popen(self, *args, log=None, **kw):
        """Starts a process in here; it ends with the Net at the latest.

        'log': file name in the Net's folder for its output.
        """
        out = None
        if log:
            out = open(os.path.join(self.net.dir, log), "ab")
            kw.setdefault("stdout", out)
            kw.setdefault("stderr", subprocess.STDOUT)
        elif self.net.keep:  # It must not hold the caller's pipe.
            kw.setdefault("stdout", subprocess.DEVNULL)
            kw.setdefault("stderr", subprocess.DEVNULL)
        kw.setdefault("stdin", subprocess.DEVNULL)
        p = subprocess.Popen(
            self.cmd(*args), start_new_session=self.net.keep,
            preexec_fn=None if self.net.keep else _die_with_parent(
                self.net.nice), **kw)
        if out:
            out.close()
        self.net.pids.append(p.pid)
        return p

    def csum_off(self, ifname):
        self.run(sys.executable, "-c", _CSUM_OFF, ifname)

    def delete(self):
        """Stops what runs in here and removes the namespace."""
        for pid in sh("ip", "netns", "pids", self.ns, check=False).split():
            stop_pid(int(pid), 2)
        sh("ip", "netns", "del", self.ns, check=False)
        if self in self.net.spaces:
            self.net.spaces.remove(self)


class Site(Space):
    """A node's place: namespace, uplink, Open vSwitch of its own."""

    def __init__(self, net, name, ip, prefix_len=24, ovs=True):
        super().__init__(net, name)
        self.name = name
        self.ip = ip
        self.dir = os.path.join(net.dir, name)
        self.ovsdb = os.path.join(self.dir, "db.sock")
        os.makedirs(self.dir, exist_ok=True)
        sh("ip", "link", "add", "phy0", "netns", self.ns, "type", "veth",
           "peer", "name", "s-" + name, "netns", net.wan.ns)
        net.wan.ip_cmd("link", "set", "s-" + name, "master", "br0", "up")
        self.csum_off("phy0")
        self.ip_cmd("link", "set", "phy0", "up")
        if not ovs:
            self.ip_cmd("addr", "add", "%s/%d" % (ip, prefix_len), "dev", "phy0")
            return
        self.start_ovs()
        self.vsctl("--may-exist", "add-br", "br-phy", "--", "set", "bridge",
                   "br-phy", "datapath_type=netdev", "fail_mode=standalone",
                   "--", "add-port", "br-phy", "phy0")
        self.ip_cmd("addr", "add", "%s/%d" % (ip, prefix_len), "dev", "br-phy")
        self.ip_cmd("link", "set", "br-phy", "up")

    def env(self):
        e = dict(os.environ)
        e.update(OVS_RUNDIR=self.dir, OVS_DBDIR=self.dir, OVS_LOGDIR=self.dir,
                 OVS_SYSCONFDIR=self.dir)
        return e

    def start_ovs(self):
        db = os.path.join(self.dir, "conf.db")
        if not os.path.exists(db):
            sh("ovsdb-tool", "create", db, SCHEMA)
        self.db_proc = self.popen(
            "ovsdb-server", db, "--remote=punix:" + self.ovsdb,
            "--pidfile=" + os.path.join(self.dir, "ovsdb-server.pid"),
            "--unixctl=" + os.path.join(self.dir, "ovsdb.ctl"),
            "-vconsole:off", "-vfile:info",
            "--log-file=" + os.path.join(self.dir, "ovsdb-server.log"),
            env=self.env())
        wait_for("ovsdb-server of " + self.name,
                 lambda: os.path.exists(self.ovsdb))
        self.vsctl("--no-wait", "init")
        self.start_vswitchd()

    def start_vswitchd(self):
        self.ctl = os.path.join(self.dir, "vswitchd.ctl")
        self.switch_proc = self.popen(
            "ovs-vswitchd", "unix:" + self.ovsdb,
            "--pidfile=" + os.path.join(self.dir, "ovs-vswitchd.pid"),
            "--unixctl=" + self.ctl, "-vconsole:off", "-vfile:info",
            "--log-file=" + os.path.join(self.dir, "ovs-vswitchd.log"),
            env=self.env())
        wait_for("ovs-vswitchd of " + self.name,
                 lambda: os.path.exists(self.ctl))

    def vsctl(self, *args):
        return sh("ovs-vsctl", "--timeout=20", "--db=unix:" + self.ovsdb, *args)

    def ofctl(self, *args, check=True):
        """ovs-ofctl by OpenFlow 1.3 to 1.5; give the bridge by name."""
        return sh("ovs-ofctl", "-O", "OpenFlow13,OpenFlow14,OpenFlow15", *args,
                  env=self.env(), check=check)

    def appctl(self, *args):
        return sh("ovs-appctl", "-t", self.ctl, *args, env=self.env())

    def dpctl_flows(self):
        return self.appctl("dpctl/dump-flows")

    def tap(self, ifname):
        """A persistent tap, as a hypervisor would open it."""
        self.ip_cmd("tuntap", "add", "dev", ifname, "mode", "tap")
        self.ip_cmd("link", "set", ifname, "up")


class Guest(Space):
    """A namespace that plays a VM, with one interface eth0.

    eth0 is a bridge of its own; plug(site, ifname) lays a cable (a veth) from
    it into a site, where it appears as 'ifname'.  As in a live migration the
    next place is prepared first, with its cable dead, and move() then changes
    over: eth0 keeps its MAC, its addresses and its connections.
    """

    def __init__(self, net, name, mac, mtu=1400):
        super().__init__(net, name)
        self.mac = mac
        self.mtu = mtu
        self.site = self.ifname = None
        self.cables = {}  # (site name, ifname) -> end in the guest
        self.n_cables = 0
        self.ip_cmd("link", "add", "eth0", "address", mac, "mtu", mtu, "type",
                    "bridge", "forward_delay", "0", "mcast_snooping", "0")
        self.csum_off("eth0")
        self.ip_cmd("link", "set", "eth0", "up")
        self.run("sh", "-c",
                 "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
        # One more port, leading nowhere, so that eth0 never loses its carrier.
        self.ip_cmd("link", "add", "keep0", "master", "eth0", "up", "type",
                    "veth", "peer", "name", "keep1")
        self.ip_cmd("link", "set", "keep1", "up")

    def prepare(self, site, ifname):
        """A second cable, dead until move(): up, but not in the bridge."""
        end = "p%d" % self.n_cables
        self.n_cables += 1
        sh("ip", "link", "add", end, "netns", self.ns, "type", "veth", "peer",
           "name", ifname, "netns", site.ns)
        site.ip_cmd("link", "set", ifname, "mtu", self.mtu, "up")
        self.csum_off(end)
        self.ip_cmd("link", "set", end, "mtu", self.mtu, "up")
        # The bridge takes a port at once only when it is known to be up.
        wait_for("%s of guest %s" % (end, self.label),
                 lambda: " state UP " in self.ip_cmd("link", "show", end))
        self.cables[(site.name, ifname)] = end

    def plug(self, site, ifname):
        self.prepare(site, ifname)
        self.move(site, ifname)

    def move(self, site, ifname):
        """The guest stops here and goes on there, within a millisecond."""
        batch = ""
        if self.site and (self.site, self.ifname) != (site, ifname):
            batch = "link set %s nomaster\n" % self.cables[
                (self.site.name, self.ifname)]
        batch += "link set %s master eth0\n" % self.cables[(site.name, ifname)]
        sh("ip", "-n", self.ns, "-batch", "-", input=batch)
        self.site, self.ifname = site, ifname

    def unplug(self, site, ifname):
        """Takes a cable away, as the source's hypervisor does at the end."""
        self.ip_cmd("link", "del", self.cables.pop((site.name, ifname)))

    def address(self, cidr, gateway=None):
        self.ip_cmd("addr", "replace", cidr, "dev", "eth0")
        if gateway:
            self.ip_cmd("route", "replace", "default", "via", gateway)

    def ping(self, ip, count=1, timeout=2, interval=0.2):
        """True if every one of 'count' echoes was answered."""
        p = subprocess.run(self.cmd("ping", "-n", "-q", "-c", count, "-i",
                                    interval, "-W", timeout, ip),
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        return p.returncode == 0

    def arping(self, ip):
        """Announces 'ip' by gratuitous ARP, as a migrated VM does."""
        self.run("arping", "-q", "-U", "-c", "1", "-I", "eth0", ip,
                 check=False)


class Net:
    """The WAN and everything made on it; a context manager."""

    def __init__(self, keep=False, folder=None, nice=0):
        sweep()
        self.nice = nice  # Of what popen() starts; not with 'keep'.
        self.keep = keep
        self.tag = str(os.getpid())
        if keep:  # Outlives us; one for each folder.
            self.tag = "dev%04x" % (zlib.crc32(
                os.path.abspath(folder).encode()) & 0xffff)
        self.pids = []
        self.spaces = []
        self.sites = {}
        self.closed = False
        self.own_dir = folder is None
        self.dir = folder or tempfile.mkdtemp(
            prefix="scnet.%s." % ("dev" if keep else os.getpid()))
        if not keep:
            atexit.register(self.close)
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            self.wan = Space(self, "wan")
            self.wan.ip_cmd("link", "add", "br0", "type", "bridge",
                            "forward_delay", "0")
            self.wan.ip_cmd("link", "set", "br0", "up")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def site(self, name, ip, **kw):
        s = self.sites[name] = Site(self, name, ip, **kw)
        return s

    def guest(self, name, mac, **kw):
        return Guest(self, name, mac, **kw)

    def cut(self, site):
        """Takes the site's uplink away; mend() gives it back."""
        self.wan.ip_cmd("link", "set", "s-" + site.name, "down")

    def mend(self, site):
        self.wan.ip_cmd("link", "set", "s-" + site.name, "up")

    def save(self, path):
        with open(path, "w") as f:
            json.dump({"pids": self.pids, "dir": self.dir,
                       "own_dir": self.own_dir,
                       "spaces": [s.ns for s in self.spaces]}, f)

    @classmethod
    def load(cls, path):
        """A Net good for close() only."""
        with open(path) as f:
            state = json.load(f)
        net = cls.__new__(cls)
        net.keep, net.closed, net.sites = True, False, {}
        net.pids, net.dir = state["pids"], state["dir"]
        net.own_dir = state["own_dir"]
        net.spaces = []
        for ns in state["spaces"]:
            s = Space.__new__(Space)
            s.net, s.ns, s.label = net, ns, ns
            net.spaces.append(s)
        return net

    def close(self):
        """Stops every process, newest first, and removes everything."""
        if self.closed:
            return
        self.closed = True
        for pid in reversed(self.pids):
            # A pid may have been used again since: only what still runs in
            # one of our namespaces is ours.
            if self._ours(pid):
                stop_pid(pid)
            _reap(pid)
        for space in reversed(list(self.spaces)):
            space.delete()
        if self.own_dir and not os.environ.get("SC_KEEP_LOGS"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def _ours(self, pid):
        try:
            ns = os.stat("/proc/%d/ns/net" % pid).st_ino
        except OSError:
            return False
        for s in self.spaces:
            try:
                if os.stat("/run/netns/" + s.ns).st_ino == ns:
                    return True
            except OSError:
                pass
        return False
