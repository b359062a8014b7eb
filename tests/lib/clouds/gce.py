#!/usr/bin/python3
"""An emulated Google Cloud on 127.0.0.1: login by signed tokens, Compute Engine (instances, disks,
images, firewalls, operations), Cloud Storage (resumable uploads), the price catalog.

Strict: a token's signature, audience, times and scopes; the fields of every body and their types;
names, labels, chunk sizes, checksums; an image's tar is opened.  Emulated: everything; nothing of
Google is reached.  `gce.py` alone runs it and prints the settings sc-provider needs.
"""
import base64
import hashlib
import io
import json
import os
import re
import sys
import tarfile
import time
import urllib.parse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from clouds import base                                # noqa: E402
from clouds.base import Answer                         # noqa: E402
from clouds.gce_data import FEATURES, FIREWALL, IMAGE, INSTANCE, REGIONS, TYPES, catalog  # noqa: E402

NAME = re.compile(r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")
LABEL_KEY = re.compile(r"^[a-z][-_a-z0-9]{0,62}$")
LABEL_VALUE = re.compile(r"^[-_a-z0-9]{0,63}$")
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
SCOPE = "https://www.googleapis.com/auth/"
UNIT = 256 << 10
_keys = {}


def key_pair(name="account"):
    """Made once a process: it is the slow part."""
    if name not in _keys:
        k = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = k.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                              serialization.NoEncryption()).decode()
        _keys[name] = (k.public_key(), pem)
    return _keys[name]


class Refuse(Exception):
    def __init__(self, status, reason, message):
        super().__init__(message)
        self.answer = error(status, reason, message)


STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED",
          404: "NOT_FOUND", 409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL",
          503: "UNAVAILABLE"}


def error(status, reason, message):
    return Answer(status, {"error": {
        "code": status, "message": message, "status": STATUS.get(status, "UNKNOWN"),
        "errors": [{"message": message, "domain": "global", "reason": reason}]}})


def check(value, spec, where):
    """'value' has only fields of 'spec', of its types."""
    if spec == "map":
        good = isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    elif spec == "int64":
        good = isinstance(value, int) or (isinstance(value, str) and value.isdigit())
    elif isinstance(spec, list):
        good = isinstance(value, list)
        for i, v in enumerate(value if good else []):
            check(v, spec[0], "%s[%d]" % (where, i))
    elif isinstance(spec, dict):
        good = isinstance(value, dict)
        for k, v in value.items() if good else []:
            if k not in spec:
                raise Refuse(400, "badRequest", "Invalid JSON payload received. Unknown name "
                             "\"%s\" at '%s': Cannot find field." % (k, where))
            check(v, spec[k], where + "." + k)
    else:
        good = isinstance(value, spec) and (spec is bool or not isinstance(value, bool))
    if not good:
        raise Refuse(400, "badRequest", "Invalid value at '%s'" % where)


def without_null(value):
    """null is as good as absent."""
    if isinstance(value, dict):
        return {k: without_null(v) for k, v in value.items() if v is not None}
    return [without_null(v) for v in value] if isinstance(value, list) else value


def check_labels(labels, where):
    for k, v in (labels or {}).items():
        if not LABEL_KEY.match(k) or not LABEL_VALUE.match(v):
            raise Refuse(400, "invalid", "Invalid value for field '%s.labels': '%s=%s'"
                         % (where, k, v))


