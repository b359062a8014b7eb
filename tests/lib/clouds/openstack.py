#!/usr/bin/python3
"""An emulated OpenStack cloud: Keystone v3, Glance v2, Nova 2.1 with microversions, Neutron and
Cinder as far as sc-provider and the usual clients go.  Strict: unknown fields, wrong types,
missing tokens and impossible states are refused as the real services refuse them, in their
words.  Stateful: builds take a look or two, quotas count, things in use cannot be deleted.

    with OpenStack() as cloud:
        cloud.config()                  # what sc-provider takes
    openstack.py                        # the same by hand: prints url and config, runs until SIGTERM

Services are paths of one server: /identity/v3, /image, /compute/v2.1, /network, /volume/v3.
What real services say was taken down from Keystone 22, Glance 25, Nova 26 and Neutron 21.
"""
import base64
import datetime
import hashlib
import json
import os
import re
import sys
import threading
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import base                                            # noqa: E402
from base import Answer                                # noqa: E402

USER, PASSWORD, PROJECT = "supercloud", "s3cret word", "work"
APP_ID, APP_SECRET = "0ff1ce" + "0" * 26, "app secret"
MAX_USER_DATA = 65535
FLAVORS = (("m1.tiny", 1, 512, 1), ("m1.small", 1, 2048, 20), ("m1.medium", 2, 4096, 40),
           ("m1.large", 4, 8192, 80), ("m1.diskless", 2, 4096, 0), ("m1.huge", 64, 999999, 80))


def new_id():
    return str(uuid.uuid4())


def now(delta=0):
    t = datetime.datetime.utcnow() + datetime.timedelta(seconds=delta)
    return t.strftime("%Y-%m-%dT%H:%M:%SZ")


class Refused(Exception):
    """An answer of a service that refuses; 'kind' is Nova's name of it."""

    def __init__(self, status, text, kind="badRequest"):
        super().__init__(text)
        self.status, self.text, self.kind = status, text, kind


