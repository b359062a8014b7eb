#!/usr/bin/python3
"""The OpenStack driver through `sc-provider worker`, against the emulator of
tests/lib/clouds/openstack.py: the whole journey, every refusal's words, a kill in the middle of an
upload, tokens that end, pages, and a fault at every request of publish, launch and terminate.
Prints TAP.  (tests/openstack has the journey against real services.)"""
import base64
import hashlib
import os
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib/clouds"))
import base                                            # noqa: E402
import frame                                           # noqa: E402
import openstack                                       # noqa: E402

tap = base.Tap()
TAGS = {"cluster": "cluster-1", "token": "job-1"}
RULES = [{"protocol": "tcp", "port_from": 8443, "port_to": 8443, "cidr": "0.0.0.0/0"},
         {"protocol": "udp", "port_from": 4789, "port_to": 4790, "cidr": "2001:db8::/32"},
         {"protocol": "icmp", "cidr": "::/0"}]
folder = tempfile.TemporaryDirectory()
DATA = os.urandom(300000)
PATH = os.path.join(folder.name, "disk.qcow2")
with open(PATH, "wb") as file:
    file.write(DATA)


def publish_args(name="supercloud-1", path=PATH, data=DATA):
    return {"name": name, "file": path, "format": "qcow2", "boot": "uefi",
            "sha256": hashlib.sha256(data).hexdigest(), "virtual_size": 10 << 30}


def call(cloud, name, args=None, config=None, **kw):
    kw.setdefault("tags", TAGS)
    return base.worker("openstack", cloud.config(**(config or {})), name, args, **kw)


def sweep(cloud, config=None):
    return frame.sweep(lambda name, args: call(cloud, name, args, config), TAGS["cluster"])


def consoles(cloud, server):
    x = cloud.state["regions"]["RegionOne"]["servers"][server]
    x["console"] = "supercloud: JOINED\r\n"
    out = call(cloud, "console", {"id": server})
    tap.ok(out.result == {"console": "supercloud: JOINED\r\n"}, "console gives Nova's console output",
           out)
    x["console"] = "\n".join("line %06d" % n for n in range(9000))
    text = (call(cloud, "console", {"id": server}).result or {}).get("console", "")
    tap.ok(65000 < len(text) <= 65536 and text.startswith("line ") and text.endswith("008999"),
           "... its newest 64 KiB, from the beginning of a line on", (len(text), text[:30]))
    x["console"] = None
    out = call(cloud, "console", {"id": server})
    tap.ok(out.error and out.error["code"] == "EOPNOTSUPP" and "not supported" in
           out.error["message"], "... where the hypervisor keeps none, that is said", out)
    out = call(cloud, "console", {"id": "1" * 32})
    tap.ok(out.error and out.error["code"] == "ENOENT", "... of a server that is there", out)


