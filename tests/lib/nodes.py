"""nodes - two or more sc-node, each in a network namespace, with a fake
sc-storage (fake_storage.py) and a small real guest under the qemu driver.

Used by tests/integration/test_node_*.py.  There is no controller: the tests
speak the controller's methods on sc-node's local socket.
"""
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netns                                            # noqa: E402
from netns import sh, wait_for                          # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("SC_BUILD", os.path.join(TOP, "build")))
LIB = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.expanduser("~/.cache/supercloud/kernel")
MODULES = ["virtio_pci", "virtio_blk", "virtio_net"]

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
for m in $(cat /modules); do insmod $m; done
for i in $(cat /proc/cmdline); do case $i in
  addr=*) ifconfig eth0 ${i#addr=} up;; dirty=*) dirty=${i#dirty=};; esac; done
mount -t tmpfs -o size=64m t /mnt
[ -n "$dirty" ] && (while :; do dd if=/dev/urandom of=/mnt/f bs=64k count=$dirty \
  conv=notrunc 2>/dev/null; done) &
(while read line; do case $line in off) poweroff -f;; *) echo "heard $line";; esac; done
) </dev/console &
n=0
while :; do
  n=$((n+1))
  [ -b /dev/vda ] && printf '%08d' $n | dd of=/dev/vda bs=8 seek=$n conv=notrunc,fsync 2>/dev/null
  echo "tick $n"
  sleep 0.1
done
"""


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.errno = error.get("data", {}).get("errno")


def rpc(path, method, timeout=60, **params):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(path)
    m = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    s.sendall((json.dumps(m) + "\n").encode())
    line = s.makefile("rb").readline()
    s.close()
    if not line:
        raise ConnectionError("sc-node closed the connection")
    a = json.loads(line)
    if "error" in a:
        raise RpcError(a["error"])
    return a["result"]


def kernel():
    """Folder with Debian's kernel, unpacked once: vmlinuz and modules."""
    dep = sh("apt-cache", "depends", "linux-image-amd64")
    package = re.search(r"Depends: (\S+)", dep).group(1)
    folder = os.path.join(CACHE, package)
    if not os.path.exists(os.path.join(folder, "done")):
        os.makedirs(folder, exist_ok=True)
        sh("apt-get", "download", "-q", package, cwd=folder, timeout=300)
        deb = [f for f in os.listdir(folder) if f.endswith(".deb")][0]
        sh("dpkg-deb", "-x", deb, "root", cwd=folder, timeout=300)
        os.unlink(os.path.join(folder, deb))
        open(os.path.join(folder, "done"), "w").close()
    return os.path.join(folder, "root")


def boot_files(folder):
    """vmlinuz and initrd of the guest, in 'folder'."""
    root = kernel()
    version = os.listdir(os.path.join(root, "lib/modules"))[0]
    base = os.path.join(root, "lib/modules", version)
    if not os.path.exists(os.path.join(base, "modules.dep")):
        sh("depmod", "-b", root, version)
    deps = {}
    for line in open(os.path.join(base, "modules.dep")):
        name, rest = line.split(":")
        deps[re.sub(r"\.ko.*", "", os.path.basename(name)).replace("-", "_")] = \
            [name] + rest.split()
    tree = os.path.join(folder, "tree")
    for d in ("bin", "proc", "sys", "dev", "mnt", "m"):
        os.makedirs(os.path.join(tree, d))
    shutil.copy("/bin/busybox", os.path.join(tree, "bin/busybox"))
    order = []
    for m in MODULES:
        for path in reversed(deps.get(m, [])):
            if path not in order:
                order.append(path)
    for path in order:
        shutil.copy(os.path.join(base, path), os.path.join(tree, "m"))
    with open(os.path.join(tree, "modules"), "w") as f:
        f.write("".join("/m/%s\n" % os.path.basename(p) for p in order))
    with open(os.path.join(tree, "init"), "w") as f:
        f.write(INIT)
    os.chmod(os.path.join(tree, "init"), 0o755)
    initrd = os.path.join(folder, "initrd")
    subprocess.run("find . | cpio -o -H newc --quiet | gzip -1 > " + initrd, cwd=tree,
                   shell=True, check=True)
    return os.path.join(root, "boot/vmlinuz-" + version), initrd


