#!/usr/bin/python3
"""The GCE driver, through `sc-provider worker`, against an emulated Google Cloud.

The whole journey; an interrupted upload that goes on where it was; what Google refuses, in its own
words and with what to do; and every fault at every request of publish and launch, after which
nothing may be left that cannot be found and removed.
"""
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clouds import base, frame, gce                    # noqa: E402

TAGS = {"cluster": "c1a0", "token": "job-7"}
RULES = [{"protocol": "tcp", "port_from": 7480, "port_to": 7482, "cidr": "0.0.0.0/0"},
         {"protocol": "udp", "port_from": 7481, "port_to": 7481, "cidr": "0.0.0.0/0"},
         {"protocol": "icmp", "port_from": 0, "port_to": 0, "cidr": "192.0.2.0/24"}]
USER_DATA = "#cloud-config\nsupercloud: {role: node}\n# \u00e4\n"
tap = base.Tap()


def make_image(folder, seed, kib):
    """A disk of 1 GiB, nearly empty, as images/build packs it."""
    raw, out = os.path.join(folder, "disk.raw"), os.path.join(folder, "image-%d.tar.gz" % seed)
    with open(raw, "wb") as f:
        f.truncate(1 << 30)
        f.seek(5 << 20)
        f.write(random.Random(seed).randbytes(kib << 10))
    subprocess.run(["tar", "--format=oldgnu", "-S", "-C", folder, "-czf", out, "disk.raw"],
                   check=True)
    os.unlink(raw)
    with open(out, "rb") as f:
        data = f.read()
    return {"file": out, "sha256": hashlib.sha256(data).hexdigest(), "data": data}


def publish_args(image, name="appliance-1", **more):
    return dict({"name": name, "region": "europe-west1", "file": image["file"],
                 "format": "tar.gz", "sha256": image["sha256"], "boot": "bios",
                 "virtual_size": 1 << 30, "options": {"piece_kib": 256}}, **more)


def launch_args(name="node-1", **more):
    return dict({"name": name, "region": "europe-west1", "type": "n2-standard-2",
                 "image": "appliance-1", "user_data": USER_DATA, "rules": RULES}, **more)


def call(cloud, name, args=None, tags=TAGS, config=None, **kw):
    return base.worker("gce", config or cloud.config(), name, args, tags=tags, **kw)


def left(cloud):
    return {k: sorted(v) for k, v in cloud.state.items() if k != "operations" and v}


def seed(cloud, image):
    """The image, without the way there."""
    cloud.state["images"]["appliance-1"] = {
        "name": "appliance-1", "status": "READY", "diskSizeGb": "1",
        "labels": {"supercloud-sha256": image["sha256"][:40]}}


def launched(have):
    one = have.get("instances", [])[:1]
    return {"instances": one, "disks": one, "firewalls": ["sc-node-1-0", "sc-node-1-1"]}


matrix = frame.Matrix(tap, gce.Gce, call, seed, left, launched, {"images"}, TAGS["cluster"])
clean, refuse = matrix.clean, matrix.refuse


def document(name):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/providers",
                           name)) as f:
        return f.read()


def console(cloud, instance):
    args = {"id": instance}
    key = instance.replace(".", "/")
    cloud.consoles[key] = "supercloud: JOINED\r\n"
    r = call(cloud, "console", args)
    tap.ok(r.result == {"console": "supercloud: JOINED\r\n"}, "console gives the first serial port",
           r)
    cloud.consoles[key] = "\n".join("line %06d" % n for n in range(200000))
    text = (call(cloud, "console", args).result or {}).get("console", "")
    tap.ok(65000 < len(text) <= 65536 and text.startswith("line ") and text.endswith("199999"),
           "... its newest 64 KiB, from the beginning of a line on", (len(text), text[:30]))
    r = call(cloud, "console", {"id": "europe-west1-b.nobody"})
    tap.ok(r.error and r.error["code"] == "ENOENT", "... of an instance that is there", r)