def journey(cloud):
    out = call(cloud, "check")
    tap.ok(out.result == {"identity": "user supercloud, project work (%s)" % ("p" * 32)},
           "check says who we are", out)
    tap.ok(call(cloud, "regions").result == {"regions": ["RegionOne", "RegionTwo"]},
           "regions are listed")
    out = call(cloud, "publish", publish_args())
    tap.ok(out.result and out.result["image"]["region"] == "RegionOne", "publish ends", out)
    image = out.result["image"]["id"]
    i = cloud.state["regions"]["RegionOne"]["images"][image]
    tap.ok(cloud.data[image] == DATA, "the image is the file, byte for byte")
    tap.ok((i["disk_format"], i["min_disk"], i["visibility"], i["hw_firmware_type"],
            i["supercloud_cluster"], i["supercloud_token"])
           == ("qcow2", 10, "private", "uefi", "cluster-1", "job-1"),
           "its format, smallest disk, firmware and our tags are on it", i)
    tap.ok(out.saves == [{"image": image}] and {p["stage"] for p in out.progress}
           >= {"create", "upload", "verify"}, "progress names the stages", out.progress)
    before = len(cloud.log)
    again = call(cloud, "publish", publish_args(), tags=dict(TAGS, token="job-9"))
    tap.ok(again.result == out.result and len(cloud.log) - before == 2,
           "the same file under the same name is there already", again)
    other = call(cloud, "publish", publish_args(data=b"other"), tags=dict(TAGS, token="job-9"))
    tap.ok(other.error and other.error["code"] == "EEXIST" and "another name" in
           other.error["message"], "another file under that name is refused", other)

    args = {"name": "node-1", "zone": "az-2", "type": "m1.medium", "image": image,
            "user_data": "#cloud-config\n# ä\n", "rules": RULES}
    out = call(cloud, "launch", args, {"external_network": "outside"})
    n = (out.result or {}).get("instance", {})
    tap.ok(n.get("state") == "running" and n["type"] == "m1.medium" and n["zone"] == "az-2"
           and n["address"].startswith("198.51.100.") and n["private_address"].startswith("10.1.")
           and (n["cluster"], n["token"]) == ("cluster-1", "job-1")
           and abs(n["created_at"] / 1000 - time.time()) < 60,
           "launch answers with the running instance and its floating address", out)
    s = cloud.state["regions"]["RegionOne"]
    made = s["servers"][n["id"]]
    tap.ok(base64.b64decode(made["user_data"]).decode() == args["user_data"]
           and made["config_drive"] is True and made["key"] is None,
           "it has our user data, a config drive and no key pair", made)
    group = s["groups"][made["groups"][0]]
    rules = [(r["protocol"], r["ethertype"], r.get("port_range_max"), r["remote_ip_prefix"])
             for r in s["rules"].values() if r["security_group_id"] == group["id"]]
    tap.ok(rules == [("tcp", "IPv4", 8443, "0.0.0.0/0"), ("udp", "IPv6", 4790, "2001:db8::/32"),
                     ("ipv6-icmp", "IPv6", None, "::/0")], "its security group has the rules", rules)
    again = call(cloud, "launch", args, {"external_network": "outside"})
    tap.ok(again.result and again.result["instance"]["id"] == n["id"] and
           {k: len(v) for k, v in cloud.has().items()} == {
               "images": 1, "servers": 1, "groups": 1, "ports": 1, "addresses": 1},
           "the same launch again is the same instance, and nothing twice", (again, cloud.has()))
    by_name = call(cloud, "launch", {"name": "node-2", "image": "supercloud-1"},
                   tags=dict(TAGS, token="job-2"))
    tap.ok(by_name.result and by_name.result["instance"]["type"] == "m1.medium",
           "an image by its name, and the smallest type that does", by_name)
    disk = call(cloud, "launch", {"name": "node-3", "image": image, "type": "m1.diskless"},
                tags=dict(TAGS, token="job-3"))
    volume = list(s["volumes"].values())
    tap.ok(disk.result and len(volume) == 1 and volume[0]["size"] == 10
           and volume[0]["metadata"]["supercloud_token"] == "job-3"
           and disk.result["instance"]["image"] == "", "a type without a disk gets a volume",
           (disk, volume))
    far = call(cloud, "launch", {"name": "node-4", "image": image, "region": "regiontwo"})
    tap.ok(far.error and far.error["code"] == "ENOENT" and "RegionTwo" in far.error["message"],
           "an image is of one region", far)

    consoles(cloud, n["id"])
    cloud.page = 1
    out = call(cloud, "list")
    tap.ok(sorted(x["name"] for x in out.result["instances"]) == ["node-1", "node-2", "node-3"]
           and {x["type"] for x in out.result["instances"]} == {"m1.medium", "m1.diskless"},
           "lists are read over all their pages", out)
    types = call(cloud, "types").result["types"]
    tap.ok(len(types) == 6 and {"name": "m1.large", "vcpus": 4, "memory_mib": 8192,
                                "nested_virtualisation": False, "xen": True} in types,
           "types are the flavors", types)
    out = call(cloud, "leftovers")
    kinds = [r["kind"] for r in out.result["resources"]]
    tap.ok(sorted(kinds) == ["floating-ip", "image", "instance", "instance", "instance",
                             "security-group", "volume"]
           and kinds.index("image") > 2, "leftovers are all that has our tag", out)
    tap.ok(call(cloud, "leftovers", {"cluster": "cluster-2"}).result == {"resources": []},
           "and nothing of another cluster")
    cloud.page = 1000
    out = call(cloud, "prices", {"type": "b"}, {"prices": "a=0.5, b"})
    tap.ok(out.error and "not like" in out.error["message"], "a wrong table of prices is named", out)
    out = call(cloud, "prices", {"type": "b"}, {"prices": "a=0.5, b = 0.25"})
    tap.ok([(p["type"], p["what"], p["unit"], p["amount"]) for p in out.result["prices"]]
           == [("b", "on-demand", "hour", 0.25)], "prices come from the settings", out)

    out = call(cloud, "fence", {"id": n["id"]})
    tap.ok(out.result == {} and made["status"] == "SHUTOFF" and made["power"] == 4,
           "fence: it is off when it is said so", out)
    before = len(cloud.log)
    tap.ok(call(cloud, "fence", {"id": n["id"]}).result == {} and len(cloud.log) - before == 2,
           "a fence of what is off asks for nothing")
    made.update(status="PAUSED", power=3)
    tap.ok(call(cloud, "fence", {"id": n["id"]}).result == {} and made["status"] == "SHUTOFF",
           "a paused one is fenced too")
    tap.ok(call(cloud, "terminate", {"id": n["id"]}).result == {} and
           {k: len(v) for k, v in cloud.has().items()} == {"images": 1, "servers": 2, "ports": 2,
                                                           "volumes": 1},
           "terminate takes its group and its address along", cloud.has())
    tap.ok(call(cloud, "terminate", {"id": disk.result["instance"]["id"]}).result == {} and
           "volumes" not in cloud.has(), "and its disk", cloud.has())
    tap.ok(call(cloud, "terminate", {"id": n["id"]}).result == {} and
           call(cloud, "fence", {"id": n["id"]}).result == {}, "what is gone is terminated and off")
    tap.ok(not sweep(cloud) and cloud.has() == {}, "gc leaves nothing", cloud.has())


