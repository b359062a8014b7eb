"""cloud - a whole Supercloud as processes of this machine.

Used by `make dev` and the integration tests.  Sites are network namespaces
(netns.py); the first carries the controller.  Nodes join with a token as real
instances do, only the boot is left out.  Guests run under the qemu driver.

    with cloud.Cloud() as c:
        c.start()
        c.cli("vm", "list")

What a person would do is done by the command line, what a test only looks at
by the API on one connection, which is cheap enough to ask often.  Every
process ends with the Cloud.  Times are in seconds.
"""
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import netns                                           # noqa: E402
from netns import wait_for                             # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("SC_BUILD", os.path.join(TOP, "build")))
REGIONS = ["us-east", "ap-northeast", "eu-west", "sa-east"]
PASSWORD = "correct-horse-battery"


_libc = ctypes.CDLL(None, use_errno=True)


def _enter(fd):
    if _libc.setns(fd, 0x40000000) < 0:                 # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


class _Https(http.client.HTTPSConnection):
    """A connection whose socket is made in the namespace 'ns'."""

    def __init__(self, ns, host, port, context):
        super().__init__(host, port, timeout=30, context=context)
        self.ns = ns

    def connect(self):
        home, there = (os.open(p, os.O_RDONLY | os.O_CLOEXEC)
                       for p in ("/proc/thread-self/ns/net", "/run/netns/" + self.ns))
        try:
            _enter(there)
            try:
                raw = socket.create_connection((self.host, self.port), 10)
            finally:
                _enter(home)
        finally:
            os.close(home)
            os.close(there)
        raw.settimeout(self.timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._context.wrap_socket(raw)


class ApiError(Exception):
    def __init__(self, what, status, answer):
        super().__init__("%s: %d: %s" % (what, status, answer))
        self.status, self.answer = status, answer


class CliError(Exception):
    def __init__(self, args, status, text):
        super().__init__("supercloud %s: exit %d: %s" % (" ".join(args), status, text))
        self.status, self.text = status, text


class Node:
    """One site's programs and files."""

    def __init__(self, cloud, site, region, controller):
        self.cloud, self.site, self.region = cloud, site, region
        self.name, self.controller = site.name, controller
        self.dir = os.path.join(cloud.net.dir, site.name, "sc")
        self.run_dir = os.path.join(self.dir, "run")
        self.state_dir = os.path.join(self.dir, "state")
        self.pki_dir = os.path.join(self.dir, "pki")
        self.config = os.path.join(self.dir, "supercloud.json")
        self.procs = {}
        for d in (self.dir, self.run_dir, self.state_dir):
            os.makedirs(d, exist_ok=True)

    def join(self, *args, check=True, wrap=()):
        """Runs sc-join (behind the command 'wrap') with the folders of this node."""
        cmd = self.site.cmd(*wrap, self.cloud.bin("sc-join"), "--config-out", self.config,
                            "--run-dir", self.run_dir, "--state-dir", self.state_dir,
                            "--pki-dir", self.pki_dir, "--hypervisor", self.cloud.hypervisor,
                            "--datapath", "netdev", "--ovsdb", self.site.ovsdb, *args)
        p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=60)
        if check and p.returncode:
            raise RuntimeError("sc-join: exit %d: %s" % (p.returncode, p.stdout))
        return p

    def tune(self, **values):
        """Changes the node's config file; for tests that need other limits."""
        with open(self.config) as f:
            c = json.load(f)
        c.update(values)
        with open(self.config, "w") as f:
            json.dump(c, f, indent=1)

    def start(self, program):
        log = "%s-%s.log" % (self.name, program)
        self.procs[program] = self.site.popen(
            self.cloud.bin(program), "--config", self.config, log=log)
        return self.procs[program]

    def pid(self, program):
        return self.procs[program].pid

    def kill(self, program, sig=signal.SIGKILL):
        """Sends 'sig' and waits for the end."""
        p = self.procs.pop(program)
        p.send_signal(sig)
        p.wait(20)

    def log(self, program):
        path = os.path.join(self.cloud.net.dir, "%s-%s.log" % (self.name, program))
        with open(path, errors="replace") as f:
            return f.read()

    def start_all(self):
        if self.controller:
            self.start("sc-controller")
            self.cloud.wait_api()
            self.start("sc-network")
        self.start("sc-storage")
        self.start("sc-node")


