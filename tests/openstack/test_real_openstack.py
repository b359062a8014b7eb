#!/usr/bin/python3
"""The OpenStack driver through `sc-provider worker`, against real Keystone, Glance, Neutron,
Placement and Nova on loopback (services.py): the whole journey, by an application credential
that may do what docs/providers/openstack-access-rules.json lists and nothing else.  Instances
are emulated by Nova's own fake driver.  Prints TAP; `make check-openstack` runs it.
"""
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib/clouds")]
import base                                            # noqa: E402
import services                                        # noqa: E402

tap = base.Tap()
RULES_FILE = os.path.join(HERE, "../../docs/providers/openstack-access-rules.json")
RULES = [{"protocol": "tcp", "port_from": 8443, "port_to": 8443, "cidr": "0.0.0.0/0"},
         {"protocol": "udp", "port_from": 7481, "port_to": 7482, "cidr": "2001:db8::/32"},
         {"protocol": "icmp", "cidr": "0.0.0.0/0"}]
FLAVORS = (("t1", 1, 512, 1), ("m1", 2, 2048, 10), ("m2", 2, 4096, 20), ("x1", 1, 16000, 20),
           ("x2", 2, 30000, 20))


class Journey:
    def __init__(self, cloud, folder):
        self.cloud, self.folder = cloud, folder
        self.nova, self.glance = cloud.compute_url, "http://127.0.0.1:%d/v2" % cloud.glance_port
        self.neutron = "http://127.0.0.1:%d/v2.0" % cloud.neutron_port
        self.tags = {"cluster": "cluster-1", "token": "job-1"}

    def set_up(self):
        """As the cloud's administrator: a project with a member, flavors, networks."""
        api, key = self.cloud.api, self.cloud.auth_url
        self.project = api("POST", key + "/projects", {"project": {"name": "work"}})[
            "project"]["id"]
        user = api("POST", key + "/users", {"user": {
            "name": "supercloud", "password": "member's word",
            "default_project_id": self.project}})["user"]["id"]
        roles = {r["name"]: r["id"] for r in api("GET", key + "/roles")["roles"]}
        api("PUT", "%s/projects/%s/users/%s/roles/%s" % (key, self.project, user,
                                                         roles["member"]))
        for name, vcpus, ram, disk in FLAVORS:
            api("POST", self.nova + "/flavors", {"flavor": {
                "name": name, "vcpus": vcpus, "ram": ram, "disk": disk}})
        net = api("POST", self.neutron + "/networks", {"network": {
            "name": "inside", "project_id": self.project}})["network"]["id"]
        sub = api("POST", self.neutron + "/subnets", {"subnet": {
            "network_id": net, "cidr": "10.7.0.0/24", "ip_version": 4,
            "project_id": self.project}})["subnet"]["id"]
        out = api("POST", self.neutron + "/networks", {"network": {
            "name": "outside", "router:external": True}})["network"]["id"]
        api("POST", self.neutron + "/subnets", {"subnet": {
            "network_id": out, "cidr": "198.51.100.0/24", "ip_version": 4}})
        router = api("POST", self.neutron + "/routers", {"router": {
            "name": "r", "external_gateway_info": {"network_id": out}}})["router"]["id"]
        api("PUT", "%s/routers/%s/add_router_interface" % (self.neutron, router),
            {"subnet_id": sub})
        self.password = {"auth_url": self.cloud.auth_url, "username": "supercloud",
                         "password": "member's word", "project_name": "work",
                         "network": "inside", "external_network": "outside"}
        with open(RULES_FILE) as f:
            rules = json.load(f)
        member = self.cloud.login("supercloud", "member's word", "work")
        made = api("POST", "%s/users/%s/application_credentials" % (key, user), {
            "application_credential": {"name": "sc", "roles": [{"name": "member"}],
                                       "access_rules": rules}}, {"X-Auth-Token": member})
        made = made["application_credential"]
        self.config = {"auth_url": self.cloud.auth_url, "application_credential_id": made["id"],
                       "application_credential_secret": made["secret"], "network": "inside",
                       "external_network": "outside"}

    def call(self, name, args=None, config=None, token=None, **kw):
        tags = dict(self.tags, token=token) if token else self.tags
        return base.worker("openstack", config or self.config, name, args, tags, timeout=300, **kw)

    def has(self):
        """What the cloud has of the project, as its administrator sees it."""
        api, p = self.cloud.api, self.project
        return {
            "servers": len(self.all_servers()),
            "images": len(api("GET", self.glance + "/images?owner=" + p)["images"]),
            "groups": len([g for g in api("GET", self.neutron + "/security-groups?project_id="
                                          + p)["security_groups"] if g["name"] != "default"]),
            "addresses": len(api("GET", self.neutron + "/floatingips")["floatingips"]),
            "ports": len([x for x in api("GET", self.neutron + "/ports?project_id=" + p)["ports"]
                          if x["device_owner"].startswith("compute")])}

    def all_servers(self):
        return self.cloud.api("GET", self.nova + "/servers?all_tenants=1")["servers"]

    # -- the journey -----------------------------------------------------------------------------
    def first_look(self):
        out = self.call("check")
        tap.ok(out.result and out.result["identity"].startswith("user supercloud, project work"),
               "check by an application credential says who we are", out)
        out = self.call("check", config=self.password)
        tap.ok(out.result, "check by a password does", out)
        out = self.call("check", config=dict(self.password, password="wrong"))
        tap.ok(out.error and out.error["code"] == "EACCES" and "requires authentication" in
               out.error["message"] and "request req-" in out.error["message"],
               "a wrong password: Keystone's words", out)
        tap.ok(self.call("regions").result == {"regions": ["RegionOne"]}, "regions are listed")
        types = self.call("types").result["types"]
        tap.ok(sorted((t["name"], t["vcpus"], t["memory_mib"]) for t in types)
               == sorted(f[:3] for f in FLAVORS), "all flavors come, though Nova gives three at a "
               "time", types)

    def publish(self):
        path = os.path.join(self.folder, "disk.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1G"], check=True)
        with open(path, "ab") as f:
            f.write(os.urandom(8 << 20))
        with open(path, "rb") as f:
            data = f.read()
        args = {"name": "supercloud-1", "file": path, "format": "qcow2", "boot": "bios",
                "sha256": hashlib.sha256(data).hexdigest(), "virtual_size": 1 << 30}
        out = self.call("publish", args)
        self.image = ((out.result or {}).get("image") or {}).get("id")
        image = self.cloud.api("GET", self.glance + "/images/%s" % self.image)
        tap.ok(image["status"] == "active" and image["size"] == len(data) and
               image["os_hash_value"] == hashlib.sha512(data).hexdigest() and
               image["supercloud_cluster"] == "cluster-1" and image["visibility"] == "private",
               "publish: Glance has the file, whole, private, with our tags", (out, image))
        again = self.call("publish", args, token="job-2")
        tap.ok(again.result == out.result and self.has()["images"] == 1,
               "publish again: it is there already", again)

        def kill(p, line):
            if line.get("progress", {}).get("stage") == "upload":
                time.sleep(0.01)
                p.kill()
        with open(path, "ab") as f:
            f.truncate(400 << 20)
        with open(path, "rb") as f:
            args = dict(args, name="supercloud-2", sha256=hashlib.sha256(f.read()).hexdigest())
        out = self.call("publish", args, token="job-3", on_line=kill)
        before = self.has()["images"]
        again = self.call("publish", args, token="job-3")
        tap.ok(out.status == -signal.SIGKILL and before == 2 and again.result
               and self.has()["images"] == 2, "killed in its upload, it ends with one image when "
               "given again", (out, before, again, self.has()))

    def launch(self):
        args = {"name": "node-1", "image": self.image, "user_data": "#cloud-config\n",
                "rules": RULES}

        def kill(p, line):
            if line.get("progress", {}).get("stage") == "boot":
                p.kill()
        out = self.call("launch", args, on_line=kill)
        tap.ok(out.status == -signal.SIGKILL and out.saves, "launch is killed while Nova builds",
               out)
        out = self.call("launch", args, resume=out.saves[-1] if out.saves else None)
        n = self.node = (out.result or {}).get("instance") or {}
        tap.ok(n.get("state") == "running" and n["type"] == "m2" and
               n["address"].startswith("198.51.100.") and n["private_address"].startswith("10.7.")
               and self.has() == {"servers": 1, "images": 2, "groups": 1, "addresses": 1,
                                  "ports": 1}, "again: it is the one instance, with its address",
               (out, self.has()))
        if not n:
            raise SystemExit("# without an instance there is nothing more to test")
        server = self.cloud.api("GET", "%s/servers/%s" % (self.nova, n["id"]))["server"]
        tap.ok(server["config_drive"] == "True" and server["metadata"] == {
            "supercloud_cluster": "cluster-1", "supercloud_token": "job-1"},
            "it has a config drive and our tags", server)
        rules = self.cloud.api("GET", self.neutron + "/security-group-rules?direction=ingress"
                               "&project_id=" + self.project)["security_group_rules"]
        have = sorted((r["protocol"], r["port_range_max"] or 0, r["remote_ip_prefix"])
                      for r in rules if r["remote_ip_prefix"])
        tap.ok(have == [("icmp", 0, "0.0.0.0/0"), ("tcp", 8443, "0.0.0.0/0"),
                        ("udp", 7482, "2001:db8::/32")], "its security group has the rules", have)
        out = self.call("list")
        tap.ok([i["id"] for i in out.result["instances"]] == [n["id"]], "list has it", out)

    def refusals(self):
        base_args = {"name": "no", "image": self.image, "rules": RULES}
        before = self.has()
        for name, args, config, code, words in (
                ("an unknown type", {"type": "m9"}, {}, "ENOENT", ("'m9'", "t1")),
                ("no capacity", {"type": "x1"}, {}, "ENOSPC", ("No valid host was found",)),
                ("the quota", {"type": "x2"}, {}, "EDQUOT", ("Quota exceeded for ram",)),
                ("an unknown zone", {"zone": "mars"}, {}, "EINVAL", ("availability zone",)),
                ("a name in use", {"name": "node-1"}, {}, "EEXIST", ("another name",))):
            out = self.call("launch", dict(base_args, **args), dict(self.config, **config),
                            token="job-4")
            text = out.error["message"] if out.error else ""
            tap.ok(out.error and out.error["code"] == code and all(w in text for w in words)
                   and self.has() == before, "%s: %s in Nova's words, and nothing left"
                   % (name, code), (out, before, self.has()))

    def end(self):
        n = self.node["id"]
        out = self.call("fence", {"id": n})
        server = self.cloud.api("GET", "%s/servers/%s" % (self.nova, n))["server"]
        tap.ok(out.result == {} and server["status"] == "SHUTOFF" and
               server["OS-EXT-STS:power_state"] == 4, "fence: Nova says it is shut down",
               (out, server))
        out = self.call("terminate", {"id": n})
        tap.ok(out.result == {} and self.has() == {"servers": 0, "images": 2, "groups": 0,
                                                   "addresses": 0, "ports": 0},
               "terminate takes the group, the port and the address along", (out, self.has()))
        tap.ok(self.call("terminate", {"id": n}).result == {}, "twice is once")

        def kill(p, line):
            if line.get("progress", {}).get("stage") == "boot":
                p.kill()
        self.call("launch", {"name": "node-2", "image": self.image, "type": "t1", "rules": RULES},
                  token="job-5", on_line=kill)
        left = self.call("leftovers").result["resources"]
        tap.ok(sorted(r["kind"] for r in left) == ["image", "image", "instance", "security-group"]
               and [r for r in left if r["kind"] == "instance"][0]["token"] == "job-5",
               "leftovers of a killed launch are seen", left)
        for r in left:
            one = self.call("remove", {k: r[k] for k in ("kind", "region", "id")})
            if one.error:
                tap.ok(False, "gc removes the %s" % r["kind"], one)
        none = {"servers": 0, "images": 0, "groups": 0, "addresses": 0, "ports": 0}
        tap.ok(self.has() == none and self.call("leftovers").result == {"resources": []},
               "gc leaves nothing", self.has())


def main():
    began = time.monotonic()
    with services.Cloud() as cloud, tempfile.TemporaryDirectory() as folder:
        print("# real services, instances emulated by Nova's fake driver; started in "
              + ", ".join("%s %.0f s" % t for t in cloud.timings))
        sys.stdout.flush()
        j = Journey(cloud, folder)
        j.set_up()
        for part in (j.first_look, j.publish, j.launch, j.refusals, j.end):
            part()
            print("# %3.0f s: %s" % (time.monotonic() - began, part.__name__))
            sys.stdout.flush()
        mine = [p.pid for p in cloud.processes]
    alive = [p for p in mine if os.path.exists("/proc/%d" % p)]
    tap.ok(not alive and not os.path.exists(cloud.dir), "no process and no file stays", alive)
    return tap.done()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