def journey(image):
    with gce.Gce() as cloud:
        r = call(cloud, "check")
        tap.ok(r.result and cloud.email in r.result["identity"], "check says who the account is", r)
        r = call(cloud, "regions", config=cloud.config(region=""))
        tap.ok(r.result and r.result["regions"] == ["europe-west1", "us-central1"],
               "regions are listed", r)
        r = call(cloud, "types", {"region": "europe-west1"})
        types = {t["name"]: t for t in (r.result or {}).get("types", [])}
        tap.ok(len(types) == len(gce.TYPES) and types["n2-standard-2"] == {
            "name": "n2-standard-2", "vcpus": 2, "memory_mib": 8192,
            "nested_virtualisation": True, "xen": True} and
            not types["e2-medium"]["nested_virtualisation"] and not types["t2a-standard-1"]["xen"],
            "types say what can be done inside", r)
        r = call(cloud, "publish", publish_args(image))
        tap.ok(r.result and r.result["image"]["id"] ==
               "projects/emulated-project-1/global/images/appliance-1", "an image is published", r)
        sent = [e for e in cloud.log if e["route"].endswith("#chunk")]
        tap.ok(len(sent) >= 4, "... in several pieces", len(sent))
        tap.ok(cloud.uploaded == [hashlib.sha256(image["data"]).hexdigest()],
               "... byte for byte the file", cloud.uploaded)
        made = cloud.state["images"]["appliance-1"]
        tap.ok({f["type"] for f in made["guestOsFeatures"]} == {"VIRTIO_SCSI_MULTIQUEUE", "GVNIC"}
               and made["status"] == "READY", "... with multiqueue SCSI and gVNIC, started by BIOS",
               made)
        tap.ok(left(cloud) == {"images": ["appliance-1"]}, "... and the object is gone",
               left(cloud))
        cloud.clear()
        r = call(cloud, "publish", publish_args(image))
        tap.ok(r.result and not any("upload" in x for x in cloud.routes()),
               "publishing the same again uploads nothing", (r, cloud.routes()))
        r = call(cloud, "launch", launch_args(spot=True, disk_gib=20))
        i = (r.result or {}).get("instance", {})
        tap.ok(i.get("id", "").startswith("europe-west1-") and i["id"].endswith(".node-1") and
               i["state"] == "running" and i["spot"] and i["address"].startswith("203.0.113.") and
               i["cluster"] == "c1a0" and i["token"] == "job-7", "an instance is launched", r)
        body = cloud.inserted[-1]
        tap.ok({m["key"]: m["value"] for m in body["metadata"]["items"]} == {
            "supercloud-image": "projects/emulated-project-1/global/images/appliance-1",
            "user-data": USER_DATA}, "... with the user data as it is", body)
        tap.ok(body["scheduling"]["provisioningModel"] == "SPOT" and
               body["scheduling"]["instanceTerminationAction"] == "DELETE", "... as a spot one")
        walls = cloud.state["firewalls"]
        tap.ok(sorted((w["sourceRanges"][0], [(a["IPProtocol"], a.get("ports")) for a in
                                              w["allowed"]], w["targetTags"])
                      for w in walls.values()) == [
            ("0.0.0.0/0", [("tcp", ["7480-7482"]), ("udp", ["7481"])], ["sc-node-1"]),
            ("192.0.2.0/24", [("icmp", None)], ["sc-node-1"])], "... behind its firewall", walls)
        r = call(cloud, "launch", launch_args(spot=True, disk_gib=20))
        tap.ok(r.result and r.result["instance"]["id"] == i["id"] and
               len(cloud.state["instances"]) == 1, "the same launch again is the same instance", r)
        r = call(cloud, "launch", launch_args(), tags={"cluster": "c1a0", "token": "job-8"})
        tap.ok(r.error and r.error["code"] == "EEXIST", "another launch of its name is refused", r)
        r = call(cloud, "list", {})
        tap.ok(r.result and [(x["id"], x["image"].rpartition("/")[2]) for x in r.result[
            "instances"]] == [(i["id"], "appliance-1")], "it is listed", r)
        r = call(cloud, "list", {"region": "us-central1"})
        tap.ok(r.result and r.result["instances"] == [], "... in its region alone", r)
        console(cloud, i["id"])
        r = call(cloud, "fence", {"region": "europe-west1", "id": i["id"]})
        now = list(cloud.state["instances"].values())[0]["status"]
        tap.ok(r.result == {} and now == "TERMINATED", "fence returns when it is off", (r, now))
        r = call(cloud, "terminate", {"region": "europe-west1", "id": i["id"]})
        tap.ok(r.result == {} and left(cloud) == {"images": ["appliance-1"]},
               "terminate takes disk and firewall with it", (r, left(cloud)))
        r = call(cloud, "terminate", {"region": "europe-west1", "id": i["id"]})
        tap.ok(r.result == {}, "... and is content if it is gone", r)
        r = call(cloud, "fence", {"region": "europe-west1", "id": i["id"]})
        tap.ok(r.result == {}, "... as fence is", r)
        found = call(cloud, "leftovers", {"cluster": "c1a0"})
        tap.ok(found.result and "projects/emulated-project-1/global/images/appliance-1" in {
            x["id"] for x in found.result["resources"] if x["kind"] == "image"},
            "an image's id among leftovers is what publish gave", found)
        cloud.state["disks"]["europe-west1-c/stray"] = {
            "name": "stray", "zone": "zones/europe-west1-c", "labels": {"supercloud-cluster": "c1a0"}}
        tap.ok(clean(cloud) == {}, "leftovers finds image and stray disk, remove removes them",
               left(cloud))
        cloud.state["firewalls"]["sc-node-9-0"] = {}    # So that the next one is replaced.
        call(cloud, "publish", publish_args(image))
        call(cloud, "launch", launch_args(name="node-9"))
        role = set(re.findall(r"^- (\S+)$", document("gce-role.yaml"), re.M))
        # Beside them: the bucket's own role.
        used = {u for u in cloud.used if not u.startswith("storage.")}
        tap.ok(used == role, "the documented role is what was needed, no more and no less",
               "only used: %s; only documented: %s" % (used - role, role - used))
        tap.ok(not cloud.crashes, "the emulator has not failed", cloud.crashes)


