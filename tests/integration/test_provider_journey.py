#!/usr/bin/python3
"""The whole journey of a provider's account through a real sc-controller, sc-provider and the
command line, against each emulated cloud (tests/lib/clouds): add, publish, launch, join, list,
prices, terminate, gc; a controller killed in the middle of publish and of launch; a cloud that
breaks.  The clouds are emulated, and so are their machines: this test reads the user-data that
one was launched with and runs the real sc-join with it.  Prints TAP."""
import base64
import glob
import hashlib
import importlib
import json
import os
import re
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import http.client

import yaml

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path[:0] = [os.path.join(TOP, "tests/lib"), os.path.join(TOP, "tests/lib/clouds")]
import base                                            # noqa: E402
import frame                                           # noqa: E402
import azure                                           # noqa: E402
import ec2                                             # noqa: E402
import gce                                             # noqa: E402
from ports import free_ports                           # noqa: E402

ENDED = ("done", "failed", "cancelled")
tap = base.Tap()
MIB = 1 << 20


def wait(what, fn, timeout=60):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        r = fn()
        if r:
            return r
        time.sleep(0.05)
    raise TimeoutError(what)


class Controller:
    """sc-controller on loopback, on ports of its own, and the command line logged in to it."""

    def __init__(self, folder):
        self.dir = folder
        self.rpc, self.console, openflow = free_ports(3)
        self.config = os.path.join(folder, "supercloud.json")
        self.proc = None
        self.join(folder, "--init-controller", "--region", "home", "--provider", "local",
                  "--name", "ctl")
        with open(self.config) as f:
            c = json.load(f)
        c["controller"] = {"host": "127.0.0.1", "port": self.rpc}
        c["controller_listen"] = "127.0.0.1:%d" % self.rpc
        c["console_listen"] = "127.0.0.1:%d" % self.console
        c["openflow_listen"] = "127.0.0.1:%d" % openflow
        with open(self.config, "w") as f:
            json.dump(c, f)
        self.start()
        with open(os.path.join(folder, "state/controller/initial-password")) as f:
            password = f.read()
        self.cli("login", "https://127.0.0.1:%d" % self.console, "--user", "admin",
                 "--password-stdin", "--trust", stdin=password)
        with open(os.path.join(folder, ".config/supercloud/config.json")) as f:
            self.token = re.search(r'"token":\s*"([^"]+)"', f.read())[1]

    @staticmethod
    def join(folder, *args):
        p = subprocess.run(
            [base.binary("sc-join"), "--config-out", os.path.join(folder, "supercloud.json"),
             "--run-dir", os.path.join(folder, "run"), "--state-dir",
             os.path.join(folder, "state"), "--pki-dir", os.path.join(folder, "pki"),
             "--hypervisor", "fake", "--datapath", "netdev", "--ovsdb", "/nonexistent/db.sock",
             "--address", "127.0.0.1", *args], capture_output=True, text=True, timeout=60)
        if p.returncode:
            raise RuntimeError("sc-join: %s%s" % (p.stdout, p.stderr))

    def start(self):
        log = open(os.path.join(self.dir, "controller.log"), "a")
        self.proc = subprocess.Popen([base.binary("sc-controller"), "--config", self.config],
                                     stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        wait("the controller", lambda: self.api("GET", "/version"), 30)

    def kill(self):
        self.proc.kill()
        self.proc.wait()

    def close(self):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def api(self, method, path, body=None):
        """The answer, or None if nobody answers."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        c = http.client.HTTPSConnection("127.0.0.1", self.console, timeout=60, context=context)
        headers = {"Authorization": "Bearer " + getattr(self, "token", ""),
                   "Content-Type": "application/json"}
        try:
            c.request(method, "/api/v1" + path, json.dumps(body) if body is not None else None,
                      headers)
            return json.loads(c.getresponse().read())
        except (OSError, http.client.HTTPException):
            if self.proc.poll() is not None:
                raise RuntimeError("sc-controller ended")
            return None
        finally:
            c.close()

    def put(self, path, data):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        c = http.client.HTTPSConnection("127.0.0.1", self.console, timeout=60, context=context)
        try:
            c.request("PUT", "/api/v1" + path, data, {"Authorization": "Bearer " + self.token})
            return json.loads(c.getresponse().read())
        finally:
            c.close()

    def cli_raw(self, *args, stdin=""):
        env = dict(os.environ, HOME=self.dir, XDG_CONFIG_HOME=os.path.join(self.dir, ".config"))
        return subprocess.run([base.binary("supercloud"), *args], env=env, input=stdin,
                              capture_output=True, text=True, timeout=120)

    def cli(self, *args, stdin=""):
        p = self.cli_raw("-o", "json", *args, stdin=stdin)
        if p.returncode:
            raise RuntimeError("supercloud %s: exit %d: %s" % (" ".join(args), p.returncode,
                                                               p.stderr))
        return json.loads(p.stdout) if p.stdout.strip() else None

    def job(self, job_id):
        return self.api("GET", "/jobs/" + job_id)

    def job_end(self, job_id, timeout=90):
        return wait("the end of job " + job_id,
                    lambda: (lambda j: j if j and j["state"] in ENDED else None)(
                        self.job(job_id)), timeout)

    def step(self, job_id, name):
        """Waits until the job is in step 'name', or has ended; the job."""
        def there():
            j = self.job(job_id)
            if not j:
                return None
            s = [s for s in j["steps"] if s["name"] == name][0]
            return j if j["state"] != "running" or s["state"] == "running" else None
        return wait("step " + name, there)

    def images(self, name):
        return self.api("GET", "/providers/%s/images" % name)["images"]

    def spool(self):
        return os.listdir(os.path.join(self.dir, "state/spool"))

    def holds(self, text):
        """In which files of ours 'text' is."""
        found = []
        for path in glob.glob(os.path.join(self.dir, "**"), recursive=True):
            if os.path.isfile(path) and "/given-" not in path:
                with open(path, "rb") as f:
                    if text.encode() in f.read():
                        found.append(path)
        return found


# --- the clouds: what differs ------------------------------------------------------------

def manifest(folder, file, fmt, size):
    os.makedirs(folder)
    path = os.path.join(folder, file)
    yield path
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    with open(os.path.join(folder, "manifest.json"), "w") as f:
        json.dump({"file": file, "format": fmt, "virtual_size": size, "sha256": digest,
                   "boot": "bios", "distro": "debian", "packages": []}, f)


class OnEc2:
    name, region, type = "ec2", "eu-west-1", "m8i.large"
    keeps_consoles = True
    secret = "secret_access_key"

    def __init__(self):
        self.cloud = ec2.Ec2()

    def image(self, folder, blocks=12):
        for path in manifest(folder, "disk.raw", "raw", blocks * ec2.BLOCK):
            with open(path, "wb") as f:
                f.write(os.urandom(blocks * ec2.BLOCK))

    def user_data(self, name):
        for region in self.cloud.state.values():
            for i in region["instances"].values():
                if {"Key": "Name", "Value": name} in i["tags"] or name in json.dumps(i["tags"]):
                    return base64.b64decode(i["user_data"]).decode()
        return None

class OnGce:
    name, region, type = "gce", "europe-west1", "n2-standard-2"
    keeps_consoles = True
    secret = "service_account"

    def __init__(self):
        self.cloud = gce.Gce()

    def image(self, folder, blocks=0):
        for path in manifest(folder, "image.tar.gz", "tar.gz", 1 << 30):
            raw = os.path.join(folder, "disk.raw")
            with open(raw, "wb") as f:
                f.truncate(1 << 30)
                f.seek(5 << 20)
                f.write(os.urandom(3 * MIB))
            subprocess.run(["tar", "--format=oldgnu", "-S", "-C", folder, "-czf", path,
                            "disk.raw"], check=True)
            os.unlink(raw)

    def user_data(self, name):
        for body in self.cloud.inserted:
            if body["name"] == name:
                return [m["value"] for m in body["metadata"]["items"]
                        if m["key"] == "user-data"][0]
        return None

class OnAzure:
    name, region, type = "azure", "westeurope", "Standard_D2s_v5"
    keeps_consoles = True
    secret = "client_secret"

    def __init__(self):
        self.cloud = azure.Azure()

    def image(self, folder, blocks=20):
        for path in manifest(folder, "disk.vhd", "vhd", blocks * MIB):
            f = bytearray(512)
            struct.pack_into(">8sIIQI4sI4sQQ", f, 0, b"conectix", 2, 0x10000, (1 << 64) - 1, 0,
                             b"test", 0x10000, b"Wi2k", blocks * MIB, blocks * MIB)
            struct.pack_into(">I", f, 60, 2)
            f[68:84] = os.urandom(16)
            struct.pack_into(">I", f, 64, ~sum(f) & 0xffffffff)
            with open(path, "wb") as out:
                out.write(os.urandom(blocks * MIB) + f)

    def user_data(self, name):
        for vm in self.cloud.state["virtualMachines"].values():
            if vm["name"] == name:
                return base64.b64decode(vm["properties"]["osProfile"]["customData"]).decode()
        return None

class OnOpenStack:
    name, region, type = "openstack", "RegionOne", "m1.medium"
    keeps_consoles = True
    secret = "password"
    module, kind = "openstack", "OpenStack"

    def __init__(self):
        self.cloud = getattr(importlib.import_module(self.module), self.kind)()

    def config(self):
        return self.cloud.config(prices="%s=0.25" % self.type)

    def image(self, folder, blocks=1):
        for path in manifest(folder, "disk.qcow2", "qcow2", 10 << 30):
            with open(path, "wb") as f:
                f.write(os.urandom(300000))

    def user_data(self, name):
        for r in self.cloud.state["regions"].values():
            for i in r["servers"].values():
                if i["name"] == name:
                    return base64.b64decode(i["user_data"]).decode()
        return None


class OnRackspace(OnOpenStack):
    name, region = "rackspace-classic", "DFW"
    keeps_consoles = False
    secret = "api_key"
    module, kind = "rackspace", "Rackspace"
    image = OnAzure.image


# --- the story ---------------------------------------------------------------------------

class Story:
    def __init__(self, ctl, on):
        self.ctl, self.on, self.acc = ctl, on, "my-" + on.name
        self.folder = os.path.join(ctl.dir, "given-" + on.name)
        os.makedirs(self.folder)

    def ok(self, good, what, detail=""):
        return tap.ok(good, "%s: %s" % (self.on.name, what), detail)

    def add(self):
        config = self.on.config() if hasattr(self.on, "config") else self.on.cloud.config()
        secret = config.pop(self.on.secret)
        sets = [a for k, v in config.items()
                for a in ("--set", "%s=%s" % (k, v) if isinstance(v, str) else
                          "%s:=%s" % (k, json.dumps(v)))]
        path = os.path.join(self.folder, "secret")
        with open(path, "w") as f:
            f.write("%s=wrong-%s\n" % (self.on.secret, os.urandom(4).hex())
                    if self.on.name != "gce" else
                    json.dumps({"service_account": secret.replace("emulated-key-1", "other")
                                .replace(self.on.cloud.email, "nobody@x")}))
        os.chmod(path, 0o600)
        p = self.ctl.cli_raw("provider", "add", self.acc, self.on.name, *sets, "--secret-file",
                             path)
        self.ok(p.returncode == 4 and self.acc not in json.dumps(self.ctl.cli("provider", "list")),
                "a wrong secret is refused and nothing kept", (p.returncode, p.stderr))
        with open(path, "w") as f:
            json.dump({self.on.secret: secret}, f)
        a = self.ctl.cli("provider", "add", self.acc, self.on.name, *sets, "--secret-file", path)
        self.ok(a["state"] == "ok" and a["identity"] and a["has_secret"], "the account is added", a)
        p = self.ctl.cli_raw("provider", "show", self.acc)
        self.ok(p.returncode == 0 and a["identity"] in p.stdout, "and shown", p)
        key = secret if self.on.name != "gce" else self.on.cloud.pem.splitlines()[2]
        found = self.ctl.holds(key)
        self.ok(not found, "its secret is in no file of ours", found)

    def bad_upload(self, images):
        """Bytes that are not the manifest's, by the API itself."""
        with open(os.path.join(images, "manifest.json")) as f:
            m = json.load(f)
        body = {k: m[k] for k in ("file", "format", "virtual_size", "sha256")}
        i = self.ctl.api("POST", "/providers/%s/images" % self.acc,
                         dict(body, name="sc-1", size=5000))
        answers = [self.ctl.put("/providers/%s/images/%s/file" % (self.acc, i["id"]), data)
                   for data in (b"short", os.urandom(5000))]
        now = self.ctl.images(self.acc)
        self.ok([a["error"]["code"] for a in answers] == ["EINVAL", "EBADMSG"] and
                [(x["state"], bool(x["error"])) for x in now] == [("queued", True)] and
                not self.ctl.spool(), "a broken upload is refused and can be begun again",
                (answers, now))

    def publish(self):
        images = os.path.join(self.folder, "image")
        self.on.image(images)
        bad = os.path.join(self.folder, "bad")
        os.makedirs(bad)
        for name in os.listdir(images):
            with open(os.path.join(images, name), "rb") as f, \
                    open(os.path.join(bad, name), "wb") as g:
                g.write(f.read().replace(b'"sha256": "', b'"sha256": "0')[:-1]
                        if name == "manifest.json" else f.read())
        p = self.ctl.cli_raw("provider", "publish", self.acc, bad)
        self.ok(p.returncode != 0, "a manifest that is not true is refused here", p)
        self.bad_upload(images)
        i = self.ctl.cli("provider", "publish", self.acc, images, "--name", "sc-1", "--wait")
        self.ok(i["state"] == "active" and i["image_id"], "an image is published", i)
        self.ok(not self.ctl.spool(), "its upload is gone", self.ctl.spool())
        p = self.ctl.cli_raw("provider", "images", self.acc)
        self.ok("sc-1" in p.stdout and "active" in p.stdout, "and listed", p)

    def become(self, name, job_id):
        """The emulated machine: the real sc-join with what it was launched with."""
        text = wait("the user-data of " + name, lambda: self.on.user_data(name))
        section = yaml.safe_load(text)["supercloud"]
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "user-data.json")
        with open(path, "w") as f:
            json.dump(section, f)
        self.ctl.join(folder, "--user-data", path)
        return section

    def launch(self):
        a = self.ctl.cli_raw("provider", "launch", self.acc, "n1-" + self.on.name, "--image",
                             "sc-1", "--type", self.on.type, "--rule", "tcp:7480-7482:0.0.0.0/0")
        job_id = a.stdout.strip()
        if not self.ok(a.returncode == 0 and job_id, "a launch is begun", a):
            return
        j = self.ctl.step(job_id, "join")
        if not self.ok(j["state"] == "running", "the instance is there", j):
            return
        section = self.become("n1-" + self.on.name, job_id)
        self.ok(section["region"] == self.on.region and section["provider"] == self.on.name,
                "its user-data says where it is", section)
        j = self.ctl.job_end(job_id)
        self.ok(j["state"] == "done", "it has joined", j)
        self.ok(not self.ctl.holds(section["token"].split(".")[2]) or
                all("user-data.json" in p for p in self.ctl.holds(section["token"].split(".")[2])),
                "the join token is in no file of the controller's", "")
        got = self.ctl.cli("provider", "list", self.acc)["instances"]
        self.ok([i["node_name"] for i in got if i["name"] == "n1-" + self.on.name] ==
                ["n1-" + self.on.name], "the instance is known as the node", got)

    def offers(self):
        types = self.ctl.cli("provider", "types", self.acc)["types"]
        prices = self.ctl.cli("provider", "prices", self.acc, "--type", self.on.type)["prices"]
        self.ok(any(t["name"] == self.on.type for t in types), "types are listed", types[:3])
        self.ok(any(p["amount"] > 0 for p in prices), "prices are listed", prices[:3])
        regions = self.ctl.cli("provider", "regions", self.acc)["regions"]
        self.ok(self.on.region in regions, "regions are listed", regions)

    def orphans(self):
        return self.ctl.cli("provider", "gc", self.acc)["resources"]

    def killed_in_publish(self, at):
        name = "sc-kill-%d" % at
        images = os.path.join(self.folder, name)
        self.on.image(images)
        self.on.cloud.clear()
        self.on.cloud.fault("slow", times=10000, seconds=0.1)
        i = self.ctl.cli("provider", "publish", self.acc, images, "--name", name)
        wait("request %d" % at, lambda: len(self.on.cloud.log) >= at or
             self.ctl.job(i["job"])["state"] != "running")
        self.ctl.kill()
        self.on.cloud.clear()
        self.ctl.start()
        j = self.ctl.job_end(i["job"])
        self.ok(j["state"] == "done" and [x for x in self.ctl.images(self.acc)
                                          if x["name"] == name and x["state"] == "active"],
                "a controller killed at request %d of publish goes on" % at, j)
        self.ok(not self.orphans() and not self.ctl.spool(), "... and leaves nothing",
                (self.orphans(), self.ctl.spool()))

    def killed_in_launch(self, at):
        name = "k%d-%s" % (at, self.on.name)
        self.on.cloud.clear()
        self.on.cloud.fault("slow", times=10000, seconds=0.1)
        a = self.ctl.api("POST", "/providers/%s/launch" % self.acc,
                         {"name": name, "image": "sc-1", "type": self.on.type})
        job_id = a["job"]["id"]
        wait("request %d" % at, lambda: len(self.on.cloud.log) >= at or
             self.ctl.job(job_id)["steps"][2]["state"] != "waiting")
        self.ctl.kill()
        self.on.cloud.clear()
        self.ctl.start()
        self.ctl.step(job_id, "join")
        self.become(name, job_id)
        j = self.ctl.job_end(job_id)
        self.ok(j["state"] == "done", "a controller killed at request %d of launch goes on" % at, j)
        got = [i for i in self.ctl.cli("provider", "instances", self.acc)["instances"]
               if i["name"] == name and i["state"] != "terminated"]
        self.ok(len(got) == 1 and not self.orphans(), "... with one instance and nothing else",
                (got, self.orphans()))

    def cancelled_in_publish(self, at, killed=False):
        """Cancelled while request 'at' is answered; with 'killed' the controller dies right
        afterwards.  A cancel that comes twice is one."""
        name = "sc-cancel-%d%s" % (at, "-killed" if killed else "")
        how = "cancelled at request %d%s" % (at, ", the controller killed then" if killed else "")
        images = os.path.join(self.folder, name)
        self.on.image(images)
        self.on.cloud.clear()
        self.on.cloud.fault("slow", times=10000, seconds=0.5)
        i = self.ctl.cli("provider", "publish", self.acc, images, "--name", name)
        wait("request %d" % at, lambda: len(self.on.cloud.log) >= at or
             self.ctl.job(i["job"])["state"] != "running")
        first = self.ctl.api("POST", "/jobs/%s/cancel" % i["job"], {})
        if killed:
            self.ctl.kill()
            frame.settle(self.on.cloud)         # What is on its way is made after all.
            self.ctl.start()
        else:
            self.ctl.api("POST", "/jobs/%s/cancel" % i["job"], {})
        self.on.cloud.clear()
        j = self.ctl.job_end(i["job"])
        one = [x for x in self.ctl.images(self.acc) if x["name"] == name]
        self.ok(first.get("job", {}).get("cancel_by") == "admin" and j["state"] == "cancelled" and
                j["error"] == "cancelled by admin" and one[0]["state"] == "failed",
                "publish, %s, ends as cancelled" % how, (first, j, one))
        self.ok(not self.orphans() and not self.ctl.spool(), "... and leaves nothing",
                (self.orphans(), self.ctl.spool(), j["log"]))
        p = self.ctl.cli_raw("job", "cancel", i["job"])
        self.ok(p.returncode == 5 and "it is cancelled" in p.stderr,
                "... and once more is a conflict that says so", p)

    def cancelled_in_launch(self, at):
        """Cancelled while request 'at' is answered."""
        name = "c%d-%s" % (at, self.on.name)
        self.on.cloud.clear()
        self.on.cloud.fault("slow", times=10000, seconds=0.5)
        job_id = self.ctl.api("POST", "/providers/%s/launch" % self.acc, {
            "name": name, "image": "sc-1", "type": self.on.type})["job"]["id"]
        wait("request %d" % at, lambda: len(self.on.cloud.log) >= at)
        self.ctl.api("POST", "/jobs/%s/cancel" % job_id, {})
        self.on.cloud.clear()
        j = self.ctl.job_end(job_id)
        got = [x for x in self.ctl.cli("provider", "instances", self.acc)["instances"]
               if x["name"] == name and x["state"] != "terminated"]
        self.ok(j["state"] == "cancelled" and not got and not self.orphans(),
                "a launch cancelled at request %d leaves nothing" % at,
                (j, got, self.orphans()))

    def revoked(self):
        """The credential is refused from some request of a publish on: the job fails, nothing
        can be undone, and what is left gc finds when the credential is good again."""
        images = os.path.join(self.folder, "broken")
        self.on.image(images)
        self.on.cloud.clear()
        self.on.cloud.fault("expired", since=4, times=10000)
        i = self.ctl.cli("provider", "publish", self.acc, images, "--name", "sc-revoked")
        j = self.ctl.job_end(i["job"])
        shown = self.ctl.cli("provider", "show", self.acc)
        self.on.cloud.clear()
        self.ok(j["state"] == "failed" and j["error"],
                "a credential revoked in the middle of publish fails the job", j)
        self.ok(shown["state"] == "failed" and shown["error"], "the account says so", shown)
        self.ok("not undone" in json.dumps(j["log"]) and not self.ctl.spool(),
                "the job says what could not be undone", j["log"])
        found = self.orphans()
        j = self.ctl.cli("provider", "gc", self.acc, "--remove", "--wait")
        self.ok(j["state"] == "done" and j["result"]["removed"] == len(found),
                "gc finds and removes it (%s)" % ", ".join(r["kind"] for r in found), j)
        self.ok(not self.orphans(), "and nothing is left", self.orphans())

    def end(self):
        for i in self.ctl.cli("provider", "instances", self.acc)["instances"]:
            if i["state"] != "terminated" and i["node"]:
                p = self.ctl.cli_raw("-o", "json", "provider", "console", self.acc, i["name"])
                self.ok("data" in json.loads(p.stdout) if self.on.keeps_consoles
                        else p.returncode == 1 and "console" in p.stderr,
                        "the serial log of an instance is asked for where the cloud keeps one",
                        p)
                self.ctl.cli("provider", "terminate", self.acc, i["name"], "--wait")
        for i in self.ctl.images(self.acc):
            self.ctl.cli("provider", "image-delete", self.acc, i["name"], "--wait")
        p = self.ctl.cli_raw("provider", "remove", self.acc)
        if p.returncode:
            self.ok(False, "the account is removed", p)
            return
        nodes = [n["name"] for n in self.ctl.api("GET", "/nodes")["nodes"]]
        self.ok(not [n for n in nodes if n.endswith(self.on.name)], "its nodes are forgotten", nodes)

    def tell(self):
        began = time.monotonic()
        with self.on.cloud:
            self.add()
            self.publish()
            self.launch()
            self.offers()
            self.killed_in_publish(4)
            self.killed_in_launch(2)
            self.cancelled_in_publish(3)
            self.cancelled_in_publish(3, killed=True)
            self.cancelled_in_launch(2)
            self.revoked()
            left = self.orphans()
            self.ok(not left, "nothing is left over before the end", left)
            self.ctl.cli("provider", "gc", self.acc, "--remove", "--wait")
            self.end()
            self.ok(not self.on.cloud.crashes, "the emulator did not crash", self.on.cloud.crashes)
        print("# %s: %.1f s" % (self.on.name, time.monotonic() - began))