class Node:
    def __init__(self, pair, i, ovs):
        self.pair = pair
        self.id = str(uuid.uuid4())
        self.nid = i
        self.name = "n%d" % i
        self.site = pair.net.site(self.name, "10.200.0.%d" % i, ovs=ovs)
        self.run = os.path.join(pair.net.dir, "r%d" % i)
        self.state = os.path.join(pair.net.dir, "s%d" % i)
        self.pki = os.path.join(pair.net.dir, "p%d" % i)
        for d in (self.run, self.state, self.pki):
            os.makedirs(d)
        self.calls = os.path.join(pair.net.dir, "calls%d" % i)
        self.pki_make()
        self.config = os.path.join(pair.net.dir, "c%d.json" % i)
        with open(self.config, "w") as f:
            json.dump({"node_id": self.id, "nid": i, "name": self.name, "region": "r%d" % i,
                       "provider": "local", "roles": ["node"],
                       "controller": {"host": "10.200.0.250", "port": 7443},
                       "address": self.site.ip, "run_dir": self.run, "state_dir": self.state,
                       "pki_dir": self.pki, "hypervisor": pair.hypervisor, "datapath": "netdev",
                       "ovsdb": getattr(self.site, "ovsdb", "/nonexistent/db.sock")}, f)
        self.proc = self.storage = None

    def pki_make(self):
        ca, p = self.pair.ca, self.pki
        sh("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
           "-nodes", "-keyout", p + "/node.key", "-out", p + "/node.csr",
           "-subj", "/CN=%s/OU=node" % self.id)
        with open(p + "/ext", "w") as f:
            f.write("extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n"
                    "basicConstraints=critical,CA:FALSE\n")
        sh("openssl", "x509", "-req", "-in", p + "/node.csr", "-CA", ca + "/ca.crt", "-CAkey",
           ca + "/ca.key", "-CAcreateserial", "-days", "30", "-out", p + "/node.crt",
           "-extfile", p + "/ext")
        shutil.copy(ca + "/ca.crt", p + "/ca.crt")

    def start(self):
        if not self.storage or self.storage.poll() is not None:
            self.storage = self.site.popen("/usr/bin/python3", LIB + "/fake_storage.py", self.run,
                                           self.pair.volumes, self.calls)
        self.proc = self.site.popen(BUILD + "/bin/sc-node", "--config", self.config,
                                    "--log-level", "debug", log=self.name + "-sc-node")
        self.wait_up()

    def wait_up(self):
        def up():
            if self.proc.poll() is not None:
                raise RuntimeError("sc-node ended: " + self.log()[-3000:])
            try:
                s = self.rpc("daemon.status", timeout=2)
                return s["recovered"] and s["storage"]
            except (OSError, ValueError):
                return False
        wait_for("sc-node of " + self.name, up)

    def log(self):
        path = os.path.join(self.pair.net.dir, self.name + "-sc-node")
        return open(path, errors="replace").read() if os.path.exists(path) else ""

    def kill(self, sig=signal.SIGKILL):
        """sc-node alone; its guests go on."""
        os.kill(self.proc.pid, sig)
        self.proc.wait()

    def kill_guests(self):
        """As if the machine lost its power."""
        for d in self.guests():
            try:
                pid = int(open(os.path.join(self.run, "vm", d, "pid")).read().split()[0])
                os.kill(pid, signal.SIGKILL)
            except (OSError, ValueError, IndexError):
                pass

    def guests(self):
        """Folders of guests on this node, ours or not."""
        vm = os.path.join(self.run, "vm")
        return os.listdir(vm) if os.path.isdir(vm) else []

    def rpc(self, method, timeout=60, **params):
        return rpc(os.path.join(self.run, "sc-node.sock"), method, timeout, **params)

    def peer(self):
        return {"node_id": self.id, "nid": self.nid, "address": self.site.ip}

    def console(self, vm, size=262144):
        d = self.rpc("vm.console_log", vm_id=vm["id"], max_bytes=size)["data"]
        return base64.b64decode(d).decode(errors="replace")

    def tick(self, vm):
        """The newest number that the guest printed here; 0: none."""
        try:
            n = re.findall(r"tick (\d+)\r?\n", self.console(vm, 4096))
        except (RpcError, OSError):
            return 0
        return int(n[-1]) if n else 0

    def vms(self):
        return {v["vm_id"]: v for v in self.rpc("daemon.status")["vms"]}

    def ticking(self, vm, more=5, timeout=60):
        """Waits until the guest has printed 'more' more ticks here."""
        first = self.tick(vm)
        return wait_for("ticks of %s on %s" % (vm["name"], self.name),
                        lambda: self.tick(vm) if self.tick(vm) >= first + more else 0, timeout)

    def called(self):
        return open(self.calls).read().splitlines() if os.path.exists(self.calls) else []