def prices():
    with gce.Gce() as cloud:
        cloud.page_size = 3
        for name, config in (("the token", cloud.config()),
                             ("an API key", cloud.config(api_key=cloud.api_key))):
            r = call(cloud, "prices", {"region": "europe-west1"}, config=config)
            have = {(p["type"], p["what"]): p["amount"]
                    for p in (r.result or {}).get("prices", [])}
            want = {("n2-standard-2", "on-demand"): 2 * 0.034806 + 8 * 0.004664,
                    ("n2-standard-2", "spot"): 2 * 0.0087015 + 8 * 0.001166,
                    ("e2-micro", "on-demand"): 0.25 * 0.023982 + 0.003214}
            tap.ok(all(abs(have.get(k, 0) - v) < 1e-6 for k, v in want.items()),
                "prices are put together of cores and memory (%s)" % name, r)
            tap.ok(have.get(("", "egress-internet")) == 0.12 and
                   have.get(("", "egress-region")) == 0.02, "... and traffic has one", have)
            tap.ok(not any(t.startswith(("c3-standard-4-lssd", "a2-", "t2a-")) for t, _ in have),
                   "... what has more parts is left out", have)
        r = call(cloud, "prices", {"region": "europe-west1", "type": "e2-medium"})
        tap.ok(r.result and {p["type"] for p in r.result["prices"]} == {"e2-medium"},
               "one type's prices alone", r)
        r = call(cloud, "types", {"region": "us-central1"})
        tap.ok(r.result and len(r.result["types"]) == len(gce.TYPES),
               "a list of many pages is read to its end", r)


def resume(image):
    """SIGKILL in the middle; SIGTERM in the middle."""
    with gce.Gce() as cloud:
        def kill(how):
            def on_line(process, line):
                if line.get("progress", {}).get("stage") == "upload" and \
                        sum(e["route"].endswith("#chunk") for e in cloud.log) >= 3:
                    process.send_signal(how)
            return on_line
        cloud.fault("slow", seconds=0.25, times=100, at=None)
        r = call(cloud, "publish", publish_args(image), on_line=kill(signal.SIGKILL))
        tap.ok(r.status == -signal.SIGKILL and r.saves and r.saves[-1].get("session"),
               "a killed upload has said where it is", r)
        frame.settle(cloud)
        session = list(cloud.sessions.values())[0]
        have, total = len(session["data"]), len(image["data"])
        cloud.clear()
        cloud.sent = 0
        r = call(cloud, "publish", publish_args(image), resume=r.saves[-1])
        tap.ok(r.result and 0 < have < total, "... and the next goes on", (r, have, total))
        tap.ok(cloud.sent == total - have and cloud.uploaded == [
            hashlib.sha256(image["data"]).hexdigest()], "... sending the rest alone",
            (cloud.sent, have, total))
        tap.ok(clean(cloud) == {}, "... nothing else is left", left(cloud))
        cloud.persist_half = True
        r = call(cloud, "publish", publish_args(image, options={"piece_kib": 1024}))
        tap.ok(r.result, "storage that keeps but half of a piece gets the rest", r)
        clean(cloud)
        cloud.sessions.clear()
        cloud.clear()
        cloud.fault("slow", seconds=0.25, times=100)
        r = call(cloud, "publish", publish_args(image), on_line=kill(signal.SIGTERM))
        tap.ok(r.error and r.error["code"] == "ECANCELED" and not cloud.sessions and
               left(cloud) == {}, "SIGTERM ends the upload and leaves nothing",
               (r, left(cloud), cloud.sessions))
        cloud.clear()
        r = call(cloud, "publish", publish_args(image), resume={
            "object": r.saves[-1]["object"], "session": r.saves[-1]["session"]})
        tap.ok(r.result, "a session that has ended is begun anew", r)
        tap.ok(not cloud.crashes, "the emulator has not failed", cloud.crashes)