CLOUDS = {c.name: c for c in (OnEc2, OnGce, OnAzure, OnOpenStack, OnRackspace)
          if os.path.exists(os.path.join(TOP, "tests/lib/clouds",
                                         getattr(c, "module", c.name) + ".py"))}


def one(name):
    with tempfile.TemporaryDirectory(prefix="sc-journey-") as folder:
        ctl = Controller(folder)
        try:
            Story(ctl, CLOUDS[name]()).tell()
        except BaseException:
            with open(os.path.join(folder, "controller.log"), errors="replace") as f:
                for line in f.read().splitlines()[-30:]:
                    print("# " + line[:300])
            raise
        finally:
            ctl.close()
    tap.done()


def main():
    """Each cloud in a process of its own, at once: they mostly wait."""
    if len(sys.argv) > 1:
        one(sys.argv[1])
        return
    runs = [(n, subprocess.Popen([sys.executable, __file__, n], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)) for n in CLOUDS]
    n = failed = 0
    for name, p in runs:
        for line in p.communicate()[0].splitlines():
            m = re.match(r"(not ok|ok) \d+ - (.*)", line)
            if m:
                n += 1
                failed += m[1] != "ok"
                print("%s %d - %s" % (m[1], n, m[2]))
            elif not line.startswith("1.."):
                print(line if line.startswith("#") else "# " + line)
        n += 1
        failed += p.returncode != 0
        print("%s %d - %s: the story came to its end" % ("not ok" if p.returncode else "ok", n,
                                                         name), flush=True)
    print("1..%d" % n)
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
