#!/usr/bin/python3
"""The driver of Rackspace's classic cloud through `sc-provider worker`, against the emulator of
tests/lib/clouds/rackspace.py: the journey, the import's refusals, segments that are not sent
twice, and a fault at every request.  Prints TAP."""
import hashlib
import os
import signal
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib/clouds"))
import base                                            # noqa: E402
import frame                                           # noqa: E402
import rackspace                                       # noqa: E402

tap = base.Tap()
TAGS = {"cluster": "cluster-1", "token": "job-1"}
folder = tempfile.TemporaryDirectory()


def vhd_file(name, data, **kw):
    path = os.path.join(folder.name, name)
    data = rackspace.vhd(data, **kw)
    with open(path, "wb") as f:
        f.write(data)
    return path, data


PATH, DATA = vhd_file("disk.vhd", os.urandom(200000))


def publish_args(path=PATH, data=DATA, name="supercloud-1", **more):
    return dict({"name": name, "file": path, "format": "vhd", "boot": "bios", "virtual_size":
                 len(data), "sha256": hashlib.sha256(data).hexdigest()}, **more)


def call(cloud, name, args=None, config=None, **kw):
    kw.setdefault("tags", TAGS)
    return base.worker("rackspace-classic", cloud.config(**(config or {})), name, args, **kw)


def sweep(cloud):
    return frame.sweep(lambda name, args: call(cloud, name, args), TAGS["cluster"])


def journey(cloud):
    out = call(cloud, "check")
    tap.ok(out.result == {"identity": "user shop, project 987654 (987654)"},
           "check says who we are", out)
    tap.ok(call(cloud, "regions").result == {"regions": ["DFW", "ORD"]}, "regions are listed")
    out = call(cloud, "publish", publish_args())
    image = ((out.result or {}).get("image") or {}).get("id")
    made = cloud.state["regions"]["DFW"]["images"].get(image)
    tap.ok(made and cloud.data[image] == DATA, "publish imports the file, byte for byte", out)
    tap.ok(made["supercloud_cluster"] == "cluster-1" and made["supercloud_token"] == "job-1"
           and cloud.has() == {"images": [image]}, "the image has our tags, its file is gone again",
           (made, cloud.has()))
    tap.ok({"upload", "import"} <= {p["stage"] for p in out.progress} and
           list(out.saves[0]) == ["task"], "progress names the stages", out.progress)
    before = len(cloud.log)
    again = call(cloud, "publish", publish_args(), tags=dict(TAGS, token="job-2"))
    tap.ok(again.result == out.result and "POST /image/v2/tasks" not in cloud.routes()[before:],
           "the same file under the same name is there already", again)
    other = call(cloud, "publish", publish_args(*vhd_file("other.vhd", b"x" * 512)))
    tap.ok(other.error and other.error["code"] == "EEXIST", "another one is refused", other)

    out = call(cloud, "launch", {"name": "node-1", "image": image, "type": "m1.medium",
                                 "user_data": "#cloud-config\n"})
    n = (out.result or {}).get("instance", {})
    server = cloud.state["regions"]["DFW"]["servers"].get(n.get("id"), {})
    tap.ok(n.get("state") == "running" and (n["address"], n["private_address"])
           == ("203.0.113.9", "10.183.1.9") and server["config_drive"] is True,
           "launch answers with the instance, its public and its inner address", out)
    again = call(cloud, "launch", {"name": "node-1", "image": image, "type": "m1.medium"})
    tap.ok(again.result and again.result["instance"]["id"] == n["id"],
           "the same launch again is the same instance", again)
    cloud.page = 1
    call(cloud, "launch", {"name": "node-2", "image": image, "type": "m1.medium"},
         tags=dict(TAGS, token="job-3"))
    out = call(cloud, "list")
    tap.ok(sorted(x["name"] for x in out.result["instances"]) == ["node-1", "node-2"],
           "lists are read over all their pages", out)
    cloud.page = 1000
    tap.ok(len(call(cloud, "types").result["types"]) == 6, "types are listed")
    tap.ok(call(cloud, "fence", {"id": n["id"]}).result == {} and server["status"] == "SHUTOFF",
           "fence: it is off")
    tap.ok(call(cloud, "terminate", {"id": n["id"]}).result == {} and
           len(cloud.has()["servers"]) == 1, "terminate ends it")
    tap.ok(not sweep(cloud) and cloud.has() == {}, "gc leaves nothing", cloud.has())