def b64url(text):
    if re.search(r"[^A-Za-z0-9_-]", text):
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Gce(base.Cloud):
    op_ticks = 2                # Requests until an operation is done.

    def __init__(self, **kw):
        super().__init__(**kw)
        self.project, self.bucket = "emulated-project-1", "emulated-bucket"
        self.email = "driver@%s.iam.gserviceaccount.com" % self.project
        self.token_seconds = 3599
        self.page_size = 500
        self.denied = set()     # Permissions the account lacks.
        self.used = set()       # Permissions that were asked for.
        self.exhausted = set()  # Zones without capacity.
        self.quota = None       # Text of a QUOTA_EXCEEDED, if any instance may not be made.
        self.persist_half = False   # Storage keeps only a part of what is sent at once.
        self.padded_jwt = False     # Take base64url with padding (an old client does so).
        self.api_key = "emulated-api-key"
        self.tokens, self.sessions, self.blobs, self.requests = {}, {}, {}, {}
        self.consoles = {}      # ZONE/NAME: what the first serial port has said.
        self.serial = 1000
        self.state = {k: {} for k in ("instances", "disks", "images", "firewalls", "objects",
                                      "operations")}
        self.public, self.pem = key_pair()
        self.uploaded = []      # SHA-256 of all objects that became whole.
        self.sent = 0           # Bytes of chunks, whether kept or not.
        self.inserted = []      # Bodies of all instances.insert taken.

    def config(self, **more):
        account = {"type": "service_account", "project_id": self.project,
                   "private_key_id": "emulated-key-1", "private_key": self.pem,
                   "client_email": self.email, "client_id": "1", "token_uri": self.url + "/token"}
        return dict({"service_account": json.dumps(account), "bucket": self.bucket,
                     "region": "europe-west1", "compute_endpoint": self.url + "/compute/v1",
                     "storage_endpoint": self.url, "billing_endpoint": self.url + "/billing/v1"},
                    **more)

    # -- faults, in Google's form -------------------------------------------------
    def throttled(self, q):
        return error(429, "rateLimitExceeded", "Rate Limit Exceeded")

    def broken(self, q, status):
        return error(status, "backendError", "Backend Error")

    def expired(self, q):
        if "upload_id" in q.query:
            self.sessions.pop(q.query["upload_id"], None)
            return Answer(410, "")
        if q.path == "/token":
            return Answer(400, {"error": "invalid_grant", "error_description":
                                "Token must be a short-lived token"})
        self.tokens.clear()
        return error(401, "authError", "Invalid Credentials")

    def route(self, q):
        path = re.sub(r"/operations/[^/]+", "/operations/OP", q.path)
        if "upload_id" in q.query:
            path += "#query" if "*" in q.headers.get("content-range", "") else "#chunk"
        return "%s %s" % (q.method, path)

    # -- requests -----------------------------------------------------------------
    def handle(self, q):
        self.tick()
        try:
            if q.path == "/token" or q.path == "/o/oauth2/token":
                return self.token(q)
            if q.path.startswith("/upload/storage/v1/") and "upload_id" in q.query:
                return self.upload_put(q)           # The URL is the credential.
            if q.path.startswith("/billing/v1/"):
                if q.query.get("key") is None:
                    self.authorise(q, "cloud-billing.readonly")
                elif q.query["key"] != self.api_key:
                    raise Refuse(400, "API_KEY_INVALID", "API key not valid.")
                return self.skus(q)
            if q.path.startswith(("/upload/storage/v1/", "/storage/v1/")):
                self.authorise(q, "devstorage.read_write", "devstorage.full_control")
                return self.storage(q)
            if q.path.startswith("/compute/v1/projects/"):
                self.authorise(q, "compute")
                return self.compute(q)
            raise Refuse(404, "notFound", "Not found: " + q.path)
        except Refuse as r:
            return r.answer

    def token(self, q):
        def no(text, code="invalid_grant"):
            return Answer(400, {"error": code, "error_description": text})
        if q.method != "POST" or \
                q.headers.get("content-type") != "application/x-www-form-urlencoded":
            return no("not a form", "invalid_request")
        form = dict(urllib.parse.parse_qsl(q.body.decode()))
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return no("Invalid grant_type", "unsupported_grant_type")
        parts = form.get("assertion", "").split(".")
        if self.padded_jwt:
            parts = [p.rstrip("=") for p in parts]
            signed = form["assertion"].rpartition(".")[0].encode()
        else:
            signed = ".".join(parts[:2]).encode()
        try:
            head, claims = json.loads(b64url(parts[0])), json.loads(b64url(parts[1]))
            signature = b64url(parts[2])
        except (ValueError, IndexError):
            return no("Bad JWT")
        if head.get("alg") != "RS256" or head.get("typ") != "JWT":
            return no("Invalid JWT: wrong algorithm")
        try:
            self.public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return no("Invalid JWT Signature.")
        now, iat, exp = time.time(), claims.get("iat", 0), claims.get("exp", 0)
        if abs(now - iat) > 300 or exp > iat + 3600 or exp < now:
            return no("Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                      "reasonable timeframe. Check your iat and exp values in the JWT claim.")
        if claims.get("iss") != self.email:
            return no("Invalid grant: account not found")
        if claims.get("aud") not in (self.url + "/token",
                                     "https://accounts.google.com/o/oauth2/token"):
            return no("Invalid JWT: Failed audience check.")
        scopes = claims.get("scope", "").split()
        if not scopes or not all(s.startswith(SCOPE) for s in scopes):
            return no("Invalid OAuth scope or ID token audience provided.", "invalid_scope")
        self.serial += 1
        token = "ya29.emulated-%d" % self.serial
        self.tokens[token] = (now + self.token_seconds, {s[len(SCOPE):] for s in scopes})
        return Answer(200, {"access_token": token, "expires_in": self.token_seconds,
                            "token_type": "Bearer"})

    def authorise(self, q, *scopes):
        kind, _, token = q.headers.get("authorization", "").partition(" ")
        until, have = self.tokens.get(token, (0, set())) if kind == "Bearer" else (0, set())
        if until < time.time():
            raise Refuse(401, "authError", "Request had invalid authentication credentials.")
        if not have & (set(scopes) | {"cloud-platform"}):
            raise Refuse(403, "insufficientPermissions",
                         "Request had insufficient authentication scopes.")

    def may(self, permission, what):
        self.used.add(permission)
        if permission in self.denied:
            raise Refuse(403, "forbidden", "Required '%s' permission for 'projects/%s/%s'"
                         % (permission, self.project, what))

    # -- operations ---------------------------------------------------------------
    def link(self, path):
        return "%s/compute/v1/projects/%s/%s" % (self.url, self.project, path)

    def operation(self, q, kind, target, zone=None, finish=None, fail=None):
        """Starts one; finish() is called when it is done.  fail: (code, message)."""
        self.serial += 1
        name = "operation-%d-emulated" % self.serial
        op = {"kind": "compute#operation", "name": name, "id": str(self.serial),
              "operationType": kind, "targetLink": self.link(target), "status": "PENDING",
              "progress": 0, "selfLink": self.link("%s/operations/%s" % (
                  "zones/" + zone if zone else "global", name))}
        if zone:
            op["zone"] = self.link("zones/" + zone)
        self.state["operations"][name] = dict(op=op, ticks=0, finish=finish, fail=fail)
        if "requestId" in q.query:
            self.requests[q.query["requestId"]] = (q.path, q.body, name)
        return Answer(200, op)

    def repeated(self, q):
        """A requestId seen before: the same operation again."""
        rid = q.query.get("requestId")
        if rid is None:
            return None
        if not UUID.match(rid) or rid == "00000000-0000-0000-0000-000000000000":
            raise Refuse(400, "invalid", "Invalid value for field 'requestId': '%s'" % rid)
        path, body, name = self.requests.get(rid, (None, None, None))
        if name and (path != q.path):
            raise Refuse(400, "invalid", "requestId was used for another request")
        return Answer(200, self.state["operations"][name]["op"]) if name else None

    def tick(self):
        for o in self.state["operations"].values():
            if o["op"]["status"] == "DONE":
                continue
            o["ticks"] += 1
            o["op"]["status"] = "RUNNING"
            if o["ticks"] <= self.op_ticks:
                continue
            o["op"].update(status="DONE", progress=100)
            fail = o["fail"]
            if o["finish"]:
                fail = o["finish"]() or fail
            if fail:
                o["op"].update(httpErrorStatusCode=400, httpErrorMessage="BAD REQUEST", error={
                    "errors": [{"code": fail[0], "message": fail[1]}]})
            o["finish"] = o["fail"] = None

    # -- compute ------------------------------------------------------------------
    def page(self, q, kind, items, **more):
        size = min(int(q.query.get("maxResults", 500)), self.page_size)
        start = int(base64.urlsafe_b64decode(q.query.get("pageToken", "MA==")))
        body = dict({"kind": kind, "items": items[start:start + size]}, **more)
        if start + size < len(items):
            body["nextPageToken"] = base64.urlsafe_b64encode(b"%d" % (start + size)).decode()
        return Answer(200, body)

    def filtered(self, q, items):
        """The form of filter that is used: labels.KEY=VALUE."""
        text = q.query.get("filter", "")
        if not text:
            return items
        m = re.match(r"^labels\.([-_a-z0-9]+)=([-_a-z0-9]*)$", text)
        if m:
            return [i for i in items if i.get("labels", {}).get(m[1]) == m[2]]
        raise Refuse(400, "invalid", "Invalid value for field 'filter': '%s'" % text)

    def aggregated(self, q, what, items):
        """A page of items, grouped by zone; every zone is named in every page."""
        size = min(int(q.query.get("maxResults", 500)), self.page_size)
        start = int(base64.urlsafe_b64decode(q.query.get("pageToken", "MA==")))
        scopes = {"zones/" + z: {"warning": {"code": "NO_RESULTS_ON_PAGE"}} for z in self.zones()}
        for i in items[start:start + size]:
            scope = scopes["zones/" + i["zone"].rpartition("/")[2]]
            scope.pop("warning", None)
            scope.setdefault(what, []).append(i)
        body = {"kind": "compute#aggregatedList", "items": scopes}
        if start + size < len(items):
            body["nextPageToken"] = base64.urlsafe_b64encode(b"%d" % (start + size)).decode()
        return Answer(200, body)

    @staticmethod
    def zones():
        return ["%s-%s" % (r, z) for r in REGIONS for z in REGIONS[r]]

    def types(self, zone):
        return [{"kind": "compute#machineType", "name": n, "guestCpus": c, "memoryMb": m,
                 "zone": zone, "id": str(i + 1), "maximumPersistentDisks": 128,
                 "maximumPersistentDisksSizeGb": "263168", "creationTimestamp": "",
                 "architecture": "ARM64" if n.startswith("t2a") else "X86_64",
                 "selfLink": self.link("zones/%s/machineTypes/%s" % (zone, n))}
                for i, (n, (c, m)) in enumerate(sorted(TYPES.items()))]

    def compute(self, q):
        project, _, path = q.path[len("/compute/v1/projects/"):].partition("/")
        if project != self.project:
            raise Refuse(404, "notFound", "The resource 'projects/%s' was not found" % project)
        parts = path.split("/") if path else []
        if not parts:
            self.may("compute.projects.get", "")
            return Answer(200, {"kind": "compute#project", "name": self.project, "id": "1",
                                "quotas": [], "selfLink": self.link("").rstrip("/"),
                                "commonInstanceMetadata": {"kind": "compute#metadata"}})
        again = self.repeated(q)
        if again:
            return again
        if parts[0] == "aggregated":
            return self.all_zones(q, parts[1])
        if parts[0] in ("regions", "zones") and len(parts) < 3:
            return self.places(q, parts)
        zone = None
        if parts[0] == "zones":
            zone, parts = parts[1], parts[2:]
            if zone not in self.zones():
                raise Refuse(404, "notFound", "The resource 'projects/%s/zones/%s' was not found"
                             % (project, zone))
        elif parts[0] == "global":
            parts = parts[1:]
        else:
            raise Refuse(404, "notFound", "Not found: " + path)
        call = getattr(self, "c_" + parts[0].lower(), None)
        if not call:
            raise Refuse(404, "notFound", "Not found: " + path)
        return call(q, zone, parts[1:])

    def places(self, q, parts):
        if parts[0] == "regions":
            items = [{"kind": "compute#region", "name": r, "status": "UP", "id": "1",
                      "description": r, "creationTimestamp": "", "quotas": [],
                      "zones": [self.link("zones/%s-%s" % (r, z)) for z in REGIONS[r]],
                      "selfLink": self.link("regions/" + r)} for r in REGIONS]
        else:
            items = [{"kind": "compute#zone", "name": z, "status": "UP", "id": "1",
                      "description": z, "creationTimestamp": "",
                      "region": self.link("regions/" + z.rpartition("-")[0]),
                      "selfLink": self.link("zones/" + z)} for z in self.zones()]
        if len(parts) == 1:
            self.may("compute.%s.list" % parts[0], parts[0])
            return self.page(q, "compute#list", self.filtered(q, items))
        for i in items:
            if i["name"] == parts[1]:
                return Answer(200, i)
        raise Refuse(404, "notFound", "The resource 'projects/%s/%s' was not found"
                     % (self.project, "/".join(parts)))

    def all_zones(self, q, what):
        self.may("compute.%s.list" % what, what)
        if what == "machineTypes":
            items = [t for z in self.zones() for t in self.types(z)]
        elif what in ("instances", "disks"):
            items = [self.state[what][k] for k in sorted(self.state[what])]
        else:
            items = []
        return self.aggregated(q, what, self.filtered(q, items))

    def c_operations(self, q, zone, parts):
        self.may("compute.%sOperations.get" % ("zone" if zone else "global"), "operations")
        o = self.state["operations"].get(parts[0])
        if not o or o["op"].get("zone", "").rpartition("/")[2] != (zone or ""):
            raise Refuse(404, "notFound", "The resource 'operations/%s' was not found" % parts[0])
        return Answer(200, o["op"])

    def c_machinetypes(self, q, zone, parts):
        items = self.types(zone)
        self.may("compute.machineTypes.list", "machineTypes")
        if not parts:
            return self.page(q, "compute#machineTypeList", items)
        for i in items:
            if i["name"] == parts[0]:
                return Answer(200, i)
        raise Refuse(404, "notFound", "The resource 'machineTypes/%s' was not found" % parts[0])

    def c_networks(self, q, zone, parts):
        net = {"kind": "compute#network", "name": "default", "autoCreateSubnetworks": True,
               "id": "1", "creationTimestamp": "", "description": "", "subnetworks": [],
               "selfLink": self.link("global/networks/default")}
        if not parts:
            return self.page(q, "compute#networkList", [net])
        if parts[0] != "default":
            raise Refuse(404, "notFound", "The resource 'networks/%s' was not found" % parts[0])
        return Answer(200, net)

    def c_disktypes(self, q, zone, parts):
        if parts and parts[0] in ("pd-standard", "pd-balanced", "pd-ssd"):
            return Answer(200, {"kind": "compute#diskType", "name": parts[0], "id": "1",
                                "zone": self.link("zones/" + zone), "creationTimestamp": "",
                                "description": "", "validDiskSize": "10GB-65536GB",
                                "defaultDiskSizeGb": "100", "selfLink": self.link(
                                    "zones/%s/diskTypes/%s" % (zone, parts[0]))})
        raise Refuse(404, "notFound", "The resource 'diskTypes' was not found")

    def one(self, what, key):
        if key not in self.state[what]:
            raise Refuse(404, "notFound", "The resource 'projects/%s/%s/%s' was not found"
                         % (self.project, what, key))
        return self.state[what][key]

    def created(self, q, what, key, spec):
        """Checks the body of an insert; returns it."""
        body = without_null(q.json())
        if body is None:
            raise Refuse(400, "parseError", "Parse Error")
        check(body, spec, "resource")
        if not NAME.match(body.get("name", "")):
            raise Refuse(400, "invalid", "Invalid value for field 'resource.name': '%s'. Must be "
                         "a match of regex '%s'" % (body.get("name"), NAME.pattern))
        check_labels(body.get("labels"), "resource")
        if key + body["name"] in self.state[what]:
            raise Refuse(409, "alreadyExists", "The resource 'projects/%s/%s/%s' already exists"
                         % (self.project, what, key + body["name"]))
        return body

    def stamp(self, body, kind, path):
        self.serial += 1
        body.update(kind=kind, id=str(self.serial), selfLink=self.link(path),
                    creationTimestamp=time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime()))

    # -- images -------------------------------------------------------------------
    def c_images(self, q, zone, parts):
        images = self.state["images"]
        if q.method == "POST" and not parts:
            self.may("compute.images.create", "global/images")
            return self.image_insert(q)
        if not parts:
            self.may("compute.images.list", "global/images")
            return self.page(q, "compute#imageList", self.filtered(
                q, [images[k] for k in sorted(images)]))
        if q.method == "DELETE":
            self.may("compute.images.delete", "global/images/" + parts[0])
            self.one("images", parts[0])
            return self.operation(q, "delete", "global/images/" + parts[0],
                                  finish=lambda: images.pop(parts[0], None) and None)
        self.may("compute.images.get", "global/images/" + parts[0])
        return Answer(200, self.one("images", parts[0]))

    def image_insert(self, q):
        body = self.created(q, "images", "", IMAGE)
        if body.get("labels"):
            self.may("compute.images.setLabels", "global/images")
        source = body.get("rawDisk", {}).get("source", "")
        m = re.match(r"^https://storage\.googleapis\.com/([^/]+)/(.+)$", source)
        if not m or m[1] != self.bucket:
            raise Refuse(400, "invalid", "Invalid value for field 'resource.rawDisk.source': '%s'"
                         % source)
        for f in body.get("guestOsFeatures", []):
            if f.get("type") not in FEATURES:
                raise Refuse(400, "invalid", "Invalid guestOsFeature '%s'" % f.get("type"))
        if m[2] not in self.state["objects"]:
            raise Refuse(404, "notFound", "The object '%s' was not found" % source)
        self.stamp(body, "compute#image", "global/images/" + body["name"])
        body["status"] = "PENDING"
        self.state["images"][body["name"]] = body

        def finish():
            size, why = self.open_tar(self.blobs.get(m[2], b""))
            body["status"] = "FAILED" if why else "READY"
            body["diskSizeGb"] = str(size >> 30)
            return ("INVALID_IMAGE", why) if why else None
        return self.operation(q, "insert", "global/images/" + body["name"], finish=finish)

    @staticmethod
    def open_tar(data):
        """(size of the disk, what is wrong with it or None)."""
        try:
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as t:
                first = t.next()
                if first.name != "disk.raw" or t.next() is not None:
                    return 0, "The tar archive must hold disk.raw alone."
                if first.size % (1 << 30):
                    return first.size, "The disk size must be a multiple of 1 GB."
                return first.size, None
        except (tarfile.TarError, OSError, EOFError, AttributeError) as e:
            return 0, "The tar archive is not a valid image: %s" % e

    # -- firewalls ----------------------------------------------------------------
    def c_firewalls(self, q, zone, parts):
        walls = self.state["firewalls"]
        if q.method == "GET":
            if parts:
                return Answer(200, self.one("firewalls", parts[0]))
            self.may("compute.firewalls.list", "global/firewalls")
            return self.page(q, "compute#firewallList", self.filtered(
                q, [walls[k] for k in sorted(walls)]))
        if q.method == "DELETE":
            self.may("compute.firewalls.delete", "global/firewalls/" + parts[0])
            self.one("firewalls", parts[0])
            return self.operation(q, "delete", "global/firewalls/" + parts[0],
                                  finish=lambda: walls.pop(parts[0], None) and None)
        if q.method == "PUT":
            self.may("compute.firewalls.update", "global/firewalls/" + parts[0])
            self.one("firewalls", parts[0])
            body = q.json()
            check(body, FIREWALL, "resource")
        else:
            self.may("compute.firewalls.create", "global/firewalls")
            body = self.created(q, "firewalls", "", FIREWALL)
        self.may("compute.networks.updatePolicy", "global/networks")
        net = body.get("network", "").rpartition("/")[2]
        if net != "default":
            raise Refuse(404, "notFound", "The resource 'networks/%s' was not found" % net)
        if not body.get("allowed") or not body.get("sourceRanges"):
            raise Refuse(400, "invalid", "Invalid value for field 'resource.allowed'")
        for a in body["allowed"]:
            if a["IPProtocol"] not in ("tcp", "udp", "icmp", "esp", "all"):
                raise Refuse(400, "invalid", "Invalid IPProtocol '%s'" % a["IPProtocol"])
            for p in a.get("ports", []):
                if not re.match(r"^\d+(-\d+)?$", p) or a["IPProtocol"] == "icmp":
                    raise Refuse(400, "invalid", "Invalid port '%s'" % p)
        self.stamp(body, "compute#firewall", "global/firewalls/" + body["name"])
        walls[body["name"]] = body
        return self.operation(q, "insert", "global/firewalls/" + body["name"])

    # -- disks and instances ------------------------------------------------------
    def c_disks(self, q, zone, parts):
        disks, key = self.state["disks"], zone + "/" + parts[0] if parts else ""
        if not parts:
            return self.page(q, "compute#diskList", [
                disks[k] for k in sorted(disks) if k.startswith(zone + "/")])
        disk = self.one("disks", key)
        if q.method == "DELETE":
            self.may("compute.disks.delete", "zones/" + key)
            if disk.get("users"):
                raise Refuse(400, "resourceInUseByAnotherResource", "The disk resource '%s' is "
                             "already being used by '%s'" % (key, disk["users"][0]))
            return self.operation(q, "delete", "zones/%s/disks/%s" % (zone, parts[0]), zone,
                                  finish=lambda: disks.pop(key, None) and None)
        return Answer(200, disk)

    def c_instances(self, q, zone, parts):
        all_ = self.state["instances"]
        if q.method == "POST" and not parts:
            self.may("compute.instances.create", "zones/%s/instances" % zone)
            return self.instance_insert(q, zone)
        if not parts:
            return self.page(q, "compute#instanceList", [
                all_[k] for k in sorted(all_) if k.startswith(zone + "/")])
        key, target = zone + "/" + parts[0], "zones/%s/instances/%s" % (zone, parts[0])
        i = self.one("instances", key)
        if q.method == "GET" and parts[1:] == ["serialPort"]:
            self.may("compute.instances.getSerialPortOutput", target)
            return self.serial_port(q, key)
        if q.method == "GET" and len(parts) == 1:
            self.may("compute.instances.get", target)
            return Answer(200, i)
        if q.method == "DELETE":
            self.may("compute.instances.delete", target)
            i["status"] = "STOPPING"

            def gone():
                all_.pop(key, None)
                for d in i["disks"]:
                    disk = zone + "/" + d["source"].rpartition("/")[2]
                    if d["autoDelete"]:
                        self.state["disks"].pop(disk, None)
            return self.operation(q, "delete", target, zone, finish=gone)
        if q.method == "POST" and parts[1:] == ["stop"]:
            self.may("compute.instances.stop", target)
            i["status"] = "STOPPING"
            return self.operation(q, "stop", target, zone,
                                  finish=lambda: i.update(status="TERMINATED"))
        raise Refuse(404, "notFound", "Not found")

    def serial_port(self, q, key):
        """Of the log the newest MiB is kept; a negative start counts from its end."""
        if set(q.query) - {"port", "start"} or q.query.get("port", "1") not in "1234":
            raise Refuse(400, "invalid", "Invalid value for field 'port'")
        log, start = self.consoles.get(key, ""), int(q.query.get("start", "0"))
        oldest = max(0, len(log) - (1 << 20))
        start = max(oldest, len(log) + start if start < 0 else start)
        return Answer(200, {"kind": "compute#serialPortOutput", "contents": log[start:],
                            "start": str(start), "next": str(len(log)),
                            "selfLink": self.url + q.path})

    def instance_insert(self, q, zone):
        body = self.created(q, "instances", zone + "/", INSTANCE)
        kind = body.get("machineType", "")
        m = re.search(r"zones/([^/]+)/machineTypes/([^/]+)$", kind)
        if not m or m[1] != zone or m[2] not in TYPES:
            raise Refuse(400, "invalid", "Invalid value for field 'resource.machineType': '%s'. "
                         "Machine type with name '%s' does not exist in zone '%s'."
                         % (kind, m and m[2], zone))
        # What an insert needs beside instances.create follows from what is in it.
        init = body["disks"][0].get("initializeParams", {}) if body.get("disks") else {}
        for needed, given in (
                ("disks.create", True), ("images.useReadOnly", init.get("sourceImage")),
                ("subnetworks.use", True), ("disks.setLabels", init.get("labels")),
                ("subnetworks.useExternalIp", "accessConfigs" in str(body)),
                ("instances.setLabels", body.get("labels")),
                ("instances.setTags", body.get("tags")),
                ("instances.setMetadata", body.get("metadata"))):
            if given:
                self.may("compute." + needed, "zones/%s/instances" % zone)
        disks = body.get("disks", [])
        if len(disks) != 1 or not disks[0].get("boot"):
            raise Refuse(400, "invalid", "Invalid value for field 'resource.disks': a boot disk "
                         "is needed")
        init = disks[0].get("initializeParams", {})
        check_labels(init.get("labels"), "resource.disks[0].initializeParams")
        name = init.get("sourceImage", "").rpartition("/")[2]
        image = self.one("images", name)
        if image["status"] != "READY":
            raise Refuse(400, "resourceNotReady", "The resource 'images/%s' is not ready" % name)
        size = int(init.get("diskSizeGb", image["diskSizeGb"]))
        if size < int(image["diskSizeGb"]):
            raise Refuse(400, "invalid", "Requested disk size cannot be smaller than the image "
                         "size (%s GB)" % image["diskSizeGb"])
        nics = body.get("networkInterfaces", [])
        if len(nics) != 1 or nics[0].get("network", "").rpartition("/")[2] != "default":
            raise Refuse(404, "notFound", "The resource 'networks' was not found")
        items = body.get("metadata", {}).get("items", [])
        keys = [i.get("key") for i in items]
        if len(set(keys)) != len(keys) or any(len(i["value"].encode()) > 262144 for i in items):
            raise Refuse(400, "invalid", "Invalid value for field 'resource.metadata.items'")
        s = body.get("scheduling", {})
        if s.get("provisioningModel") == "SPOT" and (
                s.get("automaticRestart") is not False or
                s.get("onHostMaintenance") != "TERMINATE" or
                s.get("instanceTerminationAction") not in ("STOP", "DELETE")):
            raise Refuse(400, "invalid", "Scheduling of a Spot VM must have automaticRestart "
                         "false and onHostMaintenance TERMINATE")
        for t in body.get("tags", {}).get("items", []):
            if not NAME.match(t):
                raise Refuse(400, "invalid", "Invalid value for field 'resource.tags.items'")
        self.inserted.append(json.loads(q.body))
        target = "zones/%s/instances/%s" % (zone, body["name"])
        if zone in self.exhausted:
            return self.operation(q, "insert", target, zone, fail=(
                "ZONE_RESOURCE_POOL_EXHAUSTED", "The zone 'projects/%s/zones/%s' does not have "
                "enough resources available to fulfill the request. Try a different zone, or try "
                "again later." % (self.project, zone)))
        if self.quota:
            return self.operation(q, "insert", target, zone, fail=("QUOTA_EXCEEDED", self.quota))
        self.build(body, zone, init, size)
        return self.operation(q, "insert", target, zone,
                              finish=lambda: body.update(status="RUNNING"))

    def build(self, body, zone, init, size):
        name, key = body["name"], zone + "/" + body["name"]
        self.stamp(body, "compute#instance", "zones/%s/instances/%s" % (zone, name))
        disk = {"name": name, "sizeGb": str(size), "status": "READY", "type": init.get("diskType"),
                "labels": init.get("labels", {}), "zone": self.link("zones/" + zone),
                "users": [body["selfLink"]], "sourceImage": init["sourceImage"]}
        self.stamp(disk, "compute#disk", "zones/%s/disks/%s" % (zone, name))
        self.state["disks"][key] = disk
        body["disks"] = [{"boot": True, "autoDelete": body["disks"][0].get("autoDelete", False),
                          "type": "PERSISTENT", "deviceName": "persistent-disk-0",
                          "mode": "READ_WRITE", "source": disk["selfLink"]}]
        for k in ("tags", "metadata"):
            body.setdefault(k, {})["fingerprint"] = "ZW11bGF0ZWQ="
        body.setdefault("canIpForward", False)
        body["labelFingerprint"] = "ZW11bGF0ZWQ="
        nic = body["networkInterfaces"][0]
        nic["name"] = "nic0"
        nic["networkIP"] = "10.132.0.%d" % (self.serial % 250 + 2)
        for a in nic.get("accessConfigs", []):
            a["natIP"] = "203.0.113.%d" % (self.serial % 250 + 1)
        body.update(status="PROVISIONING", zone=self.link("zones/" + zone),
                    machineType=self.link("zones/%s/machineTypes/%s" % (
                        zone, body["machineType"].rpartition("/")[2])))
        self.state["instances"][key] = body

    # -- storage ------------------------------------------------------------------
    def storage(self, q):
        m = re.match(r"^(/upload)?/storage/v1/b/([^/]+)/o(?:/([^/]+))?$", q.raw_path)
        if not m:
            raise Refuse(404, "notFound", "Not Found")
        if m[2] != self.bucket:
            raise Refuse(404, "notFound", "The specified bucket does not exist.")
        objects = self.state["objects"]
        if m[1]:
            self.may("storage.objects.create", "_/buckets/" + m[2])
            return self.upload_begin(q)
        if m[3]:
            name = urllib.parse.unquote(m[3])
            if name not in objects:
                raise Refuse(404, "notFound", "No such object: %s/%s" % (m[2], name))
            if q.method == "DELETE":
                self.may("storage.objects.delete", "_/buckets/" + m[2])
                del objects[name], self.blobs[name]
                return Answer(204)
            return Answer(200, objects[name])
        self.may("storage.objects.list", "_/buckets/" + m[2])
        return self.page(q, "storage#objects", [
            objects[k] for k in sorted(objects) if k.startswith(q.query.get("prefix", ""))])

    def upload_begin(self, q):
        meta = q.json() or {}
        name = q.query.get("name") or meta.get("name")
        if q.method != "POST" or q.query.get("uploadType") != "resumable" or not name:
            raise Refuse(400, "invalid", "Invalid upload request")
        check(meta, {"name": str, "contentType": str, "md5Hash": str, "metadata": "map"}, "object")
        self.serial += 1
        sid = "emulated-session-%d" % self.serial
        self.sessions[sid] = {"name": name, "meta": meta, "data": bytearray(), "done": None,
                              "total": int(q.headers.get("x-upload-content-length", -1))}
        query = urllib.parse.urlencode({"uploadType": "resumable", "name": name, "upload_id": sid})
        return Answer(200, b"", {"Location": "%s/upload/storage/v1/b/%s/o?%s"
                                 % (self.url, self.bucket, query)})

    def upload_put(self, q):
        s = self.sessions.get(q.query["upload_id"])
        if not s:
            return Answer(404, "Not Found")
        if q.method == "DELETE":
            del self.sessions[q.query["upload_id"]]
            return Answer(499, "")
        if s["done"]:
            return Answer(200, s["done"])
        m = re.match(r"^bytes (?:(\d+)-(\d+)|\*)/(\d+)$", q.headers.get("content-range", ""))
        if q.method != "PUT" or not m:
            return Answer(400, "Failed to parse Content-Range header.")
        total = int(m[3])
        if s["total"] not in (-1, total):
            return Answer(400, "the total size has changed")
        if m[1] is not None:
            first, last = int(m[1]), int(m[2])
            if last - first + 1 != len(q.body) or last >= total or first > len(s["data"]):
                return Answer(400, "Content-Range and body do not fit")
            if last + 1 < total and len(q.body) % UNIT:
                return Answer(400, "a chunk that is not the last must be a multiple of 256 KiB")
            self.sent += len(q.body)
            fresh = q.body[len(s["data"]) - first:]
            if self.persist_half and len(fresh) >= 2 * UNIT:
                fresh = fresh[:len(fresh) // 2 // UNIT * UNIT]
            s["data"] += fresh
        elif q.body:
            return Answer(400, "a query has no body")
        if len(s["data"]) < total:
            return Answer(308, b"", {"Range": "bytes=0-%d" % (len(s["data"]) - 1)}
                          if s["data"] else {})
        return self.upload_end(s, total)

    def upload_end(self, s, total):
        md5 = base64.b64encode(hashlib.md5(s["data"]).digest()).decode()
        if s["meta"].get("md5Hash", md5) != md5:
            return error(400, "invalid", "Provided MD5 hash does not match")
        o = {"kind": "storage#object", "name": s["name"], "bucket": self.bucket,
             "size": str(total), "md5Hash": md5, "metadata": s["meta"].get("metadata", {}),
             "contentType": s["meta"].get("contentType"),
             "timeCreated": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())}
        self.state["objects"][s["name"]] = o
        self.blobs[s["name"]] = bytes(s["data"])
        self.uploaded.append(hashlib.sha256(s["data"]).hexdigest())
        s["done"] = o
        return Answer(200, o)

    # -- prices -------------------------------------------------------------------
    def skus(self, q):
        if q.path != "/billing/v1/services/6F81-5844-456A/skus":
            raise Refuse(404, "notFound", "Not found")
        if int(q.query.get("pageSize", 0)) > 5000:
            raise Refuse(400, "invalid", "pageSize")
        items = catalog()
        size = min(int(q.query.get("pageSize", 5000)), self.page_size)
        start = int(q.query.get("pageToken") or 0)
        more = str(start + size) if start + size < len(items) else ""
        return Answer(200, {"skus": items[start:start + size], "nextPageToken": more})


if __name__ == "__main__":
    cloud = Gce()
    base.serve(cloud, cloud.config())