def refusals(cloud):
    cloud.reset()
    image = call(cloud, "publish", publish_args()).result["image"]["id"]
    launch = {"name": "n", "image": image, "type": "m1.medium", "rules": RULES}
    big = "#" * 49152
    route = "POST /compute/v2.1/servers"
    cases = [
        ("a wrong password", {}, "check", {}, {"password": "wrong"}, "EACCES",
         ("requires authentication", "check username")),
        ("a wrong application credential", {}, "check", {}, {
            "username": None, "password": None, "project_name": None,
            "application_credential_id": openstack.APP_ID,
            "application_credential_secret": "wrong"}, "EACCES", ("may have expired",)),
        ("no credential", {}, "check", {}, {"password": None}, "EINVAL", ("'password' is missing",)),
        ("both kinds of credential", {}, "check", {}, {"application_credential_id": "x"}, "EINVAL",
         ("either",)),
        ("a wrong URL", {}, "check", {}, {"auth_url": cloud.url + "/nowhere"}, "ENOENT",
         ("auth_url",)),
        ("an unknown region", {}, "check", {}, {"region": "Mars"}, "ENOENT",
         ("Mars", "RegionOne, RegionTwo")),
        ("an unknown type", {}, "launch", {"type": "m9.none"}, {}, "ENOENT",
         ("m9.none", "m1.tiny, m1.small")),
        ("an unknown image", {}, "launch", {"image": "none"}, {}, "ENOENT", ("'none'",)),
        ("an unknown zone", {}, "launch", {"zone": "az-9"}, {}, "EINVAL",
         ("availability zone is not available",)),
        ("an unknown network", {}, "launch", {"options": {"network": "lost"}}, {}, "ENOENT",
         ("'lost'",)),
        ("an unknown option", {}, "launch", {"options": {"speed": 9}}, {}, "EINVAL", ("speed",)),
        ("a type too small for the image", {}, "launch", {"type": "m1.tiny"}, {}, "EINVAL",
         ("Flavor's disk is smaller",)),
        ("the spot market", {}, "launch", {"spot": True}, {}, "EOPNOTSUPP", ("no spot market",)),
        ("too much user data", {}, "launch", {"user_data": big}, {}, "EINVAL", ("49149",)),
        ("the quota of servers", {"instances": 0}, "launch", {}, {}, "EDQUOT",
         ("Quota exceeded for instances: Requested 1, but already used 0 of 0", "higher quota",
          "HTTP 403, request req-")),
        ("the quota of groups", {"security_groups": 0}, "launch", {}, {}, "EDQUOT",
         ("Quota exceeded for resources",)),
        ("the quota of images", {"image_bytes": 10}, "publish", publish_args("full"), {}, "EDQUOT",
         ("exceeds the quota",)),
        ("no capacity", {}, "launch", {"type": "m1.huge"}, {}, "ENOSPC",
         ("No valid host was found", "another type")),
        ("a missing role", {"forbid": route}, "launch", {}, {}, "EACCES",
         ("Policy doesn't allow", "role 'member'")),
        ("a disk without volumes", {"has_volume": False}, "launch", {"disk_gib": 99}, {}, "EINVAL",
         ("99 GiB", "no volumes")),
    ]
    for name, change, what, args, config, code, words in cases:
        full = dict(launch, **args) if what == "launch" else args
        quota = dict(cloud.quota)
        cloud.quota.update({k: v for k, v in change.items() if k in cloud.quota})
        cloud.has_volume = change.get("has_volume", True)
        cloud.forbidden = {change["forbid"]} if "forbid" in change else set()
        out = call(cloud, what, full, dict({"retry_ms": 1}, **config))
        cloud.quota, cloud.has_volume, cloud.forbidden = quota, True, set()
        text = out.error["message"] if out.error else ""
        tap.ok(out.error and out.error["code"] == code and all(w in text for w in words)
               and "wrong" not in text and openstack.PASSWORD not in text
               and cloud.has() == {"images": [image]},
               "%s: %s in the cloud's words" % (name, code), (out, cloud.has()))
    out = call(cloud, "check", config={
        "username": None, "password": None, "project_name": None,
        "application_credential_id": openstack.APP_ID,
        "application_credential_secret": openstack.APP_SECRET})
    tap.ok(out.result, "an application credential does", out)
    call(cloud, "launch", launch)
    out = call(cloud, "launch", launch, tags=dict(TAGS, token="job-7"))
    tap.ok(out.error and out.error["code"] == "EEXIST" and "another name" in out.error["message"]
           and len(cloud.has()["servers"]) == 1, "a name in use is refused", out)
    cloud.has_network = False
    out = call(cloud, "launch", dict(launch, name="m"), {"network": "none"},
               tags=dict(TAGS, token="job-8"))
    tap.ok(out.result and out.result["instance"]["address"] == "", "a cloud without Neutron does",
           out)
    cloud.has_network = True


