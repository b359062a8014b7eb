#!/usr/bin/python3
"""An emulated Azure on 127.0.0.1: login by client credentials, Resource Manager (machines, disks,
images, interfaces, addresses, networks, security groups, asynchronous operations), page blobs of
disks that are uploaded to, the SKU list, retail prices.

Strict: API versions, the fields of every body and their types, references between resources and
what may be removed while another uses it, page ranges and checksums.  Emulated: everything;
nothing of Microsoft is reached.  `azure.py` alone runs it and prints the settings sc-provider needs.
"""
import base64
import copy
import hashlib
import os
import re
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from clouds import base                                # noqa: E402
from clouds.base import Answer                         # noqa: E402

REF = {"id": str}

# Kinds of resources: the API versions they take, and the fields of a body.
VM = {
    "location": str, "tags": "map", "zones": [str], "properties": {
        "hardwareProfile": {"vmSize": str},
        "storageProfile": {
            "imageReference": {"id": str, "publisher": str, "offer": str, "sku": str,
                               "version": str},
            "osDisk": {"name": str, "createOption": str, "deleteOption": str, "caching": str,
                       "diskSizeGB": int, "managedDisk": {"storageAccountType": str},
                       "osType": str}},
        "osProfile": {
            "computerName": str, "adminUsername": str, "adminPassword": str, "customData": str,
            "allowExtensionOperations": bool, "linuxConfiguration": {
                "disablePasswordAuthentication": bool, "provisionVMAgent": bool,
                "ssh": {"publicKeys": [{"path": str, "keyData": str}]}}},
        "networkProfile": {"networkInterfaces": [
            {"id": str, "properties": {"primary": bool, "deleteOption": str}}]},
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": bool}},
        "priority": str, "evictionPolicy": str, "billingProfile": {"maxPrice": (int, float)}}}
KINDS = {
    "virtualMachines": ("Microsoft.Compute", "2022-08-01", VM),
    "disks": ("Microsoft.Compute", "2022-07-02", {
        "location": str, "tags": "map", "sku": {"name": str}, "zones": [str], "properties": {
            "osType": str, "hyperVGeneration": str, "diskSizeGB": int,
            "creationData": {"createOption": str, "uploadSizeBytes": int}}}),
    "images": ("Microsoft.Compute", "2022-08-01", {
        "location": str, "tags": "map", "properties": {
            "hyperVGeneration": str, "storageProfile": {"osDisk": {
                "osType": str, "osState": str, "managedDisk": REF, "caching": str,
                "storageAccountType": str}, "zoneResilient": bool}}}),
    "networkInterfaces": ("Microsoft.Network", "2022-07-01", {
        "location": str, "tags": "map", "properties": {
            "networkSecurityGroup": REF, "ipConfigurations": [{"name": str, "properties": {
                "privateIPAllocationMethod": str, "subnet": REF, "publicIPAddress": REF,
                "primary": bool}}]}}),
    "publicIPAddresses": ("Microsoft.Network", "2022-07-01", {
        "location": str, "tags": "map", "sku": {"name": str}, "zones": [str], "properties": {
            "publicIPAllocationMethod": str, "publicIPAddressVersion": str}}),
    "networkSecurityGroups": ("Microsoft.Network", "2022-07-01", {
        "location": str, "tags": "map", "properties": {"securityRules": [
            {"name": str, "properties": {
                "protocol": str, "sourceAddressPrefix": str, "sourcePortRange": str,
                "destinationAddressPrefix": str, "destinationPortRange": str, "access": str,
                "priority": int, "direction": str, "description": str}}]}}),
    "virtualNetworks": ("Microsoft.Network", "2022-07-01", {
        "location": str, "tags": "map", "properties": {
            "addressSpace": {"addressPrefixes": [str]}, "subnets": [
                {"name": str, "properties": {"addressPrefix": str}}]}}),
}
NAMES = {k.lower(): k for k in KINDS}
SIZES = {"Standard_B1s": (1, 1, "x64"), "Standard_D2s_v5": (2, 8, "x64"),
         "Standard_D4s_v5": (4, 16, "x64"), "Standard_D2_v2": (2, 7, "x64"),
         "Standard_D2ps_v5": (2, 8, "Arm64"), "Standard_F2s_v2": (2, 4, "x64"),
         "Standard_DC2s_v3": (2, 16, "x64")}
LOCATIONS = ("westeurope", "eastus")


class Refuse(Exception):
    def __init__(self, status, code, message, target=None):
        super().__init__(message)
        self.answer = error(status, code, message, target)


def error(status, code, message, target=None):
    e = {"code": code, "message": message}
    if target:
        e["target"] = target
    return Answer(status, {"error": e}, {"x-ms-request-id": "11111111-2222-3333-4444-555555555555"})


def check(value, spec, where):
    if spec == "map":
        good = isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    elif isinstance(spec, list):
        good = isinstance(value, list)
        for i, v in enumerate(value if good else []):
            check(v, spec[0], "%s[%d]" % (where, i))
    elif isinstance(spec, dict):
        good = isinstance(value, dict)
        for k, v in value.items() if good else []:
            if k not in spec:
                raise Refuse(400, "InvalidRequestContent", "The request content was invalid: "
                             "Could not find member '%s' on object at '%s'." % (k, where))
            check(v, spec[k], where + "." + k)
    elif spec is bool:
        good = isinstance(value, bool) or value in ("true", "false")
    else:
        good = isinstance(value, spec) and not isinstance(value, bool)
    if not good:
        raise Refuse(400, "InvalidRequestContent", "The request content was invalid at '%s'."
                     % where)


