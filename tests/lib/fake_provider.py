#!/usr/bin/python3
"""A scripted sc-provider for tests of the controller: it speaks the protocol of
`sc-provider worker` (docs/protocols/provider.md) and keeps its cloud, which is
none, in a JSON file.  Its one driver is called "scripted".

The settings choose what happens: 'state' is the file, 'delay' makes each call
take so many seconds, 'refuse' names a call that fails with 'code'.  The secret
'key' must be "open sesame".
"""
import fcntl
import json
import os
import sys
import time

DRIVERS = [{"name": "scripted", "about": "a test's cloud, in a file", "user_data_max": 16384,
            "image_format": "raw", "permissions": "", "fields": [
                {"name": "state", "about": "file", "required": True, "secret": False},
                {"name": "region", "about": "where", "required": False, "secret": False},
                {"name": "delay", "about": "seconds", "required": False, "secret": False},
                {"name": "refuse", "about": "call", "required": False, "secret": False},
                {"name": "code", "about": "errno", "required": False, "secret": False},
                {"name": "key", "about": "secret", "required": True, "secret": True}]}]


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class State:
    """The file, locked while it is open."""

    def __init__(self, path):
        self.f = open(path, "a+")
        fcntl.flock(self.f, fcntl.LOCK_EX)
        self.f.seek(0)
        text = self.f.read()
        self.things = json.loads(text) if text else []

    def __enter__(self):
        return self.things

    def __exit__(self, kind, value, trace):
        self.f.seek(0)
        self.f.truncate()
        json.dump(self.things, self.f)
        self.f.close()


def say(**line):
    print(json.dumps(line), flush=True)


def make(state, kind, name, region, tags):
    """A thing with this token; the one there is, if it is there already."""
    with State(state) as things:
        for t in things:
            if t["kind"] == kind and t["token"] == tags["token"]:
                return t
        t = {"kind": kind, "id": "%s-%s" % (kind[:3], os.urandom(4).hex()), "name": name,
             "region": region, "cluster": tags["cluster"], "token": tags["token"], "detail": "",
             "created_at": int(time.time() * 1000)}
        things.append(t)
        return t


def instance(t):
    i = {k: t[k] for k in ("id", "name", "region", "cluster", "token", "created_at")}
    i.update(zone="", type="", image="", address="", private_address="", console="",
             state="running", spot=False)
    return i


def run(q):
    config, args, tags, call = q["config"], q["args"], q["tags"], q["call"]
    state, region = config["state"], q["args"].get("region") or "r1"
    if config.get("key") != "open sesame":
        raise Refused("EACCES", "scripted: the key is wrong")
    if config.get("refuse") == call:
        raise Refused(config.get("code") or "EDQUOT", "scripted: %s is refused" % call)
    say(progress={"stage": call, "done": 0, "total": 0})
    if call == "check":
        return {"identity": "nobody"}
    if call == "regions":
        return {"regions": ["r1", "r2"]}
    if call == "types":
        return {"types": [{"name": "small", "vcpus": 1, "memory_mib": 1024,
                           "nested_virtualisation": False, "xen": True}]}
    if call == "prices":
        return {"prices": [{"type": "small", "region": region, "zone": "", "what": "on-demand",
                            "unit": "hour", "amount": 0.5, "at": 0}]}
    if call == "publish":
        with open(args["file"], "rb") as f:
            f.read(1)
        snapshot = make(state, "snapshot", args["name"], region, tags)
        say(save={"snapshot": snapshot["id"]})
        time.sleep(float(config.get("delay") or 0))
        t = make(state, "image", args["name"], region, tags)
        return {"image": {k: t[k] for k in ("id", "name", "region")}}
    if call == "launch":
        t = make(state, "instance", args["name"], region, tags)
        with open(state + "." + args["name"], "w") as f:
            f.write(args["user_data"])
        say(save={"instance": t["id"]})
        time.sleep(float(config.get("delay") or 0))
        return {"instance": instance(t)}
    with State(state) as things:
        if call == "list":
            return {"instances": [instance(t) for t in things if t["kind"] == "instance"]}
        if call == "leftovers":
            return {"resources": [dict(t) for t in things]}
        if call in ("terminate", "remove"):
            things[:] = [t for t in things if t["id"] != args["id"]]
            return {}
        if call == "fence":
            return {}
        if call == "console":
            return {"console": "the scripted %s says nothing\n" % args["id"]}
    raise Refused("EINVAL", "no call '%s'" % call)


def main():
    if sys.argv[1:] == ["drivers"]:
        print(json.dumps(DRIVERS, indent=1))
        return
    q = json.load(sys.stdin)
    try:
        say(result=run(q))
    except Refused as e:
        say(error={"code": e.code, "message": str(e)})


if __name__ == "__main__":
    main()
