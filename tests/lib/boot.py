"""boot - one row of the boot matrix: an image on hardware like its provider's.

Used by tests/images/test_boot_*.py.  The controller runs as processes of this host
(cloud.py), in a network namespace; the machine is sc-provider's, made "like" the
provider, with the provider's services emulated around it (metadata/); both hang on
an emulated WAN (sc-wan).  Everything virtual here is QEMU's: with KVM where the
processor has it, else by TCG, which is slow, and so are the limits.

    boot.row("ec2")                     # BIOS
    boot.row("ec2", uefi=True, guest=False)
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cloud                                             # noqa: E402
from cloud import BUILD, TOP                             # noqa: E402
from netns import wait_for                               # noqa: E402

OVMF = "/usr/share/ovmf/OVMF.fd"
EMULATOR = os.path.join(TOP, "tests", "lib", "metadata", "emulator")
# Seconds, alone on two processors; see patience().
BOOT_S, GUEST_S = 420, 240
DISK_GIB = 6                    # Larger than the image: the root has to grow.
SOURCES = {"ec2": "DataSourceEc2", "gce": "DataSourceGCE", "azure": "DataSourceAzure",
           "rackspace": "DataSourceOpenStack", "rackspace-classic": "DataSourceConfigDrive"}

# What the machine says of itself.  The last lines put a namespace where a guest with
# a route would be, and ask for the metadata service from there: first as the image
# is, then with the guard off, which shows that the way itself is good.
REPORT = r"""
runcmd:
  - |
    cat >/run/report <<'E'
    until [ -e /run/cloud-init/result.json ]; do sleep 1; done
    exec >/dev/console 2>&1
    echo "REPORT-BEGIN"
    echo "source: $(tr -d '\n' </run/cloud-init/result.json)"
    echo "cloud: $(cat /run/cloud-init/cloud-id)"
    echo "boot: $(cat /run/supercloud/boot.json)"
    echo "firmware: $([ -d /sys/firmware/efi ] && echo uefi || echo bios)"
    echo "disk: $(df -B1 --output=size / | tail -1)"
    echo "failed: $(systemctl --failed --no-legend --plain | cut -d' ' -f1 | tr '\n' ' ')"
    echo "uptime: $(cut -d' ' -f1 /proc/uptime)"
    ask() { # From inside: who answers at the metadata service's address?
        ip netns exec probe timeout 15 bash -c 'exec 3<>/dev/tcp/169.254.169.254/80 && printf "GET / HTTP/1.0\r\n\r\n" >&3 && head -1 <&3' 2>/dev/null | tr -d '\r'
    }
    ip netns add probe
    ip link add probe0 type veth peer name probe1 netns probe
    ip addr add 192.0.2.1/30 dev probe0
    ip link set probe0 up
    ip -n probe addr add 192.0.2.2/30 dev probe1
    ip -n probe link set probe1 up
    ip -n probe route add default via 192.0.2.1
    echo 1 >/proc/sys/net/ipv4/ip_forward
    nft 'add table ip probe; add chain ip probe out { type nat hook postrouting priority 100; }; add rule ip probe out ip saddr 192.0.2.2 masquerade'
    echo "guarded: $(ask)"
    nft delete table inet supercloud_metadata
    echo "unguarded: $(ask)"
    nft delete table ip probe
    nft -f /usr/lib/supercloud/appliance/metadata.nft
    ip netns del probe
    echo 0 >/proc/sys/net/ipv4/ip_forward
    echo "REPORT-END"
    E
  - systemd-run --no-block bash /run/report
"""


def sh(*cmd, timeout=900, **kw):
    p = subprocess.run([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=timeout, **kw)
    if p.returncode:
        raise RuntimeError("%s: exit %d: %s" % (" ".join(map(str, cmd[:4])), p.returncode,
                                                p.stdout[-2000:]))
    return p.stdout


def kvm():
    with open("/proc/cpuinfo") as f:
        return bool(re.search(r"\b(svm|vmx)\b", f.read())) and os.access("/dev/kvm", os.W_OK)


def patience(seconds):
    """A limit for a machine whose processors are shared with others."""
    return seconds * max(1, min(4, os.getloadavg()[0] / (os.cpu_count() or 1)))


def image(provider, distro, folder):
    """The image's file, as QEMU can read it; built if it is not."""
    out = os.path.join(BUILD, "images", "%s-%s" % (distro, provider))
    sh(os.path.join(TOP, "images", "build"), "--provider", provider, "--distro", distro,
       "--bin", os.path.join(BUILD, "bin"), "--output", out, timeout=1500)
    with open(os.path.join(out, "manifest.json")) as f:
        file = os.path.join(out, os.path.basename(json.load(f)["file"]))
    if file.endswith(".tar.gz"):
        # As GCE unpacks it: one member of this name.
        with tarfile.open(file) as t:
            t.extract("disk.raw", folder)
        return os.path.join(folder, "disk.raw")
    return file