def refusals(cloud):
    cases = [
        ("a wrong key", "check", {}, {"api_key": "wrong"}, "EACCES",
         ("Username or api key is invalid", "check username and api_key")),
        ("a disk over 40 GB", "publish", publish_args(*vhd_file("big.vhd", b"x", size=41 << 30)),
         {}, "EINVAL", ("40 GB",)),
        ("a UUID of zero", "publish", publish_args(*vhd_file("zero.vhd", b"x", identity=False)),
         {}, "EINVAL", ("UUID is zero",)),
        ("a disk with a parent", "publish", publish_args(*vhd_file("child.vhd", b"x", kind=4)), {},
         "EINVAL", ("parent",)),
        ("what is no VHD", "publish", publish_args(__file__, b""), {}, "EINVAL", ("footer",)),
        ("an image of another form", "publish", publish_args(format="qcow2"), {}, "EINVAL",
         ("takes 'vhd'",)),
        ("an unknown type", "launch", {"name": "n", "image": "none"}, {}, "ENOENT", ("'none'",)),
    ]
    for name, what, args, config, code, words in cases:
        cloud.reset()
        out = call(cloud, what, args, config)
        text = out.error["message"] if out.error else ""
        tap.ok(out.error and out.error["code"] == code and all(w in text for w in words)
               and cloud.has() == {}, "%s: %s" % (name, code), (out, cloud.has()))
    cloud.reset()
    cloud.break_import = "Import failed: an internal error of the image service."
    out = call(cloud, "publish", publish_args())
    cloud.break_import = ""
    tap.ok(out.error and "an internal error of the image service" in out.error["message"]
           and cloud.has() == {}, "an import that fails: its words, and nothing left",
           (out, cloud.has()))


def segments(cloud):
    path, data = vhd_file("large.vhd", os.urandom(3 << 20))
    args = publish_args(path, data, options={"segment_mib": 1})
    cloud.reset()
    out = call(cloud, "publish", args)
    image = (out.result or {}).get("image", {}).get("id")
    puts = [r for r in cloud.routes() if r.startswith("PUT") and r.endswith("OBJECT")]
    tap.ok(image and cloud.data[image] == data and len(puts) == 5 and
           cloud.has() == {"images": [image]}, "a large file goes in segments and is joined again",
           (out, puts, cloud.has()))
    cloud.reset()
    n = []

    def kill_late(p, line):
        if line.get("progress", {}).get("done", 0) > 1 << 20:
            n.append(1)
            p.kill()
    cloud.fault("slow", route="PUT /files/v1/supercloud-images/OBJECT", times=99, seconds=0.25)
    out = call(cloud, "publish", args, on_line=kill_late)
    there = len(cloud.has().get("objects", []))
    left = call(cloud, "leftovers").result["resources"]
    tap.ok(out.status == -signal.SIGKILL and there >= 1 and
           {r["kind"] for r in left} == {"object"} and {r["token"] for r in left} == {"job-1"},
           "killed in the middle: gc sees the segments", (out, there, left))
    cloud.clear()
    out = call(cloud, "publish", args)
    puts = [r for r in cloud.routes() if r.startswith("PUT") and r.endswith("OBJECT")]
    tap.ok(out.result and len(puts) == 5 - there and cloud.data[out.result["image"]["id"]] == data,
           "again: segments that are there are not sent twice", (out, there, puts))
    cloud.reset()

    def kill_in_import(p, line):
        if line.get("progress", {}).get("stage") == "import":
            p.kill()
    cloud.imports = 5
    out = call(cloud, "publish", args, on_line=kill_in_import)
    dead = out.status == -signal.SIGKILL
    cloud.clear()
    out = call(cloud, "publish", args, resume=out.saves[-1])
    cloud.imports = 2
    routes = cloud.routes()
    tap.ok(dead and out.result and "POST /image/v2/tasks" not in routes and
           len(cloud.has()["images"]) == 1, "killed in the import: its task is found again",
           (out, routes))


def faults(what, kinds):
    with rackspace.Rackspace() as cloud:
        def prepare():
            cloud.reset()
            if what == "publish":
                return publish_args()
            cloud.state["regions"]["DFW"]["images"]["a" * 32] = {
                "id": "a" * 32, "name": "base", "status": "active", "min_disk": 5, "size": 5}
            return {"name": "n", "image": "a" * 32, "type": "m1.medium"}

        def of_us():
            have = {k: len([i for i in v if i != "a" * 32]) for k, v in cloud.has().items()}
            return {k: n for k, n in have.items() if n}

        def judge(kind, out):
            want = {"images": 1} if what == "publish" else {"servers": 1}
            wrong = None
            # Gone after the import: the image is there, its file is left to gc.
            if out.result is not None and of_us() != want and kind != "gone":
                wrong = "done, but there is %r" % of_us()
            elif out.result is None and not out.error:
                wrong = "neither done nor failed: %r" % out
            # A task that nobody waits for goes on: the time of a few looks.
            for _ in range(3 if kind == "gone" else 0):
                call(cloud, "leftovers")
            problems = sweep(cloud)
            left = of_us()
            left.pop("containers", None)
            return "%s %s left %r after %r" % (wrong, problems, left, out) \
                if wrong or problems or left else None
        return frame.at_each_request(cloud, kinds, prepare,
                                     lambda args: call(cloud, what, args, {"retry_ms": 1}), judge)


def main():
    with rackspace.Rackspace() as cloud:
        for part in (journey, refusals, segments):
            part(cloud)
        tap.ok(not cloud.crashes, "the emulator did not fail", cloud.crashes)
    frame.report_all(tap, faults, ("publish", "launch"), (
        ("500", "slow"), ("cut-before", "truncated"), ("cut-after", "expired"), ("gone",)),
        gone=lambda ended, n: ended < n / 2)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