def refusals(image):
    with gce.Gce() as cloud:
        seed(cloud, image)
        public, cloud.public = cloud.public, gce.key_pair("another")[0]
        said = refuse(cloud, "a wrong key", "EACCES", ["Invalid JWT Signature", "invalid_grant",
                                                       "new JSON key"], "check")
        cloud.public = public
        tap.ok("PRIVATE KEY" not in said, "... is not in the text", said)
        r = call(cloud, "check", config=cloud.config(service_account="{}"))
        tap.ok(r.error and r.error["code"] == "EINVAL" and "client_email" in r.error["message"],
               "half a key is refused before anything is asked", r)
        cloud.denied = {"compute.instances.create", "compute.images.create"}
        refuse(cloud, "a missing permission is named", "EACCES",
               ["compute.instances.create", "gce-role.yaml"], "launch", launch_args())
        refuse(cloud, "... also of publish", "EACCES", ["compute.images.create", "gce-role.yaml"],
               "publish", publish_args(image, name="other"))
        cloud.denied = set()
        cloud.quota = "Quota 'CPUS' exceeded.  Limit: 8.0 in region europe-west1."
        refuse(cloud, "a quota", "EDQUOT", ["Quota 'CPUS' exceeded", "QUOTA_EXCEEDED", "Quotas"],
               "launch", launch_args())
        cloud.quota = None
        cloud.exhausted = {"europe-west1-b"}
        r = call(cloud, "launch", launch_args())
        tap.ok(r.result and r.result["instance"]["zone"] == "europe-west1-c",
               "a zone without capacity: the next is taken", r)
        refuse(cloud, "... not if the zone was asked for", "ENOSPC",
               ["does not have enough resources", "ZONE_RESOURCE_POOL_EXHAUSTED",
                "another zone"], "launch", launch_args(name="node-2", zone="europe-west1-b"))
        cloud.exhausted = set(cloud.zones())
        refuse(cloud, "... nor if none has any", "ENOSPC", ["europe-west1-d"], "launch",
               launch_args(name="node-2"))
        cloud.exhausted = set()
        refuse(cloud, "an unknown type", "ENOENT", ["nosuch-type", "types"], "launch",
               launch_args(name="node-2", type="nosuch-type"))
        refuse(cloud, "an unknown image", "ENOENT", ["nosuch-image", "was not found"], "launch",
               launch_args(name="node-2", image="nosuch-image"))
        refuse(cloud, "an unknown region", "ENOENT", ["mars-north1"], "launch",
               launch_args(name="node-2", region="mars-north1"))
        refuse(cloud, "a name Google does not take", "EINVAL", ["Node_2", "a-z"], "launch",
               launch_args(name="Node_2"))
        refuse(cloud, "a bucket that is not there", "ENOENT", ["bucket does not exist"], "publish",
               publish_args(image, name="other"), cloud.config(bucket="no-such-bucket"))
        refuse(cloud, "no bucket", "EINVAL", ["bucket"], "publish",
               publish_args(image, name="other"), cloud.config(bucket=""))
        refuse(cloud, "another image of the name", "EEXIST", ["appliance-1", "another name"],
               "publish", publish_args(dict(image, sha256="0" * 64)))
        refuse(cloud, "a file that is not its manifest's", "EINVAL", ["SHA-256"], "publish",
               publish_args(dict(image, sha256="0" * 64), name="other"))
        refuse(cloud, "a price above the limit", "EINVAL", ["max_price", "0.0267"], "launch",
               launch_args(name="node-2", spot=True, max_price=0.02))
        r = call(cloud, "launch", launch_args(name="node-2", spot=True, max_price=0.03))
        tap.ok(r.result, "... below it", r)
        refuse(cloud, "an id that is none", "EINVAL", ["ZONE.NAME"], "fence",
               {"region": "europe-west1", "id": "node-1"})
        names = {k for w in cloud.state["firewalls"].values() for k in w["targetTags"]}
        tap.ok(names == {"sc-node-1", "sc-node-2"} and set(left(cloud)["instances"]) == {
            "europe-west1-c/node-1", "europe-west1-b/node-2"}, "what was refused left nothing",
            left(cloud))
        tap.ok(not cloud.crashes, "the emulator has not failed", cloud.crashes)


def main():
    with tempfile.TemporaryDirectory() as folder:
        image, small = make_image(folder, 1, 1500), make_image(folder, 2, 300)
        return matrix.run([(journey, image), (prices,), (resume, image), (refusals, small)], small,
                          {"publish": publish_args(small), "launch": launch_args()})


if __name__ == "__main__":
    sys.exit(main())
