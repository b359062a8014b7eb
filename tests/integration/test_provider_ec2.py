#!/usr/bin/python3
"""The EC2 driver through `sc-provider worker`, against the emulator of tests/lib/clouds/ec2.py:
the whole journey, every refusal's words, and a fault at every request of publish and launch.
Prints TAP."""
import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib/clouds"))
import base                                            # noqa: E402
import ec2                                             # noqa: E402

tap = base.Tap()
TAGS = {"cluster": "cluster-1", "token": "job-1"}
RULES = [{"protocol": "tcp", "port_from": 8443, "cidr": "0.0.0.0/0"},
         {"protocol": "udp", "port_from": 4789, "port_to": 4790, "cidr": "2001:db8::/32"},
         {"protocol": "icmp", "cidr": "0.0.0.0/0"}]
folder = tempfile.TemporaryDirectory()
cloud = ec2.Ec2()


def image_file(name, blocks, zero=()):
    """A raw image of random blocks, some of them zero, the last cut short."""
    data = b"".join(bytes(ec2.BLOCK) if i in zero else os.urandom(ec2.BLOCK)
                    for i in range(blocks))[:-4096]
    path = os.path.join(folder.name, name)
    with open(path, "wb") as f:
        f.write(data)
    return path, data


def publish_args(path, data, name="supercloud-1"):
    return {"name": name, "region": "eu-west-1", "file": path, "format": "raw", "boot": "bios",
            "sha256": hashlib.sha256(data).hexdigest(), "virtual_size": len(data)}


def call(name, args=None, config=None, **kw):
    kw.setdefault("tags", TAGS)
    return base.worker("ec2", cloud.config(**(config or {})), name, args, **kw)