def broken_uploads(cloud):
    cloud.reset()
    cloud.truncate = 1
    out = call(cloud, "publish", publish_args(), {"retry_ms": 1})
    images = cloud.has()["images"]
    tap.ok(out.result and len(images) == 1 and cloud.data[images[0]] == DATA,
           "a cut upload that the cloud took for whole is made anew", (out, images))
    cloud.reset()
    cloud.truncate = 99
    out = call(cloud, "publish", publish_args(), {"retry_ms": 1})
    cloud.truncate = 0
    tap.ok(out.error and "tried 3 times" in out.error["message"] and "150000 bytes of 300000" in
           out.error["message"] and cloud.has() == {}, "and given up when it never gets better", out)

    path = os.path.join(folder.name, "large.qcow2")
    with open(path, "wb") as f:
        f.write(b"begin")
        f.truncate(160 << 20)
        f.seek(0)
        data = f.name and open(path, "rb").read()
    args = publish_args("large", path, data)

    def stop_half_way(sig):
        def look(p, line):
            if line.get("progress", {}).get("stage") == "upload":
                time.sleep(0.02)
                p.send_signal(sig)
        return look
    out = call(cloud, "publish", args, on_line=stop_half_way(signal.SIGKILL))
    images = cloud.state["regions"]["RegionOne"]["images"]
    tap.ok(out.status == -signal.SIGKILL and not out.result and len(images) == 1,
           "publish is killed in the middle of its upload", (out, images))
    dead = cloud.has()["images"]
    left = call(cloud, "leftovers").result["resources"]
    tap.ok([r["id"] for r in left] == dead, "gc sees what it left", left)
    out = call(cloud, "publish", args, resume=out.saves[-1])
    now = cloud.has()["images"]
    tap.ok(out.result and now == [out.result["image"]["id"]] and cloud.data[now[0]] == data,
           "again, it ends with one whole image", (out, now))
    cloud.reset()
    out = call(cloud, "publish", args, on_line=stop_half_way(signal.SIGTERM))
    tap.ok(out.error and out.error["code"] == "ECANCELED" and cloud.has() == {},
           "a cancelled publish leaves nothing", (out, cloud.has()))


