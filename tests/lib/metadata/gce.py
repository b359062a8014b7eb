"""gce - Google's metadata server: a tree that clients can wait on.

Notices: {"kind": "preempt"}, {"kind": "maintenance", "event":
"MIGRATE_ON_HOST_MAINTENANCE"|"TERMINATE_ON_HOST_MAINTENANCE"}, {"kind": "clear"}.
"""
import hashlib
import json
import re
import time

from .web import Answer, Service

ROOT = "/computeMetadata/v1"
ERROR = ("<!DOCTYPE html>\n<html lang=en>\n  <title>Error {0} ({1})!!1</title>\n"
         "  <p><b>{0}.</b> <ins>{2}</ins>\n")


class Gce(Service):
    server_name = "Metadata Server for VM"

    def __init__(self, instance):
        super().__init__(instance)
        i = instance
        zone = "projects/123456789012/zones/%s-a" % i.region
        attributes = {"google-logging-enabled": "false"}
        if i.user_data:
            attributes["user-data"] = i.user_data.decode()
        self.tree = {
            "instance": {
                "attributes": attributes, "cpu-platform": "Emulated",
                "description": "", "disks": [{"device-name": i.name, "index": 0, "interface":
                                              "SCSI", "mode": "READ_WRITE",
                                              "type": "PERSISTENT-BALANCED"}],
                "guest-attributes": {}, "hostname":
                "%s.%s-a.c.supercloud-emulated.internal" % (i.name, i.region),
                "id": int(i.uuid.replace("-", "")[:15], 16) + 10 ** 18,
                "image": "projects/supercloud-emulated/global/images/" + i.image,
                "licenses": [], "machine-type":
                "projects/123456789012/machineTypes/" + i.type,
                "maintenance-event": "NONE", "name": i.name,
                "network-interfaces": [{
                    "access-configs": [{"external-ip": i.address, "type": "ONE_TO_ONE_NAT"}],
                    "dns-servers": ["169.254.169.254"], "forwarded-ips": [],
                    "gateway": i.gateway, "ip": i.address, "ip-aliases": [], "mac": i.mac,
                    "mtu": 1460, "network": "projects/123456789012/networks/default",
                    "subnetmask": str(i.network.netmask), "target-instance-ips": []}],
                "preempted": "FALSE", "remaining-cpu-time": -1,
                "scheduling": {"automaticRestart": "FALSE", "onHostMaintenance": "TERMINATE",
                               "preemptible": "TRUE"},
                "service-accounts": {}, "tags": [], "virtual-clock": {"drift-token": "0"},
                "zone": zone},
            "oslogin": {"authenticate": {"sessions": {}}},
            "project": {"attributes": {}, "numeric-project-id": 123456789012,
                        "project-id": "supercloud-emulated"}}

    def _error(self, status, name, text):
        return Answer(status, ERROR.format(status, name, text), "text/html; charset=UTF-8",
                      [("Metadata-Flavor", "Google")])

    def answer(self, q):
        if not q.path.startswith("/computeMetadata/") and q.path not in ("/", "/0.1", "/0.1/"):
            return self._error(404, "Not Found", "The requested URL was not found on this server.")
        if q.path.strip("/") in ("", "0.1"):
            return Answer(200, "0.1/\ncomputeMetadata/\n", "application/text",
                          [("Metadata-Flavor", "Google")])
        if q.headers.get("Metadata-Flavor") != "Google" or q.headers.get("X-Forwarded-For"):
            return self._error(403, "Forbidden", "Missing Metadata-Flavor:Google header.")
        if q.path.rstrip("/") == "/computeMetadata":
            return self._text("v1/\n")
        if not q.path.startswith(ROOT):
            return self._error(404, "Not Found", "No such API version.")
        parts = [p for p in q.path[len(ROOT):].split("/") if p]
        if q.method == "PUT" and parts[:2] == ["instance", "guest-attributes"] and len(parts) == 4:
            with self.changed:
                self.tree["instance"]["guest-attributes"].setdefault(
                    parts[2], {})[parts[3]] = q.body.decode(errors="replace")
            return self._text("")
        if q.method not in ("GET", "HEAD"):
            return self._error(405, "Method Not Allowed", "Only GET is allowed here.")
        return self._get(q, parts)

    def _get(self, q, parts):
        query = {k.lower(): v.lower() for k, v in q.query.items()}
        with self.changed:
            value = self._find(parts)
            if query.get("wait_for_change") == "true" and value is not None:
                # Without 'last_etag' the next change counts.
                last = q.query.get("last_etag") or self._etag(value)
                end = time.monotonic() + float(query.get("timeout_sec") or 3000)
                while self._etag(value) == last and time.monotonic() < end:
                    self.changed.wait(min(1, max(0, end - time.monotonic())))
                    value = self._find(parts)
            if value is None:
                return self._error(404, "Not Found", "The requested URL was not found.")
            etag = self._etag(value)
            recursive = query.get("recursive") == "true"
            if isinstance(value, (dict, list)):
                if not q.path.endswith("/") and not recursive:
                    return Answer(301, "", "text/html", [("Location", q.path + "/"),
                                                         ("Metadata-Flavor", "Google")])
                if recursive and query.get("alt") != "text":
                    return self._text(json.dumps(_camel(value, parts)), "application/json", etag)
                keys = value if isinstance(value, dict) else range(len(value))
                return self._text("".join("%s%s\n" % (k, "/" if isinstance(
                    value[k], (dict, list)) else "") for k in keys), etag=etag)
            if query.get("alt") == "json":
                return self._text(json.dumps(value), "application/json", etag)
            return self._text(str(value), etag=etag)

    def _find(self, parts):
        node = self.tree
        for p in parts:
            if isinstance(node, dict) and p in node:
                node = node[p]
            elif isinstance(node, list) and p.isdigit() and int(p) < len(node):
                node = node[int(p)]
            else:
                return None
        return node

    def _etag(self, value):
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]

    def _text(self, text, kind="application/text", etag="0"):
        return Answer(200, text, kind, [("Metadata-Flavor", "Google"), ("ETag", etag),
                                        ("X-XSS-Protection", "0"),
                                        ("X-Frame-Options", "SAMEORIGIN")])

    def notice(self, what):
        with self.changed:
            i = self.tree["instance"]
            if what["kind"] == "preempt":
                i["preempted"] = "TRUE"
                i["maintenance-event"] = "TERMINATE_ON_HOST_MAINTENANCE"
            elif what["kind"] == "maintenance":
                i["maintenance-event"] = what.get("event", "MIGRATE_ON_HOST_MAINTENANCE")
            elif what["kind"] == "clear":
                i["preempted"], i["maintenance-event"] = "FALSE", "NONE"
            else:
                raise ValueError("kind '%s': there are preempt, maintenance, clear"
                                 % what["kind"])
            self.changed.notify_all()


def _camel(value, parts):
    """Recursive JSON has keys in camelCase, but for the user's own attributes."""
    own = "attributes" in parts or "guest-attributes" in parts
    if isinstance(value, list):
        return [_camel(v, parts) for v in value]
    if not isinstance(value, dict):
        return value
    return {(k if own else re.sub(r"-(\w)", lambda m: m[1].upper(), k)):
            _camel(v, parts + [k]) for k, v in value.items()}
