#!/usr/bin/python3
"""The emulated clouds of tests/lib/clouds/openstack.py and rackspace.py, driven by clients that
know nothing of them: the `openstack` command, openstacksdk and libcloud.  What these do with a
real cloud they must do here.  Prints TAP."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib/clouds"))
import base                                            # noqa: E402
import openstack as emulated                           # noqa: E402
import rackspace                                       # noqa: E402

tap = base.Tap()


def command(cloud, folder, *args):
    """The openstack command; its JSON, or text that says why not."""
    env = {"PATH": "/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8",
           "PYTHONWARNINGS": "ignore", "OS_AUTH_URL": cloud.url + "/identity/v3",
           "OS_USERNAME": emulated.USER, "OS_PASSWORD": emulated.PASSWORD, "OS_PROJECT_NAME":
           emulated.PROJECT, "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
           "OS_REGION_NAME": "RegionOne", "OS_IDENTITY_API_VERSION": "3",
           "OS_COMPUTE_API_VERSION": "2.37"}
    p = subprocess.run(["/usr/bin/python3", "/usr/bin/openstack", *args], env=env, timeout=120,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode:
        return "exit %d: %s" % (p.returncode, p.stderr)
    return json.loads(p.stdout) if p.stdout.strip().startswith(("[", "{")) else p.stdout


def openstack_command(cloud, folder):
    path = os.path.join(folder, "disk")
    with open(path, "wb") as f:
        f.write(os.urandom(100000))
    out = command(cloud, folder, "token", "issue", "-f", "json")
    tap.ok(isinstance(out, dict) and out["project_id"] == "p" * 32, "a token is issued", out)
    out = command(cloud, folder, "image", "create", "--disk-format", "qcow2", "--container-format", "bare",
                  "--file", path, "--property", "supercloud_cluster=c", "one", "-f", "json")
    listed = command(cloud, folder, "image", "list", "-f", "json")
    tap.ok(isinstance(listed, list) and [(i["Name"], i["Status"]) for i in listed]
           == [("one", "active")], "an image is made and listed", (out, listed))
    out = command(cloud, folder, "flavor", "list", "-f", "json")
    tap.ok(isinstance(out, list) and len(out) == 6, "flavors are listed", out)
    group = command(cloud, folder, "security", "group", "create", "g", "-f", "json")
    rule = command(cloud, folder, "security", "group", "list", "-f", "json")
    tap.ok(isinstance(group, dict) and isinstance(rule, list) and rule[0]["Name"] == "g",
           "a security group is made and listed", (group, rule))
    net = cloud.network_id("RegionOne", "inside")
    out = command(cloud, folder, "server", "create", "--image", "one", "--flavor", "m1.small", "--nic",
                  "net-id=" + net, "--security-group", group["id"], "--wait", "s", "-f", "json")
    tap.ok(isinstance(out, dict) and out["status"] == "ACTIVE", "a server is made and waited for",
           out)
    out = command(cloud, folder, "server", "stop", "s")
    listed = command(cloud, folder, "server", "list", "-f", "json")
    tap.ok(isinstance(listed, list) and [s["Name"] for s in listed] == ["s"]
           and "10.1." in json.dumps(listed), "it is listed, with its address", (out, listed))
    out = command(cloud, folder, "server", "delete", "--wait", "s")
    out2 = command(cloud, folder, "security", "group", "delete", group["id"])
    out3 = command(cloud, folder, "image", "delete", "one")
    tap.ok(cloud.has() == {}, "all of it is deleted", (out, out2, out3, cloud.has()))


def libcloud_rackspace(cloud, folder):
    from libcloud.compute.drivers.rackspace import RackspaceNodeDriver
    from libcloud.storage.drivers.cloudfiles import CloudFilesStorageDriver
    where = {"ex_force_auth_url": cloud.url + "/identity/v2.0/tokens", "ex_force_auth_version": "2.0_apikey"}
    files = CloudFilesStorageDriver(rackspace.USER, rackspace.API_KEY, region="dfw", **where)
    path = os.path.join(folder, "disk")
    container = files.create_container("mine")
    files.upload_object(path, container, "disk.vhd")
    tap.ok([o.name for o in container.list_objects()] == ["disk.vhd"],
           "libcloud: a file goes to Cloud Files and is listed", cloud.has())
    back = path + ".back"
    container.get_object("disk.vhd").download(back, overwrite_existing=True)
    with open(back, "rb") as a, open(path, "rb") as b:
        tap.ok(a.read() == b.read(), "libcloud: and comes back as it went")
    container.get_object("disk.vhd").delete()
    container.delete()
    nova = RackspaceNodeDriver(rackspace.USER, rackspace.API_KEY, region="dfw", **where)
    tap.ok(len(nova.list_sizes()) == 6 and nova.list_nodes() == [] and cloud.has() == {},
           "libcloud: sizes and servers are listed")


def main():
    with tempfile.TemporaryDirectory() as folder:
        with emulated.OpenStack() as cloud:
            openstack_command(cloud, folder)
            tap.ok(not cloud.crashes, "the emulator did not fail", cloud.crashes)
        with rackspace.Rackspace() as cloud:
            try:
                libcloud_rackspace(cloud, folder)
            except Exception as e:          # libcloud's own: which one says enough.
                tap.ok(False, "libcloud works with the emulated Rackspace", repr(e))
            tap.ok(not cloud.crashes, "the emulator did not fail", cloud.crashes)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
