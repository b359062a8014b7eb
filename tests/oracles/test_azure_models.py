#!/usr/bin/python3
"""What the Azure driver sends and the emulated Azure answers, held against the models of Azure's
own SDK: every field must be one of the model's, of its type, and none that only Azure may set.

The models are of Debian's python3-azure (API versions 2022-08-01, 2022-07-02, 2022-07-01: those
the driver uses).  Skipped if they have not been fetched (make check-oracles).
"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import oracles                                         # noqa: E402

oracles.need()
import test_provider_azure as own                      # noqa: E402
from clouds import azure, base                         # noqa: E402
from azure_sdk import MODELS                           # noqa: E402

tap = base.Tap()


def main():
    with tempfile.TemporaryDirectory() as folder, azure.Azure() as cloud:
        cloud.op_ticks = 0
        image = own.make_image(folder, 1, 20, 19)
        for r in (own.call(cloud, "publish", own.publish_args(image)),
                  own.call(cloud, "launch", own.launch_args()),
                  own.call(cloud, "launch", own.launch_args(
                      name="node-2", spot=True, max_price=0.05, disk_gib=40, zone="1"))):
            if not r.result:
                tap.ok(False, "the driver does its work", r)
        seen = set()
        for kind, body in cloud.bodies:
            why = MODELS[kind].check(body)
            seen.add(kind)
            tap.ok(not why, "a body of %s is one of the SDK's" % kind, why)
        tap.ok(seen == set(azure.KINDS), "... of every kind there is", seen)
        wrong = dict(cloud.bodies[0][1], colour="red")
        tap.ok(MODELS[cloud.bodies[0][0]].check(wrong), "... and one with a wrong field is not")
        for kind in azure.KINDS:
            for r in cloud.state[kind].values():
                answer = {k: v for k, v in r.items() if k != "power"}
                why = MODELS[kind].unknown(answer)
                tap.ok(not why, "the emulator's %s has the SDK's fields alone" % kind, why)
        tap.ok(not cloud.crashes, "the emulator has not failed", cloud.crashes)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
