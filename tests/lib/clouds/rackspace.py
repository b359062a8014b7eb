#!/usr/bin/python3
"""An emulated Rackspace classic cloud: identity v2.0 with an API key, Cloud Files, Cloud Images
with import tasks, Nova v2 without microversions.  Servers and images behave as in openstack.py,
from which this is derived; there is no Neutron and no Cinder.

    with Rackspace() as cloud:
        cloud.config()
    rackspace.py                        # by hand: prints url and config, runs until SIGTERM

The import refuses what Rackspace's documents say it refuses: what is no VHD, a disk over 40 GB, a
UUID of zero, a disk with a parent, properties beside the name.
"""
import email.utils
import hashlib
import os
import struct
import sys
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import base                                            # noqa: E402
import openstack                                       # noqa: E402
from base import Answer                                # noqa: E402
from openstack import Refused, new_id, now             # noqa: E402

USER, API_KEY, TENANT = "shop", "0123456789abcdef0123456789abcdef", "987654"


def vhd(data, kind=2, identity=True, size=None):
    """'data' as a fixed VHD; 'size': what its footer claims."""
    size = len(data) if size is None else size
    footer = struct.pack(">8sIIQI4sI4sQQHBBI", b"conectix", 2, 0x10000, 2 ** 64 - 1, 0, b"sc  ", 1,
                         b"Wi2k", size, size, 1, 1, 1, kind)
    body = bytearray(footer + b"\0\0\0\0" + (uuid.uuid4().bytes if identity else bytes(16)))
    body += bytes(512 - len(body))
    body[64:68] = struct.pack(">I", ~sum(body) & 0xffffffff)
    return data + bytes(body)


