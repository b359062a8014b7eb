#!/usr/bin/python3
"""Requests that a whole Supercloud must refuse, leaving nothing behind: a
truncated image upload, an upload with another digest, a VM without room, a
migration to the node the VM is on, to an unknown node, to one that lacks room.
"""
import hashlib
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import days                                            # noqa: E402
from cloud import CliError, Tap, wait_for              # noqa: E402

tap = Tap()
EXISTS_OR_BUSY, NO_OBJECT, NO_ROOM = 5, 3, 6           # The CLI's exit codes.


def refused(name, status, words, fn):
    try:
        got = fn()
    except CliError as e:
        tap.ok(e.status == status and all(w in e.text for w in words), name,
               "exit %d: %s" % (e.status, e.text))
        return
    tap.ok(False, name, "was accepted: %s" % got)


def new_image(c, name, size, **more):
    status, image = c.api("POST", "/images", dict(name=name, kind="disk", size=size, **more))
    tap.ok(status == 201 and image["state"] == "queued", "image '%s' waits for its bytes" % name,
           (status, image))
    return image


def put_file(c, image, data, length):
    """PUT with Content-Length 'length'; when 'data' is shorter the connection is
    closed after it.  Returns the status, or None."""
    conn = c.connect()
    conn.putrequest("PUT", "/api/v1/images/%s/file" % image["id"])
    conn.putheader("Authorization", "Bearer " + c.token())
    conn.putheader("Content-Type", "application/octet-stream")
    conn.putheader("Content-Length", str(length))
    conn.endheaders()
    status = None
    conn.send(data)
    if len(data) == length:
        r = conn.getresponse()
        status, _ = r.status, r.read()
    conn.close()
    return status


def nothing_of(c, name):
    spool = os.path.join(c.nodes[0].state_dir, "spool")
    try:
        return wait_for("image '%s' to go" % name, lambda: all(
            i["name"] != name for i in c.get("/images")["images"]) and not os.listdir(spool), 20)
    except TimeoutError as e:
        print("# %s" % e)
        return False


def uploads(c):
    """Guards abort_upload() of console/api/upload.c (bytes that are missing), its
    check_digest() and the same in import_read() of controller/ops_image.c."""
    data = os.urandom(3 << 20)
    put_file(c, new_image(c, "cut", 4 << 20), data, 4 << 20)
    tap.ok(nothing_of(c, "cut"), "a truncated upload leaves neither image nor file behind")
    other = hashlib.sha256(b"other").hexdigest()
    status = put_file(c, new_image(c, "wrong", len(data), sha256=other), data, len(data))
    tap.ok(status == 400 and nothing_of(c, "wrong"),
           "so does an upload with another digest than was said", status)
    image = new_image(c, "whole", len(data), sha256=hashlib.sha256(data).hexdigest())
    status = put_file(c, image, data, len(data))
    tap.ok(status == 200 and c.get("/images/whole")["state"] == "active",
           "a whole one is taken", status)


def no_room(c):
    """Guards the comparison with place_room_mib() in scheduler/place.c."""
    free = max(n["memory_free_mib"] for n in c.get("/nodes")["nodes"])
    refused("a VM without room is refused with each node's reason", NO_ROOM, ["n1", "n2"],
            lambda: c.cli("vm", "create", "huge", "--image", "guest", "--network", "net1",
                          "--memory", str(free + 4096)))
    tap.ok([v["name"] for v in c.get("/vms")["vms"]] == ["hello"], "and nothing of it is left")


def restart_node(c, node, reserved_mib):
    node.kill("sc-node", signal.SIGTERM)
    node.tune(reserved_mib=reserved_mib)
    node.start("sc-node")
    wait_for("the memory of " + node.name, lambda: [
        n for n in c.get("/nodes")["nodes"] if n["name"] == node.name and n["state"] == "up"
        and n["programs"]["sc-node"] and (n["memory_free_mib"] < 64) == (reserved_mib > 0)], 30)


def migrations(c):
    """Guards 'not_nid', asked_for() and place_room_mib() of scheduler/place.c as
    op_vm_migrate() of controller/ops_vm.c uses them."""
    refused("migrating to the node it is on is refused", EXISTS_OR_BUSY, ["n1"],
            lambda: c.cli("vm", "migrate", "hello", "n1"))
    refused("migrating to an unknown node is refused", NO_OBJECT, ["nowhere"],
            lambda: c.cli("vm", "migrate", "hello", "nowhere"))
    restart_node(c, c.nodes[1], 10000000)
    refused("migrating to a node that lacks room is refused", NO_ROOM, ["n2"],
            lambda: c.cli("vm", "migrate", "hello", "n2"))
    restart_node(c, c.nodes[1], 0)
    vm = c.vm("hello")
    tap.ok(vm["state"] == "running" and vm["node_name"] == "n1" and not vm["error"],
           "and the VM does not notice", json.dumps(vm))
    kinds = [j["kind"] for j in c.get("/jobs")["jobs"]]
    tap.ok("vm.migrate" not in kinds, "none of them was even begun", kinds)


def main():
    with days.Day("n1", booted=False) as d:
        uploads(d.c)
        no_room(d.c)
        migrations(d.c)
    tap.done()


main()