class Cloud:
    def __init__(self, sites=2, hypervisor="qemu", keep=False, folder=None):
        self.hypervisor = hypervisor
        self.net = netns.Net(keep=keep, folder=folder)
        self.nodes = []
        self._conn = None
        self.home = os.path.join(self.net.dir, "home")
        os.makedirs(self.home, exist_ok=True)
        self.url = "https://10.200.0.1:8443"
        try:
            self.net.wan.ip_cmd("addr", "add", "10.200.0.254/24", "dev", "br0")
            self.net.wan.csum_off("br0")
            for i in range(sites):
                site = self.net.site("n%d" % (i + 1), "10.200.0.%d" % (i + 1))
                self.nodes.append(Node(self, site, REGIONS[i % len(REGIONS)], i == 0))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and not issubclass(kind, SystemExit):
            self.show_logs()
        self.close()

    def show_logs(self, lines=25):
        for n in sorted(os.listdir(self.net.dir)):
            if n.endswith(".log") and "-sc-" in n:
                with open(os.path.join(self.net.dir, n), errors="replace") as f:
                    text = f.read().splitlines()[-lines:]
                print("# --- %s" % n)
                for line in text:
                    print("#   " + line[:400])

    def close(self):
        if not hasattr(self, "net"):
            return
        # QEMU machines outlive sc-node on purpose; the namespaces end them.
        for n in self.nodes:
            for p in list(n.procs):
                netns.stop_pid(n.procs[p].pid)
        self.net.close()

    def bin(self, name):
        return os.path.join(BUILD, "bin", name)

    # --- the command line, from the WAN ---------------------------------
    def cli_raw(self, *args, timeout=120, stdin=None):
        env = dict(os.environ, HOME=self.home, XDG_CONFIG_HOME=os.path.join(self.home, ".config"))
        return subprocess.run(self.net.wan.cmd(self.bin("supercloud"), *args), env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              input=stdin if stdin is not None else "", timeout=timeout)

    def cli(self, *args, timeout=120, stdin=None):
        """The parsed JSON answer of 'supercloud ARGS -o json'."""
        p = self.cli_raw("-o", "json", *args, timeout=timeout, stdin=stdin)
        if p.returncode:
            raise CliError(list(args), p.returncode, p.stderr or p.stdout)
        return json.loads(p.stdout) if p.stdout.strip() else None

    def token(self):
        with open(os.path.join(self.home, ".config", "supercloud", "config.json")) as f:
            return re.search(r'"token":\s*"([^"]+)"', f.read())[1]

    def connect(self):
        """An HTTPS connection to the controller, from the WAN."""
        host, port = re.match(r"https://([^:]+):(\d+)", self.url).groups()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return _Https(self.net.wan.ns, host, int(port), context)

    def api(self, method, path, body=None):
        """One API call with the CLI's token; (status, parsed answer).  Reads share
        a connection, and are asked again over a new one when it has died."""
        head = {"Authorization": "Bearer " + self.token()}
        if body is not None:
            head["Content-Type"] = "application/json"
            body = json.dumps(body)
        read = method == "GET"
        for last in (False, True) if read else (True,):
            c = self._conn if read and self._conn else self.connect()
            self._conn = None
            try:
                c.request(method, "/api/v1" + path, body, head)
                r = c.getresponse()
                text = r.read()
            except (OSError, http.client.HTTPException):
                c.close()
                if last:
                    raise
                continue
            if r.will_close or not read:
                c.close()
            else:
                self._conn = c
            return r.status, json.loads(text) if text.strip() else None

    def get(self, path):
        status, answer = self.api("GET", path)
        if status != 200:
            raise ApiError("GET " + path, status, answer)
        return answer

    def wait_api(self):
        first = self.nodes[0]

        def up():
            if "sc-controller" in first.procs and first.procs["sc-controller"].poll() is not None:
                raise RuntimeError("sc-controller ended: " + first.log("sc-controller")[-2000:])
            c = self.connect()
            try:
                c.request("GET", "/api/v1/version")
                return c.getresponse().status in (200, 401)
            except (OSError, http.client.HTTPException):
                return False
            finally:
                c.close()
        wait_for("the controller's API", up, 30)

    def login(self):
        path = os.path.join(self.nodes[0].state_dir, "controller", "initial-password")
        with open(path) as f:
            password = f.read().strip()
        # The URL is an address of the test's own; its certificate is trusted on
        # first use, as a person would after comparing the fingerprint.
        self.cli("login", self.url, "--user", "admin", "--password-stdin", "--trust",
                 stdin=password + "\n")
        return password

    def user_data(self, node, **kw):
        args = ["--region", node.region, "--provider", "local", "--name", node.name]
        for k, v in kw.items():
            args += ["--" + k.replace("_", "-"), str(v)]
        return self.cli("node", "user-data", *args)

    def join(self, node):
        import yaml
        section = yaml.safe_load(self.user_data(node)["user_data"])["supercloud"]
        path = os.path.join(node.dir, "user-data.json")
        with open(path, "w") as f:
            json.dump(section, f)
        node.join("--user-data", path, "--address", node.site.ip)

    def start(self, **config):
        """All programs; 'config' goes into the controller's configuration."""
        first = self.nodes[0]
        first.join("--init-controller", "--region", first.region, "--provider", "local",
                   "--name", first.name, "--address", first.site.ip)
        if config:
            first.tune(**config)
        first.start_all()
        self.password = self.login()
        for n in self.nodes[1:]:
            self.join(n)
            n.start_all()
        self.wait_nodes(len(self.nodes))

    def wait_nodes(self, n, timeout=30):
        def up():
            nodes = self.get("/nodes")["nodes"]
            return sum(1 for x in nodes if x["state"] == "up"
                       and all(x["programs"].get(p) for p in ("sc-node", "sc-storage"))) >= n
        wait_for("%d nodes up" % n, up, timeout)

    # --- things in it -------------------------------------------------------
    def guest_images(self, folder=None):
        """Uploads the small guest: images 'guest' (disk), its kernel and ramdisk."""
        folder = folder or guest_folder()
        f = lambda n: os.path.join(folder, n)           # noqa: E731
        self.cli("image", "create", "guest-kernel", f("vmlinuz"), "--kind", "kernel")
        self.cli("image", "create", "guest-ramdisk", f("initrd.img"), "--kind", "ramdisk")
        self.cli("image", "create", "guest", f("disk.raw"), "--kind", "disk",
                 "--kernel", "guest-kernel", "--ramdisk", "guest-ramdisk")

    def node(self, name):
        return [n for n in self.nodes if n.name == name][0]

    def job(self, job_id):
        return self.get("/jobs/" + job_id)

    def job_end(self, job_id, timeout=120):
        """Waits for the end of the job; returns it, as it is if it does not end."""
        def ended():
            j = self.job(job_id)
            return j if j["state"] in ("done", "failed", "cancelled") else None
        try:
            return wait_for("the end of job " + job_id, ended, timeout)
        except TimeoutError as e:
            print("# %s" % e, flush=True)
            return self.job(job_id)

    def job_of(self, answer, timeout=120):
        """Waits for the job of a 202 answer; returns the ended job."""
        return self.job_end(answer["job"]["id"], timeout)

    def vm(self, name):
        return self.get("/vms/" + name)

    def console(self, vm, size=16384):
        return self.get("/vms/%s/console-log?bytes=%d" % (vm, size))["data"]

    def stats(self, vm):
        """The newest STAT object that the guest printed, or None."""
        for line in reversed(self.console(vm).splitlines()):
            at = line.find("STAT {")
            if at >= 0:
                try:
                    return json.loads(line[at + 5:])
                except ValueError:
                    continue
        return None


def guest_folder():
    """Where images/guest/build put its files; built if they are older than what
    they are made from (that program asks apt, which takes seconds)."""
    folder = os.path.join(BUILD, "guest")
    images = os.path.join(TOP, "images")
    sources = [os.path.join(d, f) for part in ("guest", "lib")
               for d, _, files in os.walk(os.path.join(images, part)) for f in files]
    try:
        made = os.stat(os.path.join(folder, "inputs")).st_mtime
    except OSError:
        made = 0
    if made > max(os.stat(f).st_mtime for f in sources):
        return folder
    p = subprocess.run([os.path.join(images, "guest", "build"), "--output", folder],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode:
        raise RuntimeError("images/guest/build: " + p.stdout[-2000:])
    return folder


class Tap:
    """TAP output of a test program written as a list of checks."""

    def __init__(self):
        self.n = self.failed = 0

    def ok(self, good, name, detail=""):
        self.n += 1
        self.failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.n, name), flush=True)
        if not good and detail:
            for line in str(detail).splitlines()[-30:]:
                print("#   " + line, flush=True)
        return good

    def done(self):
        print("1..%d" % self.n)
        sys.exit(self.failed != 0)