def token_ends(cloud):
    cloud.reset()
    cloud.token_seconds = 1                       # A token that ends during the call.
    cloud.builds = 12
    image = call(cloud, "publish", publish_args()).result["image"]["id"]
    out = call(cloud, "launch", {"name": "n", "image": image, "type": "m1.small"},
               {"retry_ms": 500})
    logins = cloud.routes().count("POST /identity/v3/auth/tokens")
    cloud.token_seconds, cloud.builds = 3600, 1
    tap.ok(out.result and logins > 2, "a token that ends on the way is made anew", (out, logins))


# -- A fault at every request ----------------------------------------------------------------------
WANT = {"publish": {"images": 1},
        "launch": {"servers": 1, "groups": 1, "ports": 1, "addresses": 1, "volumes": 1},
        "terminate": {}}
# What is left out is the same to a driver: test_web.c has both kinds of Retry-After and every status.
KINDS = (("throttle", "500"), ("slow", "cut-before"), ("cut-after", "gone"),
         ("truncated", "expired"))
QUICK = {"retry_ms": 1, "external_network": "outside"}


def prepare(cloud, what):
    """The state before the call; its arguments."""
    cloud.reset()
    if what == "publish":
        return publish_args()
    s = cloud.state["regions"]["RegionOne"]
    s["images"]["a" * 32] = {"id": "a" * 32, "name": "base", "status": "active", "min_disk": 5,
                             "size": 5, "owner": "x"}
    args = {"name": "n", "image": "a" * 32, "type": "m1.diskless", "rules": RULES[:2]}
    if what == "terminate":
        out = call(cloud, "launch", args, QUICK)
        args = {"id": out.result["instance"]["id"]}
    return args


def of_us(cloud):
    return {k: n for k, n in ((k, len([i for i in v if i != "a" * 32]))
                              for k, v in cloud.has().items()) if n}


def judge(cloud, what, out):
    """What is wrong with how a run ended, or None."""
    if out.result is not None:
        have = of_us(cloud)
        if have != WANT[what]:
            return "done, but there is %r" % have
        if what == "publish" and list(cloud.data.values()) != [DATA]:
            return "done, but the data differ"
    elif not out.error or len(out.error["message"]) < 20 or out.status != 0:
        return "neither done nor failed: %r" % out
    bad = sweep(cloud, QUICK)
    return "gc failed: %r" % bad if bad else "left: %r after %r" % (of_us(cloud), out) if of_us(
        cloud) else None


def faults(what, kinds):
    with openstack.OpenStack() as cloud:
        return frame.at_each_request(cloud, kinds, lambda: prepare(cloud, what),
                                     lambda args: call(cloud, what, args, QUICK),
                                     lambda kind, out: judge(cloud, what, out))


def main():
    with openstack.OpenStack() as cloud:
        for part in (journey, refusals, broken_uploads, token_ends):
            part(cloud)
        tap.ok(not cloud.crashes, "the emulator did not fail", cloud.crashes)
    frame.report_all(tap, faults, ("launch", "publish", "terminate"), KINDS)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
