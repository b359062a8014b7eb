#!/usr/bin/python3
"""A provider's whole journey from the command line: `supercloud provider` against a real controller,
sc-provider and the emulator of EC2 (tests/lib/clouds/ec2.py): account, prices, image, an instance
that joins with the user data it got, its end, and what is left over.  Prints TAP."""
import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "clouds"))
import cloud                                           # noqa: E402
from cloud import Tap, wait_for                        # noqa: E402
import ec2                                             # noqa: E402

tap = Tap()
PORT = 7799
URL = "http://127.0.0.1:%d" % PORT


class Emulator:
    """The emulator as a process on the controller's own loopback."""

    def __init__(self, site):
        self.site = site
        self.process = site.popen("/usr/bin/python3", ec2.__file__, PORT, log="ec2.log")
        wait_for("the emulator", self.up, 20)

    def ask(self, path, body=None):
        cmd = ["curl", "-sS", "--max-time", "10", URL + "/_emulator/" + path]
        if body is not None:
            cmd += ["-d", json.dumps(body)]
        p = subprocess.run(self.site.cmd(*cmd), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return json.loads(p.stdout) if p.returncode == 0 else None

    def up(self):
        return self.ask("log") is not None

    def has(self):
        """{kind: {id: what it is}} of what costs or clutters."""
        out = {}
        for region in self.ask("state").values():
            for kind in ("instances", "images", "snapshots", "groups", "volumes"):
                for i, v in region[kind].items():
                    if v.get("state") != "terminated" and v.get("name") != "default":
                        out.setdefault(kind, {})[i] = v
        return out


def settings(*more):
    out = ["access_key_id=" + ec2.KEY, "regions=eu-west-1,us-east-1", "retry_ms:=4"]
    for name in ("ec2", "ebs", "sts", "pricing"):
        out.append("endpoint_%s=%s/{region}/%s" % (name, URL, name))
    return [w for s in out + list(more) for w in ("--set", s)]


def account(c):
    wrong = c.cli_raw("provider", "add", "aws", "ec2", *settings(), "--secret-stdin",
                      stdin="secret_access_key=wrong\n")
    tap.ok(wrong.returncode != 0 and "SignatureDoesNotMatch" in wrong.stderr
           and c.cli("provider", "list")["providers"] == [],
           "a wrong credential is refused in the provider's words, and nothing is kept", wrong)
    new = c.cli("provider", "add", "aws", "ec2", *settings(), "--secret-stdin",
                stdin="secret_access_key=%s\n" % ec2.SECRET)
    text = json.dumps(c.cli("provider", "show", "aws"))
    tap.ok(new["state"] == "ok" and ec2.ACCOUNT in new["identity"] and ec2.SECRET not in text,
           "the right one is taken, and the secret never shown again", (new, text))
    tap.ok(c.cli("provider", "regions", "aws")["regions"] == list(ec2.REGIONS), "regions")
    types = c.cli("provider", "types", "aws", "--region", "eu-west-1")["types"]
    tap.ok({t["name"] for t in types} == set(ec2.TYPES), "types", types)
    prices = c.cli("provider", "prices", "aws", "--region", "eu-west-1", "--type", "m5.large")
    tap.ok({p["what"] for p in prices["prices"]} == {"spot", "on-demand", "egress-internet",
                                                      "egress-region"}, "prices", prices)


def image(c, emulator):
    folder = os.path.join(c.net.dir, "image")
    os.makedirs(folder)
    data = os.urandom(3 * ec2.BLOCK) + bytes(ec2.BLOCK)
    with open(os.path.join(folder, "disk.raw"), "wb") as f:
        f.write(data)
    with open(os.path.join(folder, "manifest.json"), "w") as f:
        json.dump({"file": "disk.raw", "format": "raw", "boot": "bios", "distro": "debian",
                   "size": len(data), "virtual_size": len(data),
                   "sha256": hashlib.sha256(data).hexdigest()}, f)
    # The controller dies while blocks are on their way.
    emulator.ask("fault", {"kind": "slow", "route": "PutSnapshotBlock", "times": 3, "seconds": 3})
    c.cli("provider", "publish", "aws", folder, "--region", "eu-west-1", "--name", "appliance-1")
    wait_for("the first block", lambda: "PutSnapshotBlock" in
             [e["route"] for e in emulator.ask("log")], 20)
    c.nodes[0].kill("sc-controller", signal.SIGKILL)
    c.nodes[0].start("sc-controller")
    c.wait_api()

    def published():
        one = c.cli("provider", "images", "aws")["images"][0]
        return one if one["state"] in ("active", "failed") else None
    one = wait_for("the image", published, 60)
    has = emulator.has()
    tap.ok(one["state"] == "active" and list(has["images"]) == [one["image_id"]]
           and len(has["snapshots"]) == 1,
           "an image is published, once, although the controller was killed in the middle",
           (one, has))
    return one


def launch(c, emulator, published):
    """The instance is played by the second site: it joins with the user data that the provider
    holds for it."""
    import yaml
    node = c.nodes[1]
    answer = {}

    def ask():
        answer.update(c.cli("provider", "launch", "aws", node.name, "--image", published["name"],
                            "--region", "eu-west-1", "--type", "m5.large", "--rule",
                            "tcp:7480-7482:0.0.0.0/0", "--join-timeout", "60"))
    thread = threading.Thread(target=ask)
    thread.start()
    wait_for("the instance", lambda: emulator.has().get("instances"), 30)
    thread.join()
    made = list(emulator.has()["instances"].values())[0]
    section = yaml.safe_load(base64.b64decode(made["user_data"]))["supercloud"]
    tap.ok(section["role"] == "node" and section["name"] == node.name
           and len(emulator.has()["groups"]) == 1,
           "an instance is launched with user data of ours, behind its rules", section)
    path = os.path.join(node.dir, "user-data.json")
    with open(path, "w") as f:
        json.dump(section, f)
    node.join("--user-data", path, "--address", node.site.ip)
    node.start_all()
    job = c.job_of(answer, 60)
    tap.ok(job["state"] == "done", "and the job ends when it has joined", job)
    found = c.cli("provider", "instances", "aws", "--region", "eu-west-1")["instances"]
    tap.ok(len(found) == 1 and found[0]["node_name"] == node.name and found[0]["state"] == "running",
           "the list of instances says which node it is", found)
    return found[0]


def interrupted(c, emulator, published):
    """The controller dies while the provider is slow: the launch goes on afterwards, once."""
    first = c.nodes[0]
    emulator.ask("fault", {"kind": "slow", "route": "RunInstances", "seconds": 4})
    job = c.cli("provider", "launch", "aws", "late", "--image", published["name"], "--region",
                "eu-west-1", "--join-timeout", "1")["job"]["id"]
    wait_for("RunInstances", lambda: any(e["route"] == "RunInstances" and e["fault"] == "slow"
                                         for e in emulator.ask("log")), 20)
    first.kill("sc-controller", signal.SIGKILL)
    first.start("sc-controller")
    c.wait_api()
    ended = c.job_end(job, 60)
    run = [e for e in emulator.ask("log") if e["route"] == "RunInstances" and e["n"]]
    left = emulator.has().get("instances", {})
    tap.ok(ended["state"] == "failed" and len(left) == 1 and len(run) >= 2,
           "a controller killed while it launches goes on; who does not join is ended again",
           (ended, left))


def leftovers(c, emulator, published):
    """Something with this cluster's tag that no record knows, as after a disaster."""
    cluster = [t["Value"] for i in emulator.has()["images"].values() for t in i["tags"]
               if t["Key"] == "supercloud:cluster"][0]
    path = os.path.join(c.net.dir, "ec2.json")
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        json.dump(ec2.Ec2.settings(URL), f)
    out = c.nodes[0].site.run(c.bin("sc-provider"), "ec2", path, "launch", "--name", "orphan",
                              "--image", published["image_id"], "--cluster", cluster, "--token",
                              "lost")
    before = set(emulator.has()["instances"])
    found = c.cli("provider", "gc", "aws")["resources"]
    tap.ok([r["name"] for r in found if r["kind"] == "instance"] == ["orphan"],
           "gc lists what no record knows, and not what is in use", (found, out))
    c.cli("provider", "gc", "aws", "--remove", "--wait")
    after = set(emulator.has()["instances"])
    tap.ok(len(before) == 2 and len(after) == 1 and after < before
           and len(emulator.has()["volumes"]) == 1, "gc --remove removes that alone", after)


def end(c, emulator, instance, published):
    answer = c.cli("provider", "terminate", "aws", instance["id"], "--force")
    wait_for("the end of the instance", lambda: not emulator.has().get("instances"), 30)
    node = c.nodes[1]                   # With it end the programs that ran on it.
    for program in list(node.procs):
        node.kill(program)
    job = c.job_of(answer, 60)
    tap.ok(job["state"] == "done" and node.name not in
           [n["name"] for n in c.get("/nodes")["nodes"]],
           "terminate ends the instance, and the node is forgotten", job)
    has = emulator.has()
    tap.ok(set(has) == {"images", "snapshots"}, "its firewall goes with it", has)
    refused = c.cli_raw("provider", "remove", "aws")
    tap.ok(refused.returncode != 0, "an account with an image is not removed", refused)
    c.cli("provider", "image-delete", "aws", published["name"], "--wait")
    tap.ok(emulator.has() == {}, "the image goes with its snapshot", emulator.has())
    tap.ok(c.cli("provider", "gc", "aws")["resources"] == [], "gc finds nothing")
    c.cli("provider", "remove", "aws")
    tap.ok(c.cli("provider", "list")["providers"] == [], "the account is removed")


def main():
    with cloud.Cloud(hypervisor="fake") as c:
        first = c.nodes[0]
        first.join("--init-controller", "--region", first.region, "--provider", "local",
                   "--name", first.name, "--address", first.site.ip)
        first.start_all()
        c.login()
        emulator = Emulator(first.site)
        account(c)
        published = image(c, emulator)
        instance = launch(c, emulator, published)
        interrupted(c, emulator, published)
        leftovers(c, emulator, published)
        end(c, emulator, instance, published)
    tap.done()


main()