class Wan:
    """sc-wan, with the cloud's namespace on it and a provider's machines."""

    def __init__(self, c, folder):
        self.folder, self.control = folder, os.path.join(folder, "wan.ctl")
        self.process = subprocess.Popen(
            [c.bin("sc-wan"), "serve", "--control", self.control, "--rtt", "2"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("sc-wan", lambda: os.path.exists(self.control), 20)
        ours, theirs = (os.path.join(folder, n) for n in ("host.sock", "host-wan.sock"))
        c.net.wan.popen(EMULATOR, "plug", "machines", ours, theirs, log="plug.log")
        wait_for("the way to the machines", lambda: os.path.exists(ours), 20)
        sh(c.bin("sc-wan"), "call", "--control", self.control, "wan.attach", json.dumps(
            {"name": "host", "local": theirs, "remote": ours}))
        c.net.wan.ip_cmd("link", "set", "machines", "master", "br0")

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Machine:
    """An instance of the emulated provider."""

    def __init__(self, c, wan, folder, like, uefi):
        self.cloud, self.like, self.name = c, like, like + ("-uefi" if uefi else "")
        self.dir = os.path.join(folder, "i")
        self.config = os.path.join(folder, "provider.json")
        config = {"dir": self.dir, "wan": wan.control, "like": like, "emulator": EMULATOR}
        if uefi:
            config["firmware"] = OVMF
        with open(self.config, "w") as f:
            json.dump(config, f)
        os.chmod(self.config, 0o600)

    def provider(self, *args):
        return sh(self.cloud.bin("sc-provider"), "local", self.config, *args)

    def launch(self, file, user_data, address):
        path = os.path.join(self.dir + ".user-data")
        with open(path, "w") as f:
            f.write(user_data)
        # Emulated processors that wait for each other spin: one is faster than two.
        options = {"address": address} if kvm() else {"address": address, "vcpus": 1}
        self.provider("launch", "--name", self.name, "--region", "us-test-1", "--image", file,
                      "--user-data", path, "--disk-gib", DISK_GIB, "--options",
                      json.dumps(options))
        self.began = time.monotonic()

    def serial(self):
        try:
            with open(os.path.join(self.dir, self.name, "serial.log"), errors="replace") as f:
                return f.read().replace("\r", "")
        except OSError:
            return ""

    def check_alive(self):
        failed_line = re.search(r"supercloud: ERROR.*", self.serial())
        if failed_line:
            raise RuntimeError(failed_line[0])
        if '"running"' not in self.provider("list"):
            raise RuntimeError("the machine has ended")

    def wait(self, what, fn, seconds):
        """Until fn() is true; the machine must live on and not say that it failed."""
        began, limit = time.monotonic(), 0
        while True:
            value = fn()
            if value:
                return value
            self.check_alive()
            limit = max(limit, patience(seconds))
            if time.monotonic() > began + limit:
                raise TimeoutError("waited %d s for %s" % (limit, what))
            time.sleep(1)

    def report(self):
        m = re.search(r"REPORT-BEGIN\n(.*?)REPORT-END", self.serial(), re.S)
        if not m:
            return None
        # The kernel's own lines may come between.
        return dict(line.split(": ", 1) for line in re.findall(r"^\w+: .*$", m[1], re.M))

    def status(self):
        return json.loads(sh(EMULATOR, "status", os.path.join(self.dir, self.name)))

    def end(self):
        self.provider("terminate", "--id", self.name)


def check_report(tap, m, uefi):
    r = m.wait("the machine's report", m.report, BOOT_S)
    source = json.loads(r["source"])["v1"]
    tap.ok(SOURCES[m.like] in source["datasource"] and not source["errors"],
           "cloud-init found %s: %s" % (SOURCES[m.like], source["datasource"]), r)
    tap.ok(r["firmware"] == ("uefi" if uefi else "bios"), "booted by " + r["firmware"], r)
    mode = json.loads(r["boot"])["mode"]
    tap.ok(mode == ("plain" if m.like == "azure" else "xen"), "the mode is " + mode, r)
    tap.ok(int(r["disk"]) > 0.9 * (DISK_GIB << 30), "the root has grown to the disk", r)
    tap.ok(r["failed"].strip() == "", "no unit failed", r)
    if m.like != "rackspace-classic":
        tap.ok(r["guarded"].strip() == "" and r["unguarded"].startswith("HTTP/1."),
               "what is forwarded, as guests' packets are, never reaches the metadata "
               "service; without the guard it would", r)
    print("# reported %s s after the kernel's start" % r["uptime"], flush=True)


def check_provider(tap, m):
    s = m.status()
    asked = " ".join(path for _, path, status in s["requests"] if status == 200)
    if m.like != "rackspace-classic":
        tap.ok(s["leases"] > 0, "its address came by the provider's DHCP", s)
        words = {"ec2": "/user-data", "gce": "instance/attributes", "azure": "/metadata/instance",
                 "rackspace": "/user_data"}[m.like]
        tap.ok(words in asked, "the metadata service was asked for " + words, s)
    if m.like == "azure":
        tap.ok(["Ready", "", ""] in s["health"], "it reported to the wire server that it is ready", s)


def run_guest(tap, c, m):
    name = "guest-" + m.name
    began = time.monotonic()
    job = c.cli("vm", "create", name, "--image", "guest", "--network", "net1", "--memory", "96",
                "--node", m.name)["job"]
    j = c.job_end(job["id"], patience(GUEST_S))
    if not tap.ok(j["state"] == "done", "a guest is made on it", j):
        return
    # Where there is neither Xen nor KVM the guest is emulated by an emulated machine: its
    # first words are enough.
    twice = m.like == "azure" and not kvm()

    def heard():
        try:
            return c.console(name).strip() if twice else c.stats(name)
        except cloud.ApiError as e:     # A busy node may lose its connection for a moment.
            print("# %s" % e, flush=True)
            return None
    m.wait("the guest's console", heard, GUEST_S)
    tap.ok(c.vm(name)["node_name"] == m.name and c.vm(name)["state"] == "running",
           "the guest runs, and %s" % ("prints (emulated twice)" if twice else "counts"), c.vm(name))
    print("# the guest was heard of after %.0f s" % (time.monotonic() - began), flush=True)


def row(like, uefi=False, guest=True, distro="debian"):
    tap = cloud.Tap()
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root for the controller's namespace")
        sys.exit(0)
    if uefi and not os.path.exists(OVMF):
        print("1..0 # SKIP no OVMF")
        sys.exit(0)
    folder = None
    with cloud.Cloud(sites=1) as c:
        folder = os.path.join(c.net.dir, "m")
        os.makedirs(folder)
        file = image(like, distro, folder)
        print("# image %s" % file, flush=True)
        wan = m = None
        try:
            c.start()
            if guest:
                c.guest_images()
                c.cli("network", "create", "net1", "10.77.0.0/24")
            wan = Wan(c, folder)
            m = Machine(c, wan, folder, like, uefi)
            text = c.cli("node", "user-data", "--region", "us-test-1", "--provider", like, "--name",
                         m.name)["user_data"]
            m.launch(file, text + REPORT, "10.200.0.11/24")
            m.wait("the node", lambda: [n for n in c.get("/nodes")["nodes"] if n["name"] == m.name
                                        and n["state"] == "up" and n["programs"].get("sc-node")
                                        and n["programs"].get("sc-storage")], BOOT_S)
            tap.ok(True, "the image boots on hardware like %s's (%s, emulated) and joins: %.0f s"
                   % (like, "UEFI" if uefi else "BIOS", time.monotonic() - m.began))
            check_report(tap, m, uefi)
            check_provider(tap, m)
            if guest:
                run_guest(tap, c, m)
        except (RuntimeError, TimeoutError, cloud.CliError, cloud.ApiError) as e:
            tap.ok(False, "%s boots, joins, runs" % like, "%s\n%s" % (e, "\n".join(
                [x for x in (m.serial() if m else "").splitlines() if x.strip()][-28:])))
        finally:
            if m and os.environ.get("SC_KEEP_LOGS"):
                with open(os.path.join(BUILD, "test-logs", "boot-%s.serial" % m.name), "w") as f:
                    f.write(m.serial())
            if m:
                m.end()
            if wan:
                wan.close()
            shutil.rmtree(folder, ignore_errors=True)
    tap.done()
