#!/usr/bin/python3
"""The demo with two providers of different kinds: the EC2 image and the GCE image,
each on hardware like its provider's and with its metadata service emulated, joined
over the emulated WAN; a guest migrates from one to the other.

SC_PROVIDERS names another pair.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import demo_run                                          # noqa: E402
from demo_run import ok                                  # noqa: E402

PAIR = (os.environ.get("SC_PROVIDERS") or "ec2,gce").split(",")
EMULATOR = os.path.join(demo_run.TOP, "tests", "lib", "metadata", "emulator")
USER_DATA = {"ec2": "/user-data", "gce": "instance/attributes", "rackspace": "/user_data"}


def refused(providers, word):
    with demo_run.Demo(PROVIDERS=providers) as d:
        ok(not d.up(60) and word in d.said, "PROVIDERS=%s is refused, with the reason" % providers,
           d.said)


refused("ec2,moon", "rackspace-classic")
refused("ec2", "comma")
refused("azure,ec2", "cannot move")
with demo_run.Demo(PROVIDERS=",".join(PAIR), MIGRATIONS="1") as d:
    ok(d.up(), "the demo ends as it should", d.said)
    ok("emulated" in d.said and all("emulated %s" % k in d.said for k in PAIR),
       "it says what is emulated", d.said)
    d.check_migrations(1)
    for kind, name in zip(PAIR, ("us-1", "ap-1")):
        p = subprocess.run([EMULATOR, "status", d.path("provider", kind, name)],
                           stdout=subprocess.PIPE, text=True)
        asked = " ".join(r[1] for r in json.loads(p.stdout)["requests"]) if p.stdout else ""
        if kind in USER_DATA:
            ok(USER_DATA[kind] in asked, "%s took its user-data from the metadata service of %s"
               % (name, kind), p.stdout)
    d.check_down()
demo_run.done()