def stored(snapshot, size):
    """The volume as the emulator has it."""
    out = b"".join(cloud.blocks.get((snapshot, i), bytes(ec2.BLOCK))
                   for i in range((size + ec2.BLOCK - 1) // ec2.BLOCK))
    return out[:size]


def sweep(name):
    """What gc does: leftovers, removed one by one."""
    found = call("leftovers", {"cluster": TAGS["cluster"]})
    for r in found.result["resources"]:
        one = call("remove", {k: r[k] for k in ("kind", "region", "id")})
        if one.error:
            tap.ok(False, "%s: remove %s %s" % (name, r["kind"], r["id"]), one)
    return found.result["resources"]


def consoles(state, nitro, other):
    """'nitro' is on a host that tells at once; 'other' is made one that does not."""
    args = {"region": "eu-west-1", "id": nitro}
    tap.ok(call("console", args).result == {"console": ""}, "a console that says nothing is empty")
    log = b"supercloud: ERROR [SC-C01] no\0user-data\r\n"
    state["instances"][nitro]["console"] = log
    out = call("console", args)
    tap.ok(out.result == {"console": "supercloud: ERROR [SC-C01] no?user-data\r\n"},
           "console gives the serial log, as text", out)
    state["instances"][nitro]["console"] = b"\n".join(b"line %06d" % n for n in range(9000))
    text = (call("console", args).result or {}).get("console", "")
    tap.ok(65000 < len(text) <= 65536 and text.startswith("line ") and text.endswith("008999"),
           "... its newest 64 KiB, from the beginning of a line on", (len(text), text[:30]))
    state["instances"][other].update(type="t2.micro", console=b"after the boot")
    cloud.clear()
    out = call("console", {"region": "eu-west-1", "id": other})
    tap.ok(out.result == {"console": "after the boot"} and cloud.routes()
           == ["GetConsoleOutput"] * 2, "... what is kept, where the host cannot tell the latest",
           (out, cloud.routes()))
    state["instances"][other]["type"] = "m5.large"
    out = call("console", {"region": "eu-west-1", "id": "i-0123456789abcdef0"})
    tap.ok(out.error and out.error["code"] == "ENOENT", "... of an instance that is there", out)
    state["instances"][other]["tags"], tags = [], state["instances"][other]["tags"]
    out = call("console", {"region": "eu-west-1", "id": other})
    tap.ok(out.error and out.error["code"] == "EACCES" and "ec2:GetConsoleOutput" in
           out.error["message"], "... and ours: the policy lets nobody else's be read", out)
    state["instances"][other]["tags"] = tags
    i = [x for x in call("list").result["instances"] if x["id"] == nitro]
    tap.ok("GetConsoleOutput" in i[0]["console"] and nitro in i[0]["console"],
           "an instance says where its console is", i)


def journey():
    path, data = image_file("disk.raw", 16, zero=(2, 3, 7))
    out = call("check")
    tap.ok(out.result == {"identity": "account 123456789012, "
                          "arn:aws:iam::123456789012:user/supercloud"}, "check says who we are", out)
    tap.ok(call("regions").result == {"regions": list(ec2.REGIONS)}, "regions are listed")
    out = call("publish", publish_args(path, data))
    tap.ok(out.result and out.result["image"]["region"] == "eu-west-1", "publish ends", out)
    ami = out.result["image"]["id"]
    image = cloud.state["eu-west-1"]["images"][ami]
    tap.ok(stored(image["snapshot"], len(data)) == data, "the volume is the file, byte for byte")
    sent = cloud.routes().count("PutSnapshotBlock")
    tap.ok(sent == 13, "blocks of zeroes are not sent", sent)
    tap.ok((image["boot"], image["imds"], image["ena"]) == ("legacy-bios", "v2.0", True),
           "the image boots by BIOS, has ENA and wants IMDSv2", image)
    tap.ok(out.progress[-1]["stage"] == "register" or out.progress[-1]["stage"] == "snapshot",
           "progress names the stage", out.progress)
    before = len(cloud.log)
    again = call("publish", publish_args(path, data), tags=dict(TAGS, token="job-9"))
    tap.ok(again.result == out.result and len(cloud.log) - before <= 3,
           "the same file under the same name is there already", again)
    other = call("publish", dict(publish_args(*image_file("other.raw", 1))))
    tap.ok(other.error and other.error["code"] == "EEXIST" and "another name" in
           other.error["message"], "another file under that name is refused", other)

    args = {"name": "node-1", "region": "eu-west-1", "zone": "eu-west-1b", "type": "m8i.large",
            "image": ami, "user_data": "#cloud-config\n# ä\n", "spot": True, "max_price": 0.06,
            "disk_gib": 20, "rules": RULES, "options": {
                "public_address": True, "subnet_id": "subnet-0of0vpc2", "key_name": "mine",
                "security_group_ids": ["sg-0default0default00"], "nested_virtualisation": True}}
    out = call("launch", args, tags=dict(TAGS, token="job-2"))
    i = (out.result or {}).get("instance", {})
    tap.ok(i.get("state") == "running" and i["spot"] and i["zone"] == "eu-west-1b"
           and i["address"].startswith("198.51.100.") and i["token"] == "job-2",
           "launch answers with the running instance", out)
    state = cloud.state["eu-west-1"]
    made = state["instances"][i["id"]]
    tap.ok(base64.b64decode(made["user_data"]).decode() == args["user_data"],
           "the instance gets our user data")
    tap.ok(made["metadata"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
           and made["nested"] == "enabled" and made["subnet"] == "subnet-0of0vpc2",
           "IMDSv2 within one hop, nested virtualisation, our subnet", made)
    group = state["groups"][made["groups"][0]]
    tap.ok(group["vpc"] == "vpc-0second" and [r["IpProtocol"] for r in group["rules"]]
           == ["tcp", "udp", "icmp"] and group["rules"][1]["Ipv6Ranges"]
           == [{"CidrIpv6": "2001:db8::/32"}] and group["rules"][1]["ToPort"] == 4790,
           "its security group is in the subnet's network and has the rules", group)
    tap.ok(state["volumes"][made["volume"]]["size"] == 20, "its disk has the size asked for")
    again = call("launch", args, tags=dict(TAGS, token="job-2"))
    tap.ok(again.result and again.result["instance"]["id"] == i["id"]
           and len(cloud.has()["instances"]) == 1, "the same launch again is the same instance",
           again)

    plain = call("launch", {"name": "node-2", "image": ami, "type": "m5.large"},
                 tags=dict(TAGS, token="job-3")).result["instance"]
    consoles(state, i["id"], plain["id"])
    cloud.page = 1
    out = call("list")
    tap.ok([x["name"] for x in out.result["instances"]] == ["node-1", "node-2"],
           "list follows pages through all regions", out)
    out = call("types", {"region": "us-east-1"})
    types = {t["name"]: t for t in out.result["types"]}
    tap.ok(len(types) == len(ec2.TYPES) and not types["t2.micro"]["xen"]
           and types["c5.metal"]["xen"] and types["c5.metal"]["nested_virtualisation"]
           and types["m8i.large"]["nested_virtualisation"] and types["m5.large"] == {
               "name": "m5.large", "vcpus": 2, "memory_mib": 8192,
               "nested_virtualisation": False, "xen": True}, "types follow pages", out)
    out = call("prices", {"region": "eu-west-1", "type": "m5.large"})
    prices = {(p["what"], p["zone"]): (p["amount"], p["unit"]) for p in out.result["prices"]}
    tap.ok(prices == {("spot", "eu-west-1a"): (0.0391, "hour"),
                      ("spot", "eu-west-1b"): (0.04301, "hour"),
                      ("on-demand", ""): (0.107, "hour"), ("egress-internet", ""): (0.09, "GiB"),
                      ("egress-region", ""): (0.02, "GiB")}, "prices: spot, on demand, traffic", out)
    cloud.page = 1000
    out = call("fence", {"region": "eu-west-1", "id": plain["id"]})
    tap.ok(out.result == {} and state["instances"][plain["id"]]["state"] == "stopped",
           "fence stops an instance for certain", out)
    out = call("fence", {"region": "eu-west-1", "id": i["id"]})
    tap.ok(out.result == {} and made["state"] == "terminated",
           "fence ends a spot instance, which cannot be stopped", out)
    out = call("fence", {"region": "us-east-1", "id": plain["id"]})
    tap.ok(out.error and out.error["code"] == "ENOENT",
           "fence does not take an instance that is elsewhere for one that is off", out)
    out = call("terminate", {"region": "eu-west-1", "id": i["id"]})
    tap.ok(out.result == {} and "groups" not in cloud.has(),
           "terminate removes the security group too", (out, cloud.has()))
    tap.ok(call("terminate", {"region": "eu-west-1", "id": "i-0123456789abcdef0"}).result == {},
           "terminate of one that is not there is done")
    found = sweep("journey")
    tap.ok({r["kind"] for r in found} == {"instance", "image", "snapshot", "volume"}
           and cloud.has() == {}, "leftovers finds all the rest, remove leaves nothing",
           (found, cloud.has()))


REFUSALS = [
    # name, change of the emulator, call, args, settings, code, words
    ("a wrong secret", {}, "check", {}, {"secret_access_key": "wrong"}, "EACCES",
     ["SignatureDoesNotMatch", "request 0", "secret_access_key"]),
    ("an unknown key", {}, "list", {}, {"access_key_id": "AKIAWRONG"}, "EACCES",
     ["AuthFailure", "access_key_id"]),
    ("a wrong secret at EBS", {}, "publish", "image", {"secret_access_key": "wrong"}, "EACCES",
     ["secret_access_key"]),
    ("a session token that is not wanted", {}, "list", {}, {"session_token": "x"}, "EACCES",
     ["session_token"]),
    ("a missing permission", {"forbid": "ec2:RunInstances"}, "launch", {}, {}, "EACCES",
     ["UnauthorizedOperation", "allow ec2:RunInstances", "ec2-policy.json"]),
    ("a missing permission at EBS", {"forbid": "ebs:StartSnapshot"}, "publish", "image", {},
     "EACCES", ["allow ebs:StartSnapshot"]),
    ("a missing permission of the price list", {"forbid": "pricing:GetProducts"}, "prices", {}, {},
     "EACCES", ["allow pricing:GetProducts"]),
    ("a quota", {"vcpu_quota": 1}, "launch", {}, {}, "EDQUOT",
     ["VcpuLimitExceeded", "current vCPU limit of 1", "Service Quotas"]),
    ("no capacity", {"no_capacity": {"m5.large"}}, "launch", {}, {}, "ENOSPC",
     ["InsufficientInstanceCapacity", "another zone"]),
    ("an unknown type", {}, "launch", {"type": "x9.huge"}, {}, "ENOENT",
     ["x9.huge", "types of this region"]),
    ("an unknown image", {}, "launch", {"image": "ami-0123"}, {}, "ENOENT",
     ["InvalidAMIID.NotFound", "ami-0123", "region"]),
    ("a price too low", {}, "launch", {"spot": True, "max_price": 0.001}, {}, "ENOSPC",
     ["SpotMaxPriceTooLow", "raise max_price"]),
    ("an unknown option", {}, "launch", {"options": {"moon": 1}}, {}, "EINVAL", ["moon"]),
    ("a damaged file", {}, "publish", {"sha256": "0" * 64}, {}, "EINVAL",
     ["SHA-256", "damaged"]),
    ("a file of another size", {}, "publish", {"virtual_size": 1}, {}, "EINVAL", ["manifest"]),
    ("no region", {}, "list", {}, {"regions": " "}, "EINVAL", ["regions"]),
    ("a host that does not answer", {}, "list", {}, {"endpoint_ec2": "http://127.0.0.1:1"},
     "EHOSTUNREACH", ["DescribeInstances", "tried 6 times"]),
]


def refusals():
    path, data = image_file("small.raw", 2)
    small = publish_args(path, data, "small")
    for name, change, what, args, config, code, words in REFUSALS:
        cloud.reset()
        ami = add_image()
        if what == "launch":
            args = dict({"name": "n", "image": ami, "type": "m5.large", "rules": RULES}, **args)
        elif what == "publish":
            args = dict(small, **(args if isinstance(args, dict) else {}))
        keep = (cloud.vcpu_quota, cloud.no_capacity, cloud.policy)
        forbidden = change.get("forbid")
        if forbidden:
            cloud.policy = json.loads(json.dumps(cloud.policy).replace(
                '"%s"' % forbidden, '"ec2:Nothing"'))
        cloud.vcpu_quota = change.get("vcpu_quota", cloud.vcpu_quota)
        cloud.no_capacity = change.get("no_capacity", set())
        out = call(what, args, dict({"retry_ms": 1}, **config))
        cloud.vcpu_quota, cloud.no_capacity, cloud.policy = keep
        text = out.error["message"] if out.error else ""
        left = {k: v for k, v in cloud.has().items() if k not in ("images", "snapshots")
                or v not in ([ami], ["snap-of-test"])}
        tap.ok(out.error and out.error["code"] == code and all(w in text for w in words)
               and "wrong" not in text and left == {},
               "%s: %s with the provider's words, and what to do" % (name, code), (out, left))


def add_image():
    """An image in the emulator, without the driver."""
    s = cloud.state["eu-west-1"]
    now = cloud._now()
    s["snapshots"]["snap-of-test"] = {"status": "completed", "sealed": True, "size": 1, "looks": 9,
                                      "blocks": 0, "about": "", "at": now, "tags": []}
    s["images"]["ami-0test"] = {
        "name": "of-test", "state": "available", "snapshot": "snap-of-test", "root": "/dev/xvda",
        "boot": "legacy-bios", "ena": True, "imds": "v2.0", "tags": [], "at": now, "size": 1,
        "owner": ec2.ACCOUNT}
    return "ami-0test"


def of_us():
    """What the emulator has beside the image of add_image."""
    return {k: [i for i in v if "test" not in i] for k, v in cloud.has().items()
            if any("test" not in i for i in v)}


def faults(what, args, want):
    """A fault of every kind at every request; then requests that fail for good, from each on."""
    data = args.pop("data", None)

    def run(fault):
        cloud.reset()
        add_image()
        fault()
        out = call(what, args, {"retry_ms": 1})
        cloud.clear()
        return out
    out = run(lambda: None)
    tap.ok(out.result, "%s without a fault is done" % what, out)
    cloud.reset()
    add_image()
    call(what, args, {"retry_ms": 1})
    n = len(cloud.log)
    routes = cloud.routes()
    for kind in base.FAULTS:
        bad, ended = [], 0
        for k in range(n):
            out = run(lambda: cloud.fault(kind, at=k, seconds=0.02 if kind == "slow" else 0))
            wrong = judge(what, args, data, want, out)
            ended += bool(out.result)
            if wrong:
                bad.append("at %d (%s): %s" % (k, routes[k], wrong))
        good = not bad and (ended == n or kind == "expired")
        tap.ok(good, "%s: %s at each of its %d requests: done, or nothing left" % (what, kind, n),
               "\n".join(bad) or "only %d ended well" % ended)
    bad = []
    for k in range(n):
        # Blocks go at once: each of the two has its six tries.
        tries = 12 if routes[k] == "PutSnapshotBlock" else 6
        out = run(lambda: cloud.fault("500", route=routes[k], times=tries))
        if out.result or of_us():
            bad.append("%s: %r, left %r" % (routes[k], out, of_us()))
    tap.ok(not bad, "%s: a request that fails for good: it is undone at once" % what,
           "\n".join(bad))
    bad = []
    for k in range(n):
        out = run(lambda: cloud.fault("cut-after", since=k, times=100000))
        wrong = judge(what, args, data, want, out)
        if out.result or wrong:
            bad.append("from %d (%s): %s" % (k, routes[k], wrong))
    tap.ok(not bad, "%s: a network that is gone for good: gc finds what is left" % what,
           "\n".join(bad))


def judge(what, args, data, want, out):
    """What is wrong with how a run ended, or None."""
    if out.result:
        have = {k: len(v) for k, v in of_us().items()}
        if have != want:
            return "done, but there is %r" % have
        if data and stored(of_us()["snapshots"][0], len(data)) != data:
            return "done, but the blocks differ"
        return None
    if not out.error or len(out.error["message"]) < 20 or out.status != 0:
        return "neither done nor failed: %r" % out
    sweep("after a fault")
    return "left: %r after %r" % (of_us(), out) if of_us() else None


def interrupted():
    path, data = image_file("large.raw", 24, zero=(5,))
    args = publish_args(path, data)
    cloud.reset()
    # Two waves of eight, then it cannot go on before it is killed.
    cloud.fault("slow", since=2 + 16, route="PutSnapshotBlock", times=1000, seconds=3)
    cloud.fault("slow", route="PutSnapshotBlock", times=1000, seconds=0.3)

    def kill_half_way(p, line):
        if line.get("save", {}).get("next", 0) >= 6:
            p.kill()
    out = call("publish", args, on_line=kill_half_way)
    saved = out.saves[-1]
    tap.ok(out.status == -signal.SIGKILL and not out.result and saved["next"] >= 6,
           "publish is killed in the middle", out)
    cloud.clear()
    out = call("publish", args, resume=saved)
    first = min([int(e["path"].rsplit("/", 1)[1]) for e in cloud.log
                 if e["route"] == "PutSnapshotBlock"], default=-1)
    tap.ok(out.result and first >= saved["next"]
           and cloud.routes().count("StartSnapshot") == 0,
           "resumed, it sends the rest alone", (out, first, saved))
    has = cloud.has()
    tap.ok(len(has["snapshots"]) == 1 and stored(has["snapshots"][0], len(data)) == data,
           "and the volume is the file", has)

    cloud.reset()
    out = call("publish", args, resume={"snapshot": "snap-0gone", "next": 9, "starts": 1})
    tap.ok(out.result and stored(cloud.has()["snapshots"][0], len(data)) == data,
           "a snapshot that is gone meanwhile is begun anew, whole", out)

    cloud.reset()
    cloud.fault("slow", route="PutSnapshotBlock", times=1000, seconds=0.25)

    def term_half_way(p, line):
        if line.get("save", {}).get("snapshot"):
            p.terminate()
    out = call("publish", args, on_line=term_half_way)
    tap.ok(out.error and out.error["code"] == "ECANCELED" and cloud.has() == {},
           "SIGTERM cancels and undoes", (out, cloud.has()))


def times():
    cloud.reset()
    cloud.fault("throttle", route="DescribeInstances", seconds=1)
    before = time.monotonic()
    out = call("list", {"region": "eu-west-1"})
    took = time.monotonic() - before
    tap.ok(out.result == {"instances": []} and took >= 1, "Retry-After is honoured", (out, took))
    cloud.clock = 7200
    out = call("list", {"region": "eu-west-1"})
    tap.ok(out.result == {"instances": []},
           "a clock that is two hours off is corrected by the provider's", out)
    cloud.clock = 0
    cloud.keys["ASIATEMPORARY"] = ("secret-of-a-session", "the/token+=")
    out = call("check", config={"access_key_id": "ASIATEMPORARY",
                                "secret_access_key": "secret-of-a-session",
                                "session_token": "the/token+="})
    tap.ok(out.result, "temporary credentials with their token are taken", out)


def by_hand():
    path = os.path.join(folder.name, "config.json")
    with open(path, "w") as f:
        json.dump(cloud.config(), f)
    os.chmod(path, 0o644)
    p = subprocess.run([base.binary(), "ec2", path, "list"], capture_output=True, text=True)
    tap.ok(p.returncode == 1 and "chmod 600" in p.stderr,
           "by hand: settings with a secret that others may read are refused", p)
    os.chmod(path, 0o600)
    p = subprocess.run([base.binary(), "ec2", path, "types", "--region", "us-east-1"],
                       capture_output=True, text=True)
    tap.ok(p.returncode == 0 and len(json.loads(p.stdout)["types"]) == len(ec2.TYPES),
           "by hand: the same calls with options", p)
    drivers = json.loads(subprocess.run([base.binary(), "drivers"], capture_output=True).stdout)
    mine = [d for d in drivers if d["name"] == "ec2"][0]
    secret = {f["name"] for f in mine["fields"] if f["secret"]}
    tap.ok(secret == {"secret_access_key", "session_token"} and mine["image_format"] == "raw"
           and mine["user_data_max"] == 16384, "drivers tells what ec2 takes", mine)


def main():
    with cloud:
        journey()
        refusals()
        interrupted()
        times()
        by_hand()
        path, data = image_file("tiny.raw", 2)
        faults("publish", dict(publish_args(path, data, "tiny"), data=data),
               {"images": 1, "snapshots": 1})
        faults("launch", {"name": "n", "image": "ami-0test", "type": "m5.large", "rules": RULES,
                          "disk_gib": 2}, {"instances": 1, "groups": 1, "volumes": 1})
        tap.ok(not cloud.crashes, "the emulator found no request or answer it cannot handle",
               "\n".join(cloud.crashes))
    folder.cleanup()
    return tap.done()


sys.exit(main())