class Rackspace(openstack.OpenStack):
    region_names = ("DFW", "ORD")
    imports = 2                 # looks at a task before it ends
    max_object = 5 * 10 ** 9

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.has_network = self.has_volume = False
        self.break_import = ""  # what the next import fails with

    def reset(self):
        super().reset()
        self.objects = {}       # (region, container, name) -> bytes
        for r in self.state["regions"].values():
            r.update(tasks={}, containers={})

    def config(self, **more):
        c = {"auth_url": self.url + "/identity/v2.0", "username": USER, "api_key": API_KEY,
             "region": "DFW", "retry_ms": 20}
        c.update(more)
        return {k: v for k, v in c.items() if v is not None}

    def has(self, region=None):
        out = super().has(region)
        for r, s in self.state["regions"].items():
            names = ["%s/%s" % (c, n) for c, objects in s["containers"].items() for n in objects]
            if names:
                out.setdefault("objects", []).extend(names)
            if s["containers"]:
                out.setdefault("containers", []).extend(s["containers"])
        return out

    def route(self, q):
        path = super().route(q).replace("/MossoCloudFS_" + TENANT, "").replace("/" + TENANT, "")
        for r in self.region_names:
            path = path.replace(" /%s/" % r, " /")
        return path.split("/supercloud/")[0] + ("/OBJECT" if "/supercloud/" in path else "")

    def handle(self, q):
        parts = [p for p in q.path.split("/") if p]
        if parts[:2] == ["identity", "v2.0"]:
            if parts[2:] != ["tokens"] or q.method != "POST":
                return Answer(404, {"itemNotFound": {"code": 404, "message": "Not Found"}})
            return self.tokens(q)
        return super().handle(q)

    def expired(self, q):
        self.state["tokens"].pop(q.headers.get("x-auth-token"), None)
        return self.handle(q) if "/tokens" in q.path else self.unauthorized(q)

    def tokens(self, q):
        try:
            a = self.body(q, {"auth": {"RAX-KSKEY:apiKeyCredentials": {
                "username": r".+", "apiKey": r".*"}}})["auth"]["RAX-KSKEY:apiKeyCredentials"]
        except Refused as e:
            return Answer(400, {"badRequest": {"code": 400, "message": e.text}})
        if (a["username"], a["apiKey"]) != (USER, API_KEY):
            return Answer(401, {"unauthorized": {"code": 401, "message":
                                                 "Username or api key is invalid."}})
        token, expires = uuid.uuid4().hex, now(self.token_seconds)
        self.state["tokens"][token] = {"expires": expires}

        def service(name, kind, path):
            return {"name": name, "type": kind, "endpoints": [
                {"region": r, "tenantId": TENANT, "publicURL": "%s/%s%s" % (self.url, r, path)}
                for r in self.region_names]}
        return Answer(200, {"access": {
            "token": {"id": token, "expires": expires.replace("Z", ".000Z"), "tenant": {
                "id": TENANT, "name": TENANT}, "RAX-AUTH:authenticatedBy": ["APIKEY"]},
            "user": {"id": "170454", "name": USER, "roles": [], "RAX-AUTH:defaultRegion": "DFW"},
            "serviceCatalog": [
                service("cloudServers", "compute", "/first-generation/v1.0/" + TENANT),
                service("cloudServersOpenStack", "compute", "/compute/v2/" + TENANT),
                service("cloudImages", "image", "/image/v2"),
                service("cloudFilesCDN", "rax:object-cdn", "/cdn/v1/MossoCloudFS_" + TENANT),
                service("cloudFiles", "object-store",
                        "/files/v1/MossoCloudFS_" + TENANT)]}})

    # -- Nova v2: as OpenStack's, without microversions, with Rackspace's networks -----------------
    def service_compute(self, q, s, region, parts):
        if parts[:2] != ["v2", TENANT]:
            raise self.not_found()
        if "openstack-api-version" in q.headers:
            raise Refused(400, "Microversions are not known here")
        if q.method == "POST" and parts[2:] == ["servers"] and "networks" in (
                (q.json() or {}).get("server") or {}):
            raise Refused(400, "Networks: only ids of cloud networks")
        return self.compute(q, s, region, parts[2:], 1)

    def server_view(self, x, s):
        view = super().server_view(x, s)
        if x["status"] != "BUILD":
            view["accessIPv4"] = "203.0.113.9"
            view["addresses"] = {
                "public": [{"addr": "203.0.113.9", "version": 4}, {"addr": "2001:db8::9",
                                                                 "version": 6}],
                "private": [{"addr": "10.183.1.9", "version": 4}]}
        return view

    # -- Cloud Images: no upload, but tasks -----------------------------------------------------------
    def service_image(self, q, s, region, parts):
        if parts[:2] == ["v2", "tasks"]:
            return self.tasks(q, s, region, parts[2:])
        if q.method in ("POST", "PUT") and parts[1:2] == ["images"]:
            raise Refused(403, "You are not authorized to complete this action.")
        return super().service_image(q, s, region, parts)

    def tasks(self, q, s, region, parts):
        for t in s["tasks"].values():
            if t["status"] in ("pending", "processing"):
                t["left"] -= 1
                t["status"] = "processing"
                if t["left"] < 0:
                    self.do_import(t, s, region)
        if not parts and q.method == "POST":
            b = self.body(q, {"type": r".+", "input": {"image_properties": {"*": r".*"},
                                                       "import_from": r".+/.+"}})
            if b["type"] != "import":
                raise Refused(400, "Invalid type.")
            t = {"id": new_id(), "type": "import", "status": "pending", "input": b["input"],
                 "left": self.imports, "message": "", "created_at": now(), "owner": TENANT}
            s["tasks"][t["id"]] = t
            return Answer(201, t)
        if not parts:
            return self.paged(q, [{k: v for k, v in t.items() if k not in ("input", "result")}
                                  for t in reversed(list(s["tasks"].values()))
                                  if q.query.get("type") in (None, t["type"])], "tasks",
                              links=False)
        if parts[0] not in s["tasks"]:
            raise self.not_found("No task found with ID %s" % parts[0])
        return Answer(200, s["tasks"][parts[0]])

    def do_import(self, t, s, region):
        where, _, name = t["input"]["import_from"].partition("/")
        data = self.read_object(s, region, where, name)
        extra = [k for k in t["input"]["image_properties"] if k != "name"]
        problem = self.break_import
        if not problem and data is None:
            problem = "Import failed: the object could not be found in Cloud Files."
        if not problem and extra:
            problem = "Import failed: the only allowed image property is name, not %s." % extra
        if not problem:
            f = data[-512:]
            if not f.startswith(b"conectix"):
                problem = "Import failed: only fixed or dynamic VHD images are supported."
            elif struct.unpack(">I", f[60:64])[0] not in (2, 3):
                problem = "Import failed: the VHD has a parent."
            elif struct.unpack(">Q", f[48:56])[0] > 40 << 30:
                problem = "Import failed: the virtual size exceeds 40 GB."
            elif f[68:84] == bytes(16):
                problem = "Import failed: the UUID of the VHD is zero."
        if problem:
            t.update(status="failure", message=problem)
            return
        image = {"id": new_id(), "name": t["input"]["image_properties"]["name"], "status": "active",
                 "disk_format": "vhd", "container_format": "ovf", "min_disk": 20, "min_ram": 512,
                 "visibility": "private", "size": len(data), "owner": TENANT, "created_at": now(),
                 "tags": [], "protected": False}
        s["images"][image["id"]] = image
        self.data[image["id"]] = data
        t.update(status="success", result={"image_id": image["id"]})

    # -- Cloud Files -----------------------------------------------------------------------------------
    def read_object(self, s, region, container, name):
        entry = s["containers"].get(container, {}).get(name)
        if entry is None:
            return None
        if not entry["manifest"]:
            return self.objects[region, container, name]
        where, _, prefix = entry["manifest"].partition("/")
        return b"".join(self.objects[region, where, n]
                        for n in sorted(s["containers"].get(where, {})) if n.startswith(prefix))

    def service_files(self, q, s, region, parts):
        if parts[:2] != ["v1", "MossoCloudFS_" + TENANT] or len(parts) < 3:
            raise self.not_found("The resource could not be found.")
        container, name = parts[2], "/".join(parts[3:])
        objects = s["containers"].get(container)
        if not name:
            return self.container(q, s, container, objects)
        if objects is None:
            raise self.not_found("The container does not exist.")
        key = (region, container, name)
        if q.method == "PUT":
            md5 = hashlib.md5(q.body).hexdigest()
            if q.headers.get("etag", md5) != md5:
                raise Refused(422, "Unprocessable Entity: the checksum does not match.")
            if len(q.body) > self.max_object:
                raise Refused(413, "Request Entity Too Large: objects have up to 5 GB.")
            self.objects[key] = q.body
            objects[name] = {"hash": md5, "bytes": len(q.body), "last_modified":
                             now().replace("Z", ".000000"), "manifest":
                             q.headers.get("x-object-manifest", "")}
            return Answer(201, b"", {"ETag": md5})
        if name not in objects:
            raise self.not_found("The object does not exist.")
        about = {"ETag": objects[name]["hash"], "Content-Type": "application/octet-stream",
                 "Last-Modified": email.utils.formatdate(usegmt=True)}
        if q.method == "HEAD":
            return Answer(200, b"", dict(about, **{"Content-Length": str(objects[name]["bytes"])}))
        if q.method == "GET":
            return Answer(200, self.read_object(s, region, container, name), about)
        if q.method == "DELETE":
            del objects[name], self.objects[key]
            return Answer(204)
        raise Refused(405, "Method Not Allowed")

    def container(self, q, s, name, objects):
        if q.method == "PUT":
            s["containers"].setdefault(name, {})
            return Answer(201 if objects is None else 202)
        if objects is None:
            raise self.not_found("The container does not exist.")
        if q.method == "DELETE":
            if objects:
                raise Refused(409, "There was a conflict: the container is not empty.")
            del s["containers"][name]
            return Answer(204)
        if q.method == "HEAD":
            return Answer(204, b"", {
                "X-Container-Object-Count": str(len(objects)),
                "X-Container-Bytes-Used": str(sum(o["bytes"] for o in objects.values()))})
        if q.query.get("format") != "json":
            raise Refused(406, "Only format=json is emulated")
        names = sorted(n for n in objects if n.startswith(q.query.get("prefix", ""))
                       and n > q.query.get("marker", ""))[:min(self.page, 10000)]
        return Answer(200, [{"name": n, "hash": objects[n]["hash"], "bytes": objects[n]["bytes"],
                             "last_modified": objects[n]["last_modified"],
                             "content_type": "application/octet-stream"} for n in names])


if __name__ == "__main__":
    it = Rackspace()
    base.serve(it, it.config())