class Pair:
    def __init__(self, n=2, ovs=False, hypervisor="qemu"):
        self.hypervisor = hypervisor
        self.net = netns.Net()
        self.nodes = []
        try:
            self.volumes = os.path.join(self.net.dir, "v")
            self.ca = os.path.join(self.net.dir, "ca")
            os.makedirs(self.volumes)
            os.makedirs(self.ca)
            sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-keyout", self.ca + "/ca.key", "-out", self.ca + "/ca.crt", "-days",
               "30", "-subj", "/CN=test CA", "-addext", "basicConstraints=critical,CA:TRUE")
            self.kernel, self.ramdisk = str(uuid.uuid4()), str(uuid.uuid4())
            if hypervisor == "qemu":
                k, r = boot_files(self.net.dir)
                shutil.copy(k, os.path.join(self.volumes, self.kernel))
                shutil.copy(r, os.path.join(self.volumes, self.ramdisk))
            else:
                for v in (self.kernel, self.ramdisk):
                    with open(os.path.join(self.volumes, v), "w") as f:
                        f.write("a fake guest needs no kernel")
            for i in range(1, n + 1):
                self.nodes.append(Node(self, i, ovs))
            for x in self.nodes:
                x.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            for n in self.nodes:
                print("# --- log of %s" % n.name)
                for line in n.log().splitlines()[-40:]:
                    print("#   " + line)
        self.close()

    def close(self):
        for n in self.nodes:
            if n.proc and n.proc.poll() is None:
                netns.stop_pid(n.proc.pid)
            n.kill_guests()
            if n.storage and n.storage.poll() is None:
                netns.stop_pid(n.storage.pid)
        self.net.close()

    def vm(self, name, memory=128, cmdline="", disk=True, ports=0):
        vm = {"id": str(uuid.uuid4()), "name": name, "epoch": 1, "vcpus": 1, "memory_mib": memory,
              "kernel_volume": self.kernel, "ramdisk_volume": self.ramdisk, "cmdline": cmdline,
              "volumes": [], "ports": []}
        if disk:
            d = str(uuid.uuid4())
            with open(os.path.join(self.volumes, d), "wb") as f:
                f.truncate(16 << 20)
            vm["volumes"].append({"id": d, "dev": "xvda", "mode": "rw"})
        for i in range(ports):
            vm["ports"].append({"id": str(uuid.uuid4()), "mac": "52:54:00:00:00:%02x" % (i + 1),
                                "ip": "10.1.0.%d" % (i + 1), "network_id": str(uuid.uuid4()),
                                "vni": 100, "mtu": 1400})
        return vm

    def records(self, vm):
        """Records on the VM's disk: how many in a row from the first."""
        path = os.path.join(self.volumes, vm["volumes"][0]["id"])
        data = open(path, "rb").read()
        n = 0
        while data[(n + 1) * 8:(n + 2) * 8] == b"%08d" % (n + 1):
            n += 1
        return n

    def prepare(self, vm, src, dst):
        m = str(uuid.uuid4())
        spec = dict(vm, epoch=vm["epoch"] + 1)
        for _ in range(100):
            try:
                return m, dst.rpc("vm.prepare_in", vm=spec, migration_id=m,
                                  **{"from": src.peer()})
            except RpcError as e:
                if e.errno != "EAGAIN":     # The last one is being cleaned up.
                    raise
                time.sleep(0.1)
        raise TimeoutError("vm.prepare_in")

    def send(self, vm, src, dst, m, a, timeout=120, max_downtime_ms=300):
        return src.rpc("vm.migrate_out", timeout, vm_id=vm["id"], migration_id=m,
                       epoch=vm["epoch"] + 1, to=dict(dst.peer(), port=a["port"]),
                       ticket=a["ticket"], max_downtime_ms=max_downtime_ms)

    def migrate(self, vm, src, dst, timeout=120):
        m, a = self.prepare(vm, src, dst)
        r = self.send(vm, src, dst, m, a, timeout)
        vm["epoch"] += 1
        return r


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def ok(self, good, name, detail=""):
        self.n += 1
        self.failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.n, name), flush=True)
        if not good and detail != "":
            for line in str(detail).splitlines()[-30:]:
                print("#   " + line, flush=True)
        return good

    def done(self):
        print("1..%d" % self.n)
        sys.exit(self.failed != 0)