def check(value, what, schema):
    """A field's type, as the services' JSON schemas have it: a dict is an object with these keys
    ('?' at the end: may be absent), a tuple alternatives, a list of one an array."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            raise Refused(400, "Invalid input for field/attribute %s. Value: %r. %r is not of type"
                          " 'object'" % (what, value, value))
        keys = {k.rstrip("?"): (k, v) for k, v in schema.items()}
        for k in value:
            if k not in keys and "*" not in keys:
                raise Refused(400, "Invalid input for field/attribute %s. Additional properties "
                              "are not allowed (%r was unexpected)" % (what, k))
        for k, (raw, sub) in keys.items():
            if k in value:
                check(value[k], k, sub)
            elif not raw.endswith("?") and k != "*":
                raise Refused(400, "Invalid input for field/attribute %s. %r is a required property"
                              % (what, k))
        if "*" in keys:
            for k, v in value.items():
                if k not in keys:
                    check(v, k, keys["*"][1])
    elif isinstance(schema, list):
        if not isinstance(value, list):
            raise Refused(400, "Invalid input for field/attribute %s. %r is not of type 'array'"
                          % (what, value))
        for v in value:
            check(v, what, schema[0])
    elif isinstance(schema, tuple):
        for s in schema:
            try:
                return check(value, what, s)
            except Refused as e:
                last = e
        raise last
    elif schema is None:
        if value is not None:
            raise Refused(400, "Invalid input for field/attribute %s. %r is not null"
                          % (what, value))
    elif schema is int:
        if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]+", str(value)):
            raise Refused(400, "Invalid input for field/attribute %s. Value: %r" % (what, value))
    elif isinstance(schema, str):
        if not isinstance(value, str) or not re.fullmatch(schema, value, re.S):
            raise Refused(400, "Invalid input for field/attribute %s. Value: %r. %r does not match"
                          " %r" % (what, value, value, schema))
    elif not isinstance(value, schema) or (schema is not bool and isinstance(value, bool)):
        raise Refused(400, "Invalid input for field/attribute %s. Value: %r" % (what, value))


ID = r"[0-9a-fA-F-]{32,36}"
SERVER = {"server": {
    "name": r".{1,255}", "flavorRef": r".{1,255}", "imageRef?": ID, "config_drive?": bool,
    "metadata?": {"*": r".{0,255}"}, "user_data?": r"[A-Za-z0-9+/=]{0,%d}" % MAX_USER_DATA,
    "availability_zone?": r".{1,255}", "key_name?": r".{1,255}", "min_count?": int,
    "max_count?": int, "networks?": ("auto|none", [{"uuid?": ID, "port?": ID}]),
    "security_groups?": [{"name": r".{1,255}"}],
    "block_device_mapping_v2?": [{
        "uuid": ID, "source_type": "image|volume|blank", "destination_type": "volume|local",
        "boot_index": (r"-?[0-9]+", int), "delete_on_termination?": bool, "volume_size?": int}]}}


class OpenStack(base.Cloud):
    region_names = ("RegionOne", "RegionTwo")
    builds = 1                  # looks at a new server before it is ACTIVE
    page = 1000

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.data = {}          # image -> bytes: too much for the state
        self.quota = {"instances": 10, "image_bytes": 1 << 30, "security_groups": 10}
        self.forbidden = set()  # routes the role may not use
        self.token_seconds = 3600
        self.has_network = self.has_volume = True
        self.truncate = 0       # uploads that are taken as whole though their end is cut off
        self.slow_upload = 0    # seconds per MiB, before an upload counts
        self.stuck = set()      # servers whose task never ends
        self.reset()

    def reset(self):
        with self.lock:
            self.clear()
            self.data = {}
            self.state = {"tokens": {}, "regions": {
                r: {"images": {}, "servers": {}, "groups": {}, "rules": {}, "ports": {},
                    "addresses": {}, "volumes": {}, "networks": {
                        self.network_id(r, n): {"id": self.network_id(r, n), "name": n,
                                                "router:external": n == "outside"}
                        for n in ("inside", "outside")}}
                for r in self.region_names}}

    @staticmethod
    def network_id(region, name):
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, region + name))

    def config(self, **more):
        c = {"auth_url": self.url + "/identity/v3", "username": USER, "password": PASSWORD,
             "project_name": PROJECT, "region": "RegionOne", "network": "inside", "retry_ms": 20}
        c.update(more)
        return {k: v for k, v in c.items() if v is not None}

    def has(self, region=None):
        """{kind: [ids]} of what is there; for tests."""
        with self.lock:
            out = {}
            for r, s in self.state["regions"].items():
                for kind in ("images", "servers", "groups", "ports", "addresses", "volumes"):
                    ids = [i for i, x in s[kind].items() if not (kind == "servers"
                                                                and x.get("gone"))]
                    if ids and region in (None, r):
                        out.setdefault(kind, []).extend(ids)
            return out

    # -- the HTTP side ---------------------------------------------------------------------------
    def route(self, q):
        path = re.sub(r"/[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f-]{20,23}", "/ID", q.path)
        path = re.sub(r"^/(RegionOne|RegionTwo)", "", path)
        return "%s %s" % (q.method, path)

    def throttled(self, q):
        return Answer(429, {"overLimit": {"code": 429, "message":
                                          "This request was rate-limited."}})

    def broken(self, q, status):
        return Answer(status, {"computeFault": {"code": status, "message":
                                                "Unexpected API Error."}})

    def expired(self, q):
        """The token is really gone, as when it was revoked."""
        self.state["tokens"].pop(q.headers.get("x-auth-token"), None)
        if "/auth/tokens" in q.path:
            return self.handle(q)
        return self.unauthorized(q)

    def unauthorized(self, q):
        return Answer(401, {"error": {"code": 401, "title": "Unauthorized", "message":
                                      "The request you have made requires authentication."}},
                      {"WWW-Authenticate": "Keystone uri=\"%s/identity\"" % self.url})

    def fail(self, service, e):
        if service == "image":
            return Answer(e.status, "<html>\n <head>\n  <title>%d Refused</title>\n </head>\n <body>"
                          "\n  <h1>%d Refused</h1>\n  %s<br /><br />\n\n\n </body>\n</html>"
                          % (e.status, e.status, e.text), {"Content-Type": "text/html"})
        if service == "network":
            return Answer(e.status, {"NeutronError": {"type": e.kind, "message": e.text,
                                                      "detail": ""}})
        if service == "identity":
            return Answer(e.status, {"error": {"code": e.status, "title": "Refused",
                                               "message": e.text}})
        return Answer(e.status, {e.kind: {"code": e.status, "message": e.text}})

    def handle(self, q):
        parts = [p for p in q.path.split("/") if p]
        if parts[:2] == ["identity", "v3"]:
            service, region = "identity", None
        elif len(parts) > 1 and parts[0] in self.region_names:
            region, service = parts[0], parts[1]
        else:
            return Answer(404, "<html><title>404 Not Found</title></html>")
        try:
            if service == "identity":
                answer = self.identity(q, parts[2:])
            else:
                token = self.state["tokens"].get(q.headers.get("x-auth-token"))
                discovery = q.method == "GET" and len(parts) < 4 and q.path.rstrip("/").endswith(
                    (service, "v2.1", "v2.0", "v2", "v3"))
                if not discovery and (not token or token["expires"] < now()):
                    return self.unauthorized(q)
                if self.route(q) in self.forbidden:
                    raise Refused(403, "Policy doesn't allow %s to be performed."
                                  % self.route(q), "forbidden")
                answer = getattr(self, "service_" + service)(
                    q, self.state["regions"][region], region, parts[2:])
        except Refused as e:
            answer = self.fail(service, e)
        answer.headers["x-openstack-request-id"] = "req-" + new_id()
        return answer

    @staticmethod
    def not_found(what="The resource could not be found."):
        return Refused(404, what, "itemNotFound")

    def body(self, q, schema):
        value = q.json()
        if value is None:
            raise Refused(400, "Malformed request body")
        if schema:
            check(value, "body", schema)
        return value

    def paged(self, q, items, key, links=True):
        """A page of 'items' (newest last) after the marker."""
        items = list(items)
        marker = q.query.get("marker")
        if marker:
            ids = [i["id"] for i in items]
            if marker not in ids:
                raise Refused(400, "marker [%s] not found" % marker)
            items = items[ids.index(marker) + 1:]
        limit = min(int(q.query.get("limit") or self.page), self.page)
        more, items = len(items) > limit, items[:limit]
        out = {key: items}
        if more:
            url = "%s%s?marker=%s" % (self.url, q.raw_path, items[-1]["id"])
            if links:
                out[key + "_links"] = [{"rel": "next", "href": url}]
            else:
                out["next"] = "/v2/images?marker=" + items[-1]["id"]
        return Answer(200, out)

    # -- Keystone ----------------------------------------------------------------------------------
    def catalog(self):
        def service(kind, name, path):
            return {"type": kind, "name": name, "id": new_id(), "endpoints": [
                {"interface": i, "region": r, "region_id": r, "id": new_id(),
                 "url": "%s/%s%s" % (self.url, r, path)}
                for r in self.region_names for i in ("public", "internal")]}
        out = [{"type": "identity", "name": "keystone", "id": new_id(), "endpoints": [
                    {"interface": "public", "region": r, "region_id": r, "id": new_id(),
                     "url": self.url + "/identity/v3"} for r in self.region_names]},
               service("image", "glance", "/image"), service("compute", "nova", "/compute/v2.1")]
        if self.has_network:
            out.append(service("network", "neutron", "/network"))
        if self.has_volume:
            out.append(service("volumev2", "cinderv2", "/gone/v2"))
            out.append(service("volumev3", "cinderv3", "/volume/v3"))
        return out

    DOMAIN = ({"id": r".+"}, {"name": r".+"})
    AUTH = {"auth": {"identity": {"methods": ["password|application_credential"],
                                  "password?": {"user": {"name?": r".+", "id?": r".+", "domain?":
                                                         DOMAIN, "password": r".*"}},
                                  "application_credential?": {"id": r".+", "secret": r".*"}},
                     "scope?": {"project": {"name?": r".+", "id?": r".+", "domain?": DOMAIN}}}}

    def identity(self, q, parts):
        if not parts and q.method == "GET":
            return Answer(200, {"version": {"id": "v3.14", "status": "stable", "media-types": [],
                                            "links": [{"rel": "self", "href":
                                                       self.url + "/identity/v3/"}]}})
        if parts != ["auth", "tokens"] or q.method != "POST":
            raise self.not_found()
        a = self.body(q, self.AUTH)["auth"]
        bad = Refused(401, "The request you have made requires authentication.")
        how = a["identity"]["methods"][0]
        if how == "password":
            u = a["identity"].get("password", {}).get("user", {})
            if (u.get("name"), u.get("password")) != (USER, PASSWORD) or u.get("domain") not in (
                    {"name": "Default"}, {"id": "default"}):
                raise bad
            scope = a.get("scope", {}).get("project")
            if scope and (scope.get("name") != PROJECT or scope.get("domain") not in (
                    {"name": "Default"}, {"id": "default"})):
                raise bad
        else:
            u = a["identity"]["application_credential"]
            if (u["id"], u["secret"]) != (APP_ID, APP_SECRET) or "scope" in a:
                raise bad
            scope = True
        token = "gAAA" + uuid.uuid4().hex
        expires = now(self.token_seconds)
        self.state["tokens"][token] = {"expires": expires}
        body = {"methods": [how], "expires_at": expires.replace("Z", ".000000Z"), "issued_at":
                now(), "user": {"id": "u" * 32, "name": USER,
                                "domain": {"id": "default", "name": "Default"}}, "audit_ids": []}
        if scope:
            body.update(project={"id": "p" * 32, "name": PROJECT, "domain": {
                "id": "default", "name": "Default"}}, roles=[{"id": "m" * 32, "name": "member"}],
                catalog=self.catalog(), is_domain=False)
        return Answer(201, {"token": body}, {"X-Subject-Token": token})

    # -- Glance ---------------------------------------------------------------------------------------
    IMAGE_KEYS = ("name", "disk_format", "container_format", "min_disk", "min_ram", "visibility",
                  "protected", "tags", "id")

    def service_image(self, q, s, region, parts):
        if parts[:1] == ["v2"] or not parts:
            parts = parts[1:]
        if not parts:
            return Answer(300 if q.path.endswith("image") else 200, {"versions": [
                {"id": "v2.15", "status": "CURRENT", "links": [
                    {"rel": "self", "href": "%s/%s/image/v2/" % (self.url, region)}]}]})
        if parts == ["images"] and q.method == "POST":
            return self.image_create(q, s)
        if parts == ["images"]:
            want = {k: v for k, v in q.query.items() if k not in ("marker", "limit", "sort")}
            items = [i for i in reversed(list(s["images"].values()))
                     if all(str(i.get(k)) == v for k, v in want.items())]
            return self.paged(q, items, "images", links=False)
        if parts[0] != "images" or len(parts) > 3 or parts[1] not in s["images"]:
            raise self.not_found("Failed to find image %s" % "/".join(parts[1:2]))
        image = s["images"][parts[1]]
        if len(parts) == 3 and parts[2] == "file" and q.method == "PUT":
            return self.image_upload(q, image)
        if len(parts) == 3:
            raise self.not_found()
        if q.method == "GET":
            return Answer(200, image)
        if q.method == "PATCH":
            return self.image_patch(q, image)
        if q.method == "DELETE":
            if any(v["image"] == image["id"] and not v.get("gone") and v["status"] == "BUILD"
                   for v in s["servers"].values()):
                raise Refused(409, "Image %s could not be deleted because it is in use"
                              % image["id"])
            del s["images"][image["id"]]
            self.data.pop(image["id"], None)
            return Answer(204)
        raise Refused(405, "The method specified is not allowed for this resource.")

    def image_create(self, q, s):
        i = self.body(q, {"name?": r".{0,255}", "disk_format?": "raw|qcow2|vhd|vmdk",
                          "container_format?": "bare|ovf", "min_disk?": int, "min_ram?": int,
                          "visibility?": "private|shared|public|community", "protected?": bool,
                          "tags?": [r".{1,255}"], "id?": ID, "*": r".*"})
        if i.get("visibility") == "public":
            raise Refused(403, "You are not authorized to complete publicize_image action.")
        image = dict({"id": new_id(), "visibility": "shared", "min_disk": 0, "min_ram": 0,
                      "protected": False, "tags": [], "owner": "p" * 32}, **i)
        image.update(status="queued", created_at=now(), updated_at=now(), size=None, checksum=None,
                     os_hash_algo=None, os_hash_value=None, virtual_size=None,
                     self="/v2/images/" + image["id"], file="/v2/images/%s/file" % image["id"],
                     schema="/v2/schemas/image")
        s["images"][image["id"]] = image
        return Answer(201, image, {"Location": self.url + image["self"]})

    def image_upload(self, q, image):
        if q.headers.get("content-type") != "application/octet-stream":
            raise Refused(415, "The server does not support the media type")
        if image["status"] != "queued":
            raise Refused(409, "Image status transition from %s to saving is not allowed"
                          % image["status"])
        data = q.body
        if self.truncate:
            self.truncate -= 1
            data = data[:len(data) // 2]
        used = sum(len(d) for d in self.data.values())
        if used + len(data) > self.quota["image_bytes"]:
            raise Refused(413, "Denying attempt to upload image because it exceeds the quota: The "
                          "size of the data %d will exceed the limit." % len(data))
        self.data[image["id"]] = data
        image.update(status="active", size=len(data), checksum=hashlib.md5(data).hexdigest(),
                     os_hash_algo="sha512", os_hash_value=hashlib.sha512(data).hexdigest())
        return Answer(204)

    def image_patch(self, q, image):
        if q.headers.get("content-type") != "application/openstack-images-v2.1-json-patch":
            raise Refused(415, "The server does not support the media type")
        for op in self.body(q, [{"op": "add|replace|remove", "path": r"/.+", "value?": r".*"}]):
            key = op["path"][1:]
            if op["op"] == "remove":
                image.pop(key, None)
            else:
                image[key] = op["value"]
        return Answer(200, image)

    # -- Nova -------------------------------------------------------------------------------------------
    @staticmethod
    def flavor_id(name):
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))

    def flavors(self):
        return [{"id": self.flavor_id(n), "name": n, "vcpus": v, "ram": m, "disk": d, "swap": "",
                 "OS-FLV-DISABLED:disabled": False, "OS-FLV-EXT-DATA:ephemeral": 0,
                 "os-flavor-access:is_public": True, "rxtx_factor": 1.0, "links": []}
                for n, v, m, d in FLAVORS]

    def microversion(self, q):
        asked = q.headers.get("openstack-api-version", "")
        asked = asked[len("compute "):] if asked.startswith("compute ") else q.headers.get(
            "x-openstack-nova-api-version", "2.1")
        if asked == "latest":
            return 93
        if not re.fullmatch(r"2\.[0-9]+", asked) or int(asked[2:]) > 93:
            raise Refused(406, "Version %s is not supported by the API. Minimum is 2.1 and maximum "
                          "is 2.93." % asked, "computeFault")
        return int(asked[2:])

    def service_compute(self, q, s, region, parts):
        v = self.microversion(q)
        parts = parts[1:] if parts[:1] in (["v2.1"], ["v2"]) else parts
        answer = self.compute(q, s, region, parts, v)
        answer.headers["OpenStack-API-Version"] = "compute 2.%d" % v
        answer.headers["X-OpenStack-Nova-API-Version"] = "2.%d" % v
        answer.headers["Vary"] = "OpenStack-API-Version, X-OpenStack-Nova-API-Version"
        return answer

    def compute(self, q, s, region, parts, v):
        if not parts:
            return Answer(200, {"version": {"id": "v2.1", "status": "CURRENT", "version": "2.93",
                                            "min_version": "2.1", "links": [
                                                {"rel": "self", "href": "%s/%s/compute/v2.1/"
                                                 % (self.url, region)}]}})
        if parts[0] == "flavors":
            all_ = self.flavors()
            if parts[1:] in ([], ["detail"]):
                return self.paged(q, all_, "flavors")
            one = [f for f in all_ if f["id"] == parts[1]]
            if not one:
                raise self.not_found("Flavor %s could not be found." % parts[1])
            return Answer(200, {"flavor": one[0]})
        if parts[0] != "servers":
            raise self.not_found()
        if parts[1:] == [] and q.method == "POST":
            return self.server_create(q, s, region, v)
        alive = [x for x in s["servers"].values() if not self.advance(x, s)]
        if parts[1:] in ([], ["detail"]) and q.method == "GET":
            want = q.query.get("name")
            items = [self.server_view(x, s) for x in reversed(alive)
                     if not want or re.search(want, x["name"])]
            return self.paged(q, items, "servers")
        x = next((x for x in alive if x["id"] == parts[1]), None)
        if not x:
            raise self.not_found("Instance %s could not be found." % parts[1])
        if parts[2:] == ["action"] and q.method == "POST":
            return self.server_action(q, x)
        if len(parts) > 2:
            raise self.not_found()
        if q.method == "GET":
            return Answer(200, {"server": self.server_view(x, s)})
        if q.method == "DELETE":
            x.update(task="deleting", left=1)
            return Answer(204)
        raise Refused(405, "The method is not allowed.", "badMethod")

    def server_create(self, q, s, region, v):
        b = self.body(q, SERVER)["server"]
        if v < 37 and isinstance(b.get("networks"), str):
            raise Refused(400, "Invalid input for field/attribute networks. Value: %r"
                          % b["networks"])
        if v >= 37 and "networks" not in b:
            raise Refused(400, "Invalid input for field/attribute server. 'networks' is a required "
                          "property")
        try:
            base64.b64decode(b.get("user_data", ""), validate=True)
        except ValueError:
            raise Refused(400, "Userdata is not valid base64")
        flavor = next((f for f in self.flavors() if f["id"] == b["flavorRef"]), None)
        if not flavor:
            raise Refused(400, "Flavor %s could not be found." % b["flavorRef"])
        zone = b.get("availability_zone", "nova")
        if zone not in ("nova", "az-2"):
            raise Refused(400, "The requested availability zone is not available")
        volume = image = None
        if b.get("block_device_mapping_v2"):
            volume = s["volumes"].get(b["block_device_mapping_v2"][0]["uuid"])
            if not volume or volume["status"] != "available":
                raise Refused(400, "Block Device Mapping is Invalid: failed to get volume.")
        else:
            image = s["images"].get(b.get("imageRef"))
            if not image:
                raise Refused(400, "Invalid imageRef provided.")
            if image["status"] != "active":
                raise Refused(400, "Image %s is not active." % image["id"])
            if flavor["disk"] == 0:
                raise Refused(403, "Only volume-backed servers are allowed for flavors with zero "
                              "disk.", "forbidden")
            if flavor["disk"] < image["min_disk"]:
                raise Refused(400, "Flavor's disk is smaller than the minimum size specified in "
                              "image metadata.")
        used = len([x for x in s["servers"].values() if not x.get("gone")])
        if used >= self.quota["instances"]:
            raise Refused(403, "Quota exceeded for instances: Requested 1, but already used %d of "
                          "%d instances" % (used, self.quota["instances"]), "forbidden")
        groups = [g["name"] for g in b.get("security_groups", [{"name": "default"}])]
        for g in groups:
            if g != "default" and g not in s["groups"]:
                raise Refused(400, "Security group %s not found." % g)
        networks = b.get("networks", "auto" if self.has_network else [])
        if networks == "auto":
            if not self.has_network:
                raise Refused(400, "It is not allowed to create an interface on this network")
            networks = [{"uuid": self.network_id(region, "inside")}]
        x = {"id": new_id(), "name": b["name"], "flavor": flavor["id"], "metadata":
             b.get("metadata", {}), "image": image and image["id"], "status": "BUILD", "power": 0,
             "task": "spawning", "left": self.builds, "zone": zone, "user_data":
             b.get("user_data", ""), "config_drive": b.get("config_drive", False), "created": now(),
             "volume": volume and volume["id"], "groups": groups, "networks": [], "fault": None,
             "console": "", "key": b.get("key_name"), "ends_volume": volume and b["block_device_mapping_v2"][0].get(
                 "delete_on_termination", False)}
        for n in networks if isinstance(networks, list) else []:
            if n.get("uuid") not in s["networks"]:
                raise Refused(400, "Network %s could not be found." % n.get("uuid"))
            port = {"id": new_id(), "device_id": x["id"], "network_id": n["uuid"], "address":
                    "10.1.%d.%d" % (len(s["ports"]) // 250, 2 + len(s["ports"]) % 250), "groups":
                    groups}
            s["ports"][port["id"]] = port
        if volume:
            volume["status"] = "in-use"
        s["servers"][x["id"]] = x
        return Answer(202, {"server": {"id": x["id"], "links": [], "adminPass": "gLs6DfWV4rXp",
                                       "OS-DCF:diskConfig": "MANUAL",
                                       "security_groups": [{"name": g} for g in groups]}},
                      {"Location": "%s%s/%s" % (self.url, q.raw_path, x["id"])})

    def advance(self, x, s):
        """One look's worth of progress; true: it is gone."""
        if x.get("gone"):
            return True
        if not x["task"] or x["name"] in self.stuck:
            return False
        x["left"] -= 1
        if x["left"] >= 0:
            return False
        if x["task"] == "spawning":
            if x["flavor"] == self.flavor_id("m1.huge"):
                x.update(status="ERROR", fault="No valid host was found. There are not enough hosts "
                         "available.")
            else:
                x.update(status="ACTIVE", power=1)
        elif x["task"] == "powering-off":
            x.update(status="SHUTOFF", power=4)
        elif x["task"] == "deleting":
            x["gone"] = True
            for p in [p for p in s["ports"].values() if p["device_id"] == x["id"]]:
                for a in s["addresses"].values():
                    if a["port_id"] == p["id"]:
                        a.update(port_id=None, status="DOWN")
                del s["ports"][p["id"]]
            v = s["volumes"].get(x["volume"])
            if v and x["ends_volume"]:
                v.update(status="deleting")
            elif v:
                v["status"] = "available"
        x["task"] = None
        return bool(x.get("gone"))

    def server_view(self, x, s):
        addresses = {}
        for p in s["ports"].values():
            if p["device_id"] == x["id"] and x["status"] != "BUILD":
                name = s["networks"][p["network_id"]]["name"]
                at = addresses.setdefault(name, [])
                at.append({"addr": p["address"], "version": 4, "OS-EXT-IPS:type": "fixed",
                           "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"})
                at += [{"addr": a["floating_ip_address"], "version": 4, "OS-EXT-IPS:type":
                        "floating", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"}
                       for a in s["addresses"].values() if a["port_id"] == p["id"]]
        view = {"id": x["id"], "name": x["name"], "status": x["status"], "metadata": x["metadata"],
                "flavor": {"id": x["flavor"], "links": []}, "image":
                {"id": x["image"], "links": []} if x["image"] else "", "addresses": addresses,
                "created": x["created"], "updated": now(), "accessIPv4": "", "accessIPv6": "",
                "OS-EXT-STS:task_state": x["task"], "OS-EXT-STS:vm_state": x["status"].lower(),
                "OS-EXT-STS:power_state": x["power"], "config_drive":
                "True" if x["config_drive"] else "", "OS-EXT-AZ:availability_zone": x["zone"],
                "key_name": x["key"], "tenant_id": "p" * 32, "user_id": "u" * 32, "hostId": "h" * 56,
                "OS-DCF:diskConfig": "MANUAL", "links": [], "progress": 0,
                "os-extended-volumes:volumes_attached": []}
        if x["fault"]:
            view["fault"] = {"code": 500, "created": now(), "message": x["fault"]}
        return view

    def server_action(self, q, x):
        b = self.body(q, None)
        if not isinstance(b, dict) or len(b) != 1:
            raise Refused(400, "There is no such action")
        action = next(iter(b))
        conflict = Refused(409, "Cannot '%s' instance %s while it is in %s %s" % (
            action, x["id"], *(("task_state", x["task"]) if x["task"] else
                               ("vm_state", x["status"].lower()))), "conflictingRequest")
        if action == "os-stop":
            if x["task"] or x["status"] not in ("ACTIVE", "ERROR"):
                raise conflict
            x.update(task="powering-off", left=1)
        elif action == "unpause":
            if x["status"] != "PAUSED":
                raise conflict
            x.update(status="ACTIVE")
        elif action == "os-resetState":
            raise Refused(403, "Policy doesn't allow os_compute_api:os-admin-actions:reset_state to"
                          " be performed.", "forbidden")
        elif action == "forceDelete":
            x.update(task="deleting", left=0)
        elif action == "os-getConsoleOutput":
            length = b[action].get("length") if isinstance(b[action], dict) else -2
            if not isinstance(b[action], dict) or set(b[action]) - {"length"} or not (
                    length is None or isinstance(length, (int, str)) and int(length) >= -1):
                raise Refused(400, "Invalid input for field/attribute os-getConsoleOutput.")
            if x["console"] is None:
                raise Refused(501, "The requested functionality is not supported.",
                              "notImplemented")
            lines = x["console"].splitlines(True)
            tail = lines if length in (None, -1, "-1") else lines[len(lines) - int(length):]
            return Answer(200, {"output": "".join(tail)})
        else:
            raise Refused(400, "There is no such action: %s" % action)
        return Answer(202)

    # -- Neutron -----------------------------------------------------------------------------------------
    def service_network(self, q, s, region, parts):
        if not self.has_network:
            raise self.not_found()
        parts = parts[1:] if parts[:1] == ["v2.0"] else parts
        if not parts:
            return Answer(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": []}]})
        kind = parts[0]
        want = {k: v for k, v in q.query.items() if k not in ("marker", "limit", "project_id",
                                                              "fields")}
        places = {"networks": "networks", "ports": "ports", "floatingips": "addresses",
                  "security-groups": "groups", "security-group-rules": "rules"}
        if kind not in places:
            raise self.not_found()
        place, key = s[places[kind]], kind.replace("-", "_")
        if len(parts) == 1 and q.method == "GET":
            items = [i for i in place.values() if all(str(i.get(k)) == v for k, v in want.items())]
            return self.paged(q, items, key)
        if len(parts) == 1 and q.method == "POST":
            made = getattr(self, "make_" + key)(q, s)
            place[made["id"]] = made
            return Answer(201, {key[:-1]: made})
        if parts[1] not in place:
            raise Refused(404, "%s %s could not be found" % (key[:-1], parts[1]), "NotFound")
        if q.method == "GET":
            return Answer(200, {key[:-1]: place[parts[1]]})
        if q.method == "DELETE" and kind != "networks":
            if kind == "security-groups" and any(parts[1] in p["groups"]
                                                 for p in s["ports"].values()):
                raise Refused(409, "Security Group %s in use." % parts[1], "SecurityGroupInUse")
            del place[parts[1]]
            return Answer(204)
        raise Refused(405, "The method is not allowed.")

    def make_security_groups(self, q, s):
        g = self.body(q, {"security_group": {"name": r".{0,255}", "description?": r".{0,255}"}})[
            "security_group"]
        if len(s["groups"]) >= self.quota["security_groups"]:
            raise Refused(409, "Quota exceeded for resources: ['security_group'].", "OverQuota")
        return dict({"id": new_id(), "description": "", "project_id": "p" * 32, "created_at": now(),
                     "security_group_rules": []}, **g)

    def make_security_group_rules(self, q, s):
        r = self.body(q, {"security_group_rule": {
            "security_group_id": ID, "direction": "ingress|egress", "ethertype?": "IPv4|IPv6",
            "protocol?": "tcp|udp|icmp|ipv6-icmp", "port_range_min?": int, "port_range_max?": int,
            "remote_ip_prefix?": r"[0-9a-fA-F.:]+/[0-9]+"}})["security_group_rule"]
        if r["security_group_id"] not in s["groups"]:
            raise Refused(404, "Security group %s does not exist" % r["security_group_id"],
                          "SecurityGroupNotFound")
        if (":" in r.get("remote_ip_prefix", "")) != (r.get("ethertype") == "IPv6"):
            raise Refused(400, "Conflicting value ethertype %s for CIDR %s"
                          % (r.get("ethertype"), r["remote_ip_prefix"]))
        same = [x for x in s["rules"].values() if all(x.get(k) == r.get(k) for k in r)]
        if same:
            raise Refused(409, "Security group rule already exists. Rule id is %s." % same[0]["id"],
                          "SecurityGroupRuleExists")
        return dict(r, id=new_id())

    def make_floatingips(self, q, s):
        f = self.body(q, {"floatingip": {"floating_network_id": ID, "port_id?": ID,
                                         "description?": r".{0,255}"}})["floatingip"]
        net = s["networks"].get(f["floating_network_id"])
        if not net or not net["router:external"]:
            raise Refused(400, "Bad floatingip request: Network is not a valid external network")
        if f.get("port_id") not in s["ports"]:
            raise Refused(404, "Port %s could not be found." % f.get("port_id"), "PortNotFound")
        return dict({"description": ""}, id=new_id(), status="ACTIVE", project_id="p" * 32,
                    floating_ip_address="198.51.100.%d" % (2 + len(s["addresses"])),
                    created_at=now(), **f)

    # -- Cinder -------------------------------------------------------------------------------------------
    def service_volume(self, q, s, region, parts):
        if not self.has_volume:
            raise self.not_found()
        parts = parts[1:] if parts[:1] == ["v3"] else parts
        for v in [v for v in s["volumes"].values() if v["status"] == "deleting"]:
            v["left"] -= 1
            if v["left"] < 0:
                del s["volumes"][v["id"]]
        for v in s["volumes"].values():
            if v["status"] in ("creating", "downloading"):
                v["status"] = "downloading" if v["status"] == "creating" else "available"
        if parts == ["volumes", "detail"] and q.method == "GET":
            return self.paged(q, s["volumes"].values(), "volumes")
        if parts == ["volumes"] and q.method == "POST":
            b = self.body(q, {"volume": {"size": int, "name?": r".{0,255}", "imageRef?": ID,
                                         "metadata?": {"*": r".{0,255}"},
                                         "availability_zone?": r".+"}})["volume"]
            image = s["images"].get(b.get("imageRef"))
            if not image or image["status"] != "active":
                raise Refused(400, "Invalid image identifier or unable to access requested image.")
            v = dict({"metadata": {}}, id=new_id(), status="creating", created_at=now(), left=1, **b)
            s["volumes"][v["id"]] = v
            return Answer(202, {"volume": v})
        if parts[:1] != ["volumes"] or len(parts) != 2 or parts[1] not in s["volumes"]:
            raise self.not_found("Volume %s could not be found." % "/".join(parts[1:]))
        v = s["volumes"][parts[1]]
        if q.method == "GET":
            return Answer(200, {"volume": v})
        if q.method == "DELETE":
            if v["status"] not in ("available", "error", "downloading", "creating"):
                raise Refused(400, "Invalid volume: Volume status must be available or error, but "
                              "current status is: %s." % v["status"])
            v.update(status="deleting", left=1)
            return Answer(202)
        raise Refused(405, "The method is not allowed.", "badMethod")


if __name__ == "__main__":
    it = OpenStack()
    base.serve(it, it.config())