class Azure(base.Cloud):
    op_ticks = 2                # Requests until an operation is done.

    def __init__(self, **kw):
        super().__init__(**kw)
        self.tenant = "72f988bf-0000-4000-8000-2d7cd011db47"
        self.client = "a5d1e3c0-0000-4000-8000-000000000001"
        self.secret = "emulated~secret/with+odd&signs="
        self.subscription = "5a0b0e0c-0000-4000-8000-000000000002"
        self.group = "supercloud-rg"
        self.token_seconds = 3599
        self.page_size = 100
        self.denied = set()     # Actions the application may not do.
        self.used = set()       # Actions that were asked for.
        self.full = {}          # Size -> code of an allocation that fails.
        self.quota = None       # Text, if no machine may be made.
        self.tokens, self.ops, self.sas, self.blobs = {}, {}, {}, {}
        self.consoles, self.console_sas = {}, {}    # Machine: bytes; signature: machine.
        self.serial = 1000
        self.state = {k: {} for k in KINDS}
        self.versions = {k: {v} for k, (_, v, _) in KINDS.items()}
        self.any_version = False    # Old clients use old ones.
        self.bodies = []        # (kind, body) of every PUT.
        self.uploaded = []      # Of disks whose upload has ended: size, pages.
        self.sent = 0           # Bytes of pages.

    def config(self, **more):
        return dict({"tenant_id": self.tenant, "client_id": self.client,
                     "client_secret": self.secret, "subscription_id": self.subscription,
                     "resource_group": self.group, "location": "westeurope",
                     "management_endpoint": self.url, "login_endpoint": self.url,
                     "prices_endpoint": self.url}, **more)

    # -- faults, in Azure's form --------------------------------------------------
    def throttled(self, q):
        return error(429, "TooManyRequests", "The request is being throttled.")

    def broken(self, q, status):
        return error(status, "InternalServerError", "An internal server error occurred.")

    def expired(self, q):
        if q.path.startswith("/blob/"):
            self.sas.clear()
            return self.blob_refuse()
        if q.path.endswith("/oauth2/token"):
            return Answer(401, {"error": "invalid_client", "error_description":
                                "AADSTS7000222: The provided client secret keys are expired."})
        self.tokens.clear()
        return error(401, "ExpiredAuthenticationToken", "The access token expiry UTC time is "
                     "earlier than current UTC time.")

    @staticmethod
    def blob_refuse():
        return Answer(403, '<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed'
                      '</Code><Message>Server failed to authenticate the request. Signature not '
                      'valid in the specified time frame</Message></Error>',
                      {"x-ms-request-id": "blob-1", "Content-Type": "application/xml"})

    def route(self, q):
        path = re.sub(r"^.*/providers/", "", q.path)
        path = re.sub(r"^/blob/.*", "blob", path)
        path = re.sub(r"^/bootdiagnostics/.*", "serial log", path)
        path = re.sub(r"/(asyncOperations|operationResults)/.*", r"/\1", path)
        return "%s %s" % (q.method, path)

    # -- requests -----------------------------------------------------------------
    def handle(self, q):
        self.tick()
        try:
            if q.path == "/%s/oauth2/token" % self.tenant:
                return self.token(q)
            if q.path.endswith("/oauth2/token"):
                return Answer(400, {"error": "invalid_request", "error_description":
                                    "AADSTS90002: Tenant '%s' not found." % q.path.split("/")[1]})
            if q.path.startswith("/blob/"):
                return self.blob(q)
            if q.path.startswith("/bootdiagnostics/"):
                return self.console_blob(q)
            if q.path == "/api/retail/prices":
                return self.prices(q)
            self.authorise(q)
            return self.manage(q)
        except Refuse as r:
            return r.answer

    def token(self, q):
        form = dict(urllib.parse.parse_qsl(q.body.decode()))
        if q.headers.get("content-type", "").split(";")[0] != "application/x-www-form-urlencoded" \
                or form.get("grant_type") != "client_credentials" or form.get("resource") not in (
                    "https://management.azure.com/", "https://management.core.windows.net/"):
            return Answer(400, {"error": "invalid_request", "error_description": "AADSTS900144"})
        if form.get("client_id") != self.client:
            return Answer(400, {"error": "unauthorized_client", "error_description":
                                "AADSTS700016: Application with identifier '%s' was not found in "
                                "the directory" % form.get("client_id")})
        if form.get("client_secret") != self.secret:
            return Answer(401, {"error": "invalid_client", "error_description":
                                "AADSTS7000215: Invalid client secret provided."})
        self.serial += 1
        token = "eyJ0.emulated.%d" % self.serial
        until = time.time() + self.token_seconds
        self.tokens[token] = until
        return Answer(200, {"token_type": "Bearer", "expires_in": str(self.token_seconds),
                            "expires_on": str(int(until)), "access_token": token,
                            "resource": form["resource"]})

    def authorise(self, q):
        kind, _, token = q.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.tokens:
            raise Refuse(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if self.tokens[token] < time.time():
            raise Refuse(401, "ExpiredAuthenticationToken", "The access token has expired.")

    def may(self, action, scope):
        self.used.add(action)
        if action in self.denied:
            raise Refuse(403, "AuthorizationFailed", "The client '%s' with object id '%s' does not "
                         "have authorization to perform action '%s' over scope '%s' or the scope "
                         "is invalid." % (self.client, self.client, action, scope))

    # -- operations ---------------------------------------------------------------
    def operation(self, status, body=None, finish=None, fail=None, location=False, output=None):
        """Begins one: the answer to the request.  finish(), when done, may give (code, text)."""
        self.serial += 1
        name = "op-%d" % self.serial
        self.ops[name] = {"ticks": 0, "status": "InProgress", "finish": finish, "fail": fail,
                          "output": output}
        head = "%s/subscriptions/%s/providers/Microsoft.Compute/locations/westeurope/" % (
            self.url, self.subscription)
        headers = {"Retry-After": "0", "x-ms-request-id": name,
                   "Location": head + "operationResults/%s?api-version=2022-08-01" % name}
        if not location:
            headers["Azure-AsyncOperation"] = \
                head + "asyncOperations/%s?api-version=2022-08-01" % name
        return Answer(status, body if body is not None else b"", headers)

    def tick(self):
        for o in self.ops.values():
            if o["status"] != "InProgress":
                continue
            o["ticks"] += 1
            if o["ticks"] <= self.op_ticks:
                continue
            fail = o["fail"]
            if o["finish"]:
                fail = o["finish"]() or fail
            o["fail"], o["status"] = fail, "Failed" if fail else "Succeeded"

    def poll(self, q, which, name):
        o = self.ops.get(name)
        if not o:
            raise Refuse(404, "NotFound", "The operation was not found.")
        if which == "operationResults":
            if o["status"] == "InProgress":
                return Answer(202, b"", {"Location": self.url + q.target, "Retry-After": "0"})
            if o["fail"]:
                return error(409, *o["fail"])
            return Answer(200, o["output"]()) if o["output"] else Answer(204)
        body = {"name": name, "status": o["status"], "startTime": "2026-11-27T10:00:00Z"}
        if o["fail"]:
            body["error"] = {"code": o["fail"][0], "message": o["fail"][1]}
        elif o["status"] == "Succeeded" and o["output"]:
            body["properties"] = {"output": o["output"]()}
        return Answer(200, body)

    # -- Resource Manager ---------------------------------------------------------
    def page(self, q, items):
        start = int(q.query.get("$skiptoken", 0))
        body = {"value": items[start:start + self.page_size]}
        if start + self.page_size < len(items):
            query = dict(q.query, **{"$skiptoken": str(start + self.page_size)})
            body["nextLink"] = "%s%s?%s" % (self.url, q.raw_path, urllib.parse.urlencode(query))
        return Answer(200, body)

    def manage(self, q):
        parts = q.path.strip("/").split("/")
        if parts[0] != "subscriptions" or parts[1] != self.subscription:
            raise Refuse(404, "SubscriptionNotFound", "The subscription '%s' could not be found."
                         % (parts[1] if len(parts) > 1 else ""))
        version, rest = q.query.get("api-version"), parts[2:]
        if not version:
            raise Refuse(400, "MissingApiVersionParameter", "The api-version query parameter (?api-"
                         "version=) is required for all requests.")
        low = [p.lower() for p in rest]
        if low == ["locations"]:
            self.may("Microsoft.Resources/subscriptions/locations/read", q.path)
            return self.page(q, [
                {"name": n, "displayName": n, "metadata": {"regionType": t}} for n, t in
                [(n, "Physical") for n in LOCATIONS] + [("europe", "Logical")]])
        if low[:2] == ["providers", "microsoft.compute"] and low[2:] == ["skus"]:
            self.may("Microsoft.Compute/skus/read", q.path)
            return self.skus(q)
        if low[:3] == ["providers", "microsoft.compute", "locations"] and len(rest) == 6:
            return self.poll(q, rest[4], rest[5])
        if low == ["providers", "microsoft.compute"]:
            return Answer(200, {"namespace": "Microsoft.Compute", "resourceTypes": [
                {"resourceType": "virtualMachines", "locations": list(LOCATIONS)}]})
        if low[:3] == ["providers", "microsoft.compute", "locations"] and low[4:] == ["vmsizes"]:
            return Answer(200, {"value": [
                {"name": n, "numberOfCores": c, "memoryInMB": g * 1024, "maxDataDiskCount": 4,
                 "osDiskSizeInMB": 1047552, "resourceDiskSizeInMB": 0}
                for n, (c, g, _) in sorted(SIZES.items())]})
        if low == ["providers", "microsoft.network", "virtualnetworks"]:
            return self.page(q, list(self.state["virtualNetworks"].values()))
        if low == ["providers", "microsoft.compute", "virtualmachines"]:
            self.may("Microsoft.Compute/virtualMachines/read", q.path)
            vms = self.state["virtualMachines"]
            items = [dict(vms[k], properties=dict(vms[k]["properties"], instanceView=self.view(
                vms[k]))) if q.query.get("statusOnly") == "true" else vms[k] for k in sorted(vms)]
            return self.page(q, items)
        if low[0] != "resourcegroups":
            raise Refuse(404, "NotFound", "not found: " + q.path)
        if rest[1] != self.group:
            raise Refuse(404, "ResourceGroupNotFound", "Resource group '%s' could not be found."
                         % rest[1])
        if len(rest) == 2:
            self.may("Microsoft.Resources/subscriptions/resourceGroups/read", q.path)
            return Answer(200, {"id": q.path, "name": self.group, "location": "westeurope",
                                "properties": {"provisioningState": "Succeeded"}})
        kind = NAMES.get(low[4] if len(low) > 4 else "")
        if low[2] != "providers" or not kind or KINDS[kind][0].lower() != low[3]:
            raise Refuse(404, "InvalidResourceType", "The resource type could not be found.")
        if version not in self.versions[kind] and not self.any_version:
            raise Refuse(400, "NoRegisteredProviderFound", "No registered resource provider found "
                         "for API version '%s' of type '%s'." % (version, kind))
        return self.resource(q, kind, rest[5:])

    def id_of(self, kind, name):
        return "/subscriptions/%s/resourceGroups/%s/providers/%s/%s/%s" % (
            self.subscription, self.group, KINDS[kind][0], kind, name)

    def at(self, kind, ref):
        """The resource that an id names; None."""
        m = re.match(re.escape(self.id_of(kind, "")) + "([^/]+)(/.*)?$", ref or "", re.I)
        return self.state[kind].get(m[1].lower()) if m else None

    def resource(self, q, kind, parts):
        have, action = self.state[kind], "%s/%s/" % (KINDS[kind][0], kind)
        if not parts:
            self.may(action + "read", q.path)
            return self.page(q, [have[k] for k in sorted(have)])
        key = parts[0].lower()
        if q.method == "PUT" and len(parts) == 1:
            self.may(action + "write", q.path)
            return self.put(q, kind, parts[0])
        if len(parts) > 1:
            self.may(action + parts[1] + ("/read" if parts[1].lower() == "instanceview" else
                                          "/action"), q.path)
        elif q.method == "DELETE":
            self.may(action + "delete", q.path)
        else:
            self.may(action + "read", q.path)
        if key not in have:
            if q.method == "DELETE":
                return Answer(204)
            raise Refuse(404, "ResourceNotFound", "The Resource '%s/%s/%s' under resource group "
                         "'%s' was not found." % (KINDS[kind][0], kind, parts[0], self.group))
        r = have[key]
        if q.method == "DELETE" and len(parts) == 1:
            return self.delete(kind, key, r)
        if q.method == "GET" and len(parts) == 1:
            return Answer(200, r)
        call = getattr(self, "do_" + parts[1].lower(), None)
        if not call or len(parts) != 2:
            raise Refuse(404, "NotFound", "not found: " + q.path)
        return call(q, kind, r)

    def put(self, q, kind, name):
        body = q.json()
        if not isinstance(body, dict):
            raise Refuse(400, "InvalidRequestContent", "The request content was invalid.")
        for k, v in (("id", self.id_of(kind, name)), ("name", name),
                     ("type", "%s/%s" % (KINDS[kind][0], kind))):
            if str(body.pop(k, v)).lower() != v.lower():    # May be said, if it is right.
                raise Refuse(400, "InvalidRequestContent", "'%s' is not the URL's" % k)
        check(body, KINDS[kind][2], kind)
        if not re.match(r"^[A-Za-z0-9][-\w.]{0,78}[A-Za-z0-9_]$", name):
            raise Refuse(400, "InvalidResourceName", "Resource name %s is invalid." % name)
        if body.get("location") not in LOCATIONS:
            raise Refuse(400, "LocationNotAvailableForResourceType", "The provided location '%s' "
                         "is not available for resource type '%s'." % (body.get("location"), kind))
        old = self.state[kind].get(name.lower())
        if old and old["location"] != body["location"]:
            raise Refuse(409, "InvalidResourceLocation", "The resource '%s' already exists in "
                         "location '%s'." % (name, old["location"]))
        getattr(self, "check_" + kind)(body, name, old)
        self.bodies.append((kind, copy.deepcopy(body)))
        body.update(id=self.id_of(kind, name), name=name,
                    type="%s/%s" % (KINDS[kind][0], kind))
        p = body.setdefault("properties", {})
        p["provisioningState"] = "Updating"
        if kind in ("virtualMachines", "disks"):    # The others do not say it.
            p["timeCreated"] = time.strftime("%Y-%m-%dT%H:%M:%S.1234567+00:00", time.gmtime())
        if kind == "virtualMachines" and not old:
            fail = self.allocate(body)
            if fail == "quota":
                raise Refuse(409, "OperationNotAllowed", self.quota)
        else:
            fail = None
        self.state[kind][name.lower()] = body
        finish = getattr(self, "made_" + kind, lambda r, o: None)

        def done():
            p["provisioningState"] = "Failed" if fail else "Succeeded"
            if not fail:
                finish(body, old)
        return self.operation(200 if old else 201, body, finish=done, fail=fail)

    # What a body must refer to, and what follows from it.
    def need(self, kind, ref):
        r = self.at(kind, ref)
        if not r:
            raise Refuse(404, "NotFound" if kind != "images" else "ImageNotFound",
                         "The %s '%s' was not found." % (kind, ref))
        return r

    def check_virtualNetworks(self, body, name, old):
        if not body["properties"]["addressSpace"]["addressPrefixes"]:
            raise Refuse(400, "InvalidAddressPrefix", "no prefix")

    def made_virtualNetworks(self, r, old):
        for s in r["properties"].get("subnets", []):
            s["id"] = r["id"] + "/subnets/" + s["name"]

    def check_networkSecurityGroups(self, body, name, old):
        seen = set()
        for r in body["properties"].get("securityRules", []):
            p = r["properties"]
            if p["protocol"] not in ("Tcp", "Udp", "Icmp", "*") or p["direction"] != "Inbound" or \
                    not 100 <= p["priority"] <= 4096 or p["priority"] in seen or \
                    not re.match(r"^(\*|\d+(-\d+)?)$", p["destinationPortRange"]):
                raise Refuse(400, "SecurityRuleInvalid", "rule %s is invalid" % r["name"])
            seen.add(p["priority"])

    def check_publicIPAddresses(self, body, name, old):
        if body.get("sku", {}).get("name") == "Standard" and \
                body["properties"].get("publicIPAllocationMethod") != "Static":
            raise Refuse(400, "StandardSkuPublicIPAddressesMustBeStatic", "must be static")

    def made_publicIPAddresses(self, r, old):
        self.serial += 1
        r["properties"]["ipAddress"] = (old or {"properties": {}})["properties"].get(
            "ipAddress", "203.0.113.%d" % (self.serial % 250 + 1))

    def check_networkInterfaces(self, body, name, old):
        p = body["properties"]
        for what in ("networkSecurityGroups", "publicIPAddresses", "virtualNetworks/subnets"):
            self.may("Microsoft.Network/%s/join/action" % what, name)
        if p.get("networkSecurityGroup"):
            self.need("networkSecurityGroups", p["networkSecurityGroup"]["id"])
        for c in p["ipConfigurations"]:
            ref = c["properties"]["subnet"]["id"]
            net = self.need("virtualNetworks", ref)
            if ref.rpartition("/")[2] not in [s["name"] for s in net["properties"]["subnets"]]:
                raise Refuse(404, "NotFound", "The subnet '%s' was not found." % ref)
            if c["properties"].get("publicIPAddress"):
                self.need("publicIPAddresses", c["properties"]["publicIPAddress"]["id"])

    def made_networkInterfaces(self, r, old):
        self.serial += 1
        for c in r["properties"]["ipConfigurations"]:
            c["properties"]["privateIPAddress"] = "10.77.0.%d" % (self.serial % 250 + 4)
            net = self.at("virtualNetworks", c["properties"]["subnet"]["id"])
            for s in net["properties"]["subnets"]:
                mine = {"id": r["id"] + "/ipConfigurations/" + c["name"]}
                used = s["properties"].setdefault("ipConfigurations", [])
                if mine not in used:
                    used.append(mine)

    def check_disks(self, body, name, old):
        p = body["properties"]
        c = p["creationData"]
        if c["createOption"] != "Upload" or c["uploadSizeBytes"] % 512 or \
                (c["uploadSizeBytes"] - 512) % (1 << 20) or c["uploadSizeBytes"] < 20972032:
            raise Refuse(400, "InvalidParameter", "uploadSizeBytes is not valid", "uploadSizeBytes")
        if p.get("hyperVGeneration") not in ("V1", "V2") or p.get("osType") != "Linux":
            raise Refuse(400, "InvalidParameter", "hyperVGeneration", "hyperVGeneration")
        if old and old["properties"]["creationData"] != c:
            raise Refuse(409, "PropertyChangeNotAllowed", "Changing property 'creationData' is not "
                         "allowed.")

    def made_disks(self, r, old):
        p = r["properties"]
        p["diskState"] = (old or r)["properties"].get("diskState", "ReadyToUpload")
        p["diskSizeGB"] = (p["creationData"]["uploadSizeBytes"] + (1 << 30) - 1) >> 30

    def check_images(self, body, name, old):
        os_ = body["properties"]["storageProfile"]["osDisk"]
        disk = self.need("disks", os_["managedDisk"]["id"])
        if disk["properties"].get("diskState") != "Unattached":
            raise Refuse(409, "OperationNotAllowed", "The disk '%s' is not ready: %s"
                         % (disk["name"], disk["properties"].get("diskState")))
        if os_.get("osState") != "Generalized" or body["properties"].get("hyperVGeneration") != \
                disk["properties"]["hyperVGeneration"]:
            raise Refuse(400, "InvalidParameter", "hyperVGeneration does not fit the disk")

    def check_virtualMachines(self, body, name, old):
        p = body["properties"]
        size = p["hardwareProfile"]["vmSize"]
        if size not in SIZES:
            raise Refuse(400, "InvalidParameter", "The value %s provided for the VM size is not "
                         "valid. The valid sizes in the current region are: ..." % size, "vmSize")
        os_ = p["osProfile"]
        keys = os_.get("linuxConfiguration", {}).get("ssh", {}).get("publicKeys", [])
        if not keys and "adminPassword" not in os_:
            raise Refuse(400, "InvalidParameter", "Authentication using either SSH or by user name "
                         "and password must be enabled in Linux profile.", "linuxConfiguration")
        for k in keys:
            blob = base64.b64decode(k["keyData"].split()[1])
            if blob[:11] != b"\0\0\0\7ssh-rsa" or len(blob) < 270 or \
                    k["path"] != "/home/%s/.ssh/authorized_keys" % os_["adminUsername"]:
                raise Refuse(400, "InvalidParameter", "ssh key", "linuxConfiguration.ssh.publicKeys")
        if "customData" in os_ and len(base64.b64decode(os_["customData"], validate=True)) > 65535:
            raise Refuse(400, "InvalidParameter", "Custom data is too long", "customData")
        ref = p["storageProfile"]["imageReference"]
        if "id" in ref:
            image = self.need("images", ref["id"])
            if image["properties"]["provisioningState"] != "Succeeded":
                raise Refuse(409, "OperationNotAllowed", "The image is not ready.")
        for n in p["networkProfile"]["networkInterfaces"]:
            self.may("Microsoft.Network/networkInterfaces/join/action", name)
            nic = self.need("networkInterfaces", n["id"])
            if nic["properties"].get("virtualMachine", {}).get("id", self.id_of(
                    "virtualMachines", name)).lower() != self.id_of("virtualMachines", name).lower():
                raise Refuse(400, "NicInUse", "Network Interface %s is used" % n["id"])
        spot = p.get("priority") == "Spot"
        if not spot and ("evictionPolicy" in p or "billingProfile" in p):
            raise Refuse(400, "InvalidParameter", "evictionPolicy needs priority Spot", "priority")
        if spot and p.get("evictionPolicy") not in ("Deallocate", "Delete"):
            raise Refuse(400, "InvalidParameter", "evictionPolicy", "evictionPolicy")

    def allocate(self, body):
        """(code, text) if there is no room, "quota", or None and its disk is made."""
        p = body["properties"]
        size = p["hardwareProfile"]["vmSize"]
        if self.quota:
            return "quota"
        if self.full.get(size) == "SkuNotAvailable":
            raise Refuse(409, "SkuNotAvailable", "The requested VM size for resource '%s' is "
                         "currently not available in location '%s'." % (size, body["location"]))
        if size in self.full:
            return (self.full[size], "Allocation failed. We do not have sufficient capacity for "
                    "the requested VM size in this region.")
        d = p["storageProfile"]["osDisk"]
        disk = {"id": self.id_of("disks", d["name"]), "name": d["name"],
                "location": body["location"], "tags": body.get("tags", {}),
                "managedBy": body["id"], "properties": {
                    "diskState": "Attached", "provisioningState": "Succeeded",
                    "diskSizeGB": d.get("diskSizeGB", 30)}}
        self.state["disks"][d["name"].lower()] = disk
        d["managedDisk"]["id"] = disk["id"]
        for n in p["networkProfile"]["networkInterfaces"]:
            self.at("networkInterfaces", n["id"])["properties"]["virtualMachine"] = {
                "id": body["id"]}
        return None

    def made_virtualMachines(self, r, old):
        r["power"] = "running"

    def view(self, vm):
        power = vm.get("power")
        codes = ["ProvisioningState/" + vm["properties"]["provisioningState"].lower()]
        return {"statuses": [{"code": c} for c in codes + (["PowerState/" + power] if power else
                                                           [])]}

    def do_instanceview(self, q, kind, r):
        return Answer(200, self.view(r))

    def do_subnets(self, q, kind, r):
        return self.page(q, r["properties"]["subnets"])

    def power(self, r, state):
        return self.operation(202, finish=lambda: r.update(power=state) and None)

    def do_poweroff(self, q, kind, r):
        if q.query.get("skipShutdown") != "true":
            raise Refuse(400, "InvalidParameter", "the emulator wants skipShutdown")
        return self.power(r, "stopped")

    def do_retrievebootdiagnosticsdata(self, q, kind, r):
        if q.method != "POST":
            raise Refuse(404, "NotFound", "not found: " + q.path)
        on = r["properties"].get("diagnosticsProfile", {}).get("bootDiagnostics", {}).get("enabled")
        if not on:
            raise Refuse(409, "OperationNotAllowed", "Boot diagnostics is not enabled for VM '%s'."
                         % r["name"])
        self.serial += 1
        sig = "emulated-log-%d" % self.serial
        self.console_sas[sig] = r["name"].lower()
        url = "%s/bootdiagnostics/%s.%%s?sv=2018-03-28&sr=b&sp=r&sig=%s" % (
            self.url, r["name"].lower(), sig)
        return Answer(200, {"consoleScreenshotBlobUri": url % "screenshot.bmp",
                            "serialConsoleLogBlobUri": url % "serialconsole.log"})

    def console_blob(self, q):
        vm = self.console_sas.get(q.query.get("sig"))
        if not vm or q.path != "/bootdiagnostics/%s.serialconsole.log" % vm or \
                "authorization" in q.headers:
            return self.blob_refuse()
        data = self.consoles.get(vm)
        if data is None:
            return Answer(404, "<Error><Code>BlobNotFound</Code><Message>The specified blob does "
                          "not exist.</Message></Error>", {"Content-Type": "application/xml"})
        m = re.match(r"^bytes=(\d+)-(\d+)$", q.headers.get("x-ms-range", ""))
        if q.method == "HEAD":
            return Answer(200, data)
        if q.method != "GET" or not m or "x-ms-version" not in q.headers:
            return Answer(400, "<Error><Code>InvalidHeaderValue</Code></Error>")
        return Answer(206, data[int(m[1]):int(m[2]) + 1])

    def do_deallocate(self, q, kind, r):
        return self.power(r, "deallocated")

    def do_stop(self, q, kind, r):              # Of old API versions.
        return self.power(r, "stopped")

    def delete(self, kind, key, r):
        users = []
        if kind == "networkInterfaces":
            users = [r["properties"].get("virtualMachine", {}).get("id")]
        elif kind in ("publicIPAddresses", "networkSecurityGroups"):
            users = [n["id"] for n in self.state["networkInterfaces"].values()
                     if r["id"].lower() in str(n).lower()]
        elif kind == "virtualNetworks":
            users = [n["id"] for n in self.state["networkInterfaces"].values()
                     if r["id"].lower() in str(n).lower()]
        elif kind == "disks":
            users = [r.get("managedBy")]
            if r["properties"].get("diskState") == "ActiveUpload":
                raise Refuse(409, "OperationNotAllowed", "The disk %s has an active shared access "
                             "signature; end its access first." % r["name"])
        users = [u for u in users if u]
        if users:
            code = {"networkInterfaces": "NicInUse", "disks": "OperationNotAllowed",
                    "publicIPAddresses": "PublicIPAddressCannotBeDeleted",
                    "virtualNetworks": "InUseSubnetCannotBeDeleted"}.get(
                        kind, "InUseNetworkSecurityGroupCannotBeDeleted")
            raise Refuse(400, code, "%s is in use by %s." % (r["name"], users[0]))

        def gone():
            self.state[kind].pop(key, None)
            if kind == "virtualMachines":
                self.vm_gone(r)
            if kind == "networkInterfaces":
                self.nic_gone(r)
        return self.operation(202, finish=gone, location=kind == "images")

    def nic_gone(self, r):
        for net in self.state["virtualNetworks"].values():
            for s in net["properties"]["subnets"]:
                used = s["properties"].get("ipConfigurations", [])
                s["properties"]["ipConfigurations"] = [
                    u for u in used if not u["id"].startswith(r["id"] + "/")]

    def vm_gone(self, r):
        p = r["properties"]
        d = p["storageProfile"]["osDisk"]
        disk = self.state["disks"].get(d["name"].lower())
        if disk:
            disk.pop("managedBy", None)
            disk["properties"]["diskState"] = "Unattached"
            if d.get("deleteOption") == "Delete":
                del self.state["disks"][d["name"].lower()]
        for n in p["networkProfile"]["networkInterfaces"]:
            nic = self.at("networkInterfaces", n["id"])
            if nic:
                nic["properties"].pop("virtualMachine", None)
                if n.get("properties", {}).get("deleteOption") == "Delete":
                    del self.state["networkInterfaces"][nic["name"].lower()]
                    self.nic_gone(nic)

    # -- upload -------------------------------------------------------------------
    def do_begingetaccess(self, q, kind, r):
        body = q.json() or {}
        check(body, {"access": str, "durationInSeconds": int}, "access")
        p = r["properties"]
        if body.get("access") != "Write" or p.get("diskState") not in ("ReadyToUpload",
                                                                       "ActiveUpload"):
            raise Refuse(409, "OperationNotAllowed", "Access cannot be granted in disk state %s"
                         % p.get("diskState"))
        p["diskState"] = "ActiveUpload"
        self.serial += 1
        sig = "emulated-sig-%d" % self.serial
        key = r["name"].lower()
        self.sas[sig] = key
        self.blobs.setdefault(key, {"size": p["creationData"]["uploadSizeBytes"], "pages": {}})
        url = "%s/blob/%s?sv=2018-03-28&sr=b&sig=%s" % (self.url, key, sig)
        return self.operation(202, location=True, output=lambda: {"accessSAS": url})

    def do_endgetaccess(self, q, kind, r):
        p = r["properties"]
        if p.get("diskState") == "ActiveUpload":
            data = self.blobs.pop(r["name"].lower())
            self.sas = {s: k for s, k in self.sas.items() if k != r["name"].lower()}
            if not any(f + len(d) == data["size"] and d[-512:-504] == b"conectix"
                       for f, d in data["pages"].items()):
                p["diskState"] = "ReadyToUpload"
                return self.operation(202, location=True, fail=(
                    "BadRequest", "The uploaded disk has no VHD footer."))
            p["diskState"] = "Unattached"
            self.uploaded.append(data)
        return self.operation(202, location=True)

    def blob(self, q):
        key = self.sas.get(q.query.get("sig"))
        if not key or q.path != "/blob/" + key:
            return self.blob_refuse()
        def no(code):
            return Answer(400, "<Error><Code>%s</Code><Message>%s</Message></Error>" % (code, code))
        if q.method != "PUT" or q.query.get("comp") != "page" or \
                q.headers.get("x-ms-page-write") != "update" or "x-ms-version" not in q.headers or \
                "authorization" in q.headers:
            return no("InvalidHeaderValue")
        m = re.match(r"^bytes=(\d+)-(\d+)$", q.headers.get("x-ms-range", ""))
        if not m:
            return no("InvalidRange")
        first, last, data = int(m[1]), int(m[2]), self.blobs[key]
        if first % 512 or (last + 1) % 512 or last >= data["size"] or \
                last - first + 1 != len(q.body) or len(q.body) > 4 << 20:
            return no("InvalidPageRange")
        md5 = base64.b64encode(hashlib.md5(q.body).digest()).decode()
        if q.headers.get("content-md5", md5) != md5:
            return no("Md5Mismatch")
        data["pages"][first] = q.body
        self.sent += len(q.body)
        return Answer(201, b"", {"x-ms-request-id": "blob-2"})

    def digests(self):
        """SHA-256 of the disks that were uploaded."""
        out = []
        for u in self.uploaded:
            data = bytearray(u["size"])
            for first in u["pages"]:            # In the order in which they came.
                data[first:first + len(u["pages"][first])] = u["pages"][first]
            out.append(hashlib.sha256(data).hexdigest())
        return out

    # -- SKUs and prices ----------------------------------------------------------
    def skus(self, q):
        m = re.match(r"^location eq '(\w+)'$", q.query.get("$filter", ""))
        if not m:
            raise Refuse(400, "InvalidFilter", "only a location filter is supported")
        items = [{"resourceType": "virtualMachines", "name": n, "locations": [m[1]],
                  "capabilities": [{"name": "vCPUs", "value": str(c)},
                                   {"name": "MemoryGB", "value": str(g)},
                                   {"name": "CpuArchitectureType", "value": a}],
                  "restrictions": []} for n, (c, g, a) in sorted(SIZES.items())]
        items.append({"resourceType": "virtualMachines", "name": "Standard_D8s_v5",
                      "locations": [m[1]], "capabilities": [
                          {"name": "vCPUs", "value": "8"}, {"name": "MemoryGB", "value": "32"}],
                      "restrictions": [{"type": "Location", "values": [m[1]],
                                        "reasonCode": "NotAvailableForSubscription"}]})
        items.append({"resourceType": "disks", "name": "Premium_LRS", "locations": [m[1]],
                      "capabilities": []})
        return self.page(q, items if m[1] in LOCATIONS else [])

    def prices(self, q):
        want = dict(re.findall(r"(\w+) eq '([^']*)'", q.query.get("$filter", "")))
        left = re.sub(r"\w+ eq '[^']*'|\s*and\s*", "", q.query.get("$filter", ""))
        if left or q.query.get("currencyCode") != "USD" or "authorization" in q.headers:
            raise Refuse(400, "BadRequest", "Invalid OData parameters supplied")
        fields = {"priceType": "type"}
        items = [i for i in price_list() if all(i.get(fields.get(k, k)) == v
                                                for k, v in want.items())]
        start = int(q.query.get("$skip", 0))
        more = None
        if start + self.page_size < len(items):
            more = "%s/api/retail/prices?%s" % (self.url, urllib.parse.urlencode(
                dict(q.query, **{"$skip": start + self.page_size})))
        return Answer(200, {"BillingCurrency": "USD", "Items": items[start:start + self.page_size],
                            "NextPageLink": more, "Count": len(items)})


def price(size, sku, amount, product="Virtual Machines Dsv5 Series", unit="1 Hour",
          service="Virtual Machines", meter="", minimum=0.0, location="westeurope"):
    return {"currencyCode": "USD", "tierMinimumUnits": minimum, "retailPrice": amount,
            "unitPrice": amount, "armRegionName": location, "location": "EU West",
            "effectiveStartDate": "2026-11-01T00:00:00Z", "meterName": meter or sku,
            "productName": product, "skuName": sku, "serviceName": service,
            "unitOfMeasure": unit, "type": "Consumption", "isPrimaryMeterRegion": True,
            "armSkuName": size}


def price_list():
    """A part of a price list, in the words of the real one; the prices are made up."""
    net = dict(service="Bandwidth", unit="1 GB", product="Rtn Preference: MGN")
    return [
        price("Standard_D2s_v5", "D2s v5", 0.115),
        price("Standard_D2s_v5", "D2s v5 Spot", 0.0231),
        price("Standard_D2s_v5", "D2s v5 Low Priority", 0.03),
        price("Standard_D2s_v5", "D2s v5", 0.207, "Virtual Machines Dsv5 Series Windows"),
        price("Standard_D4s_v5", "D4s v5", 0.23),
        price("Standard_D4s_v5", "D4s v5", 0.19, location="eastus"),
        price("", "Standard", 0.0, meter="Standard Data Transfer Out", **net),
        price("", "Standard", 0.08, meter="Standard Data Transfer Out", minimum=100.0, **net),
        price("", "Standard", 0.065, meter="Standard Data Transfer Out", minimum=10240.0, **net),
        price("", "Standard", 0.02, meter="Intra Continent Data Transfer Out", **net)]


if __name__ == "__main__":
    cloud = Azure()
    base.serve(cloud, cloud.config())
