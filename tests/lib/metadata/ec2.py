"""ec2 - Amazon's instance metadata service, version 2: every read needs a token.

Notices: {"kind": "spot", "action": "terminate"|"stop"|"hibernate", "in_s": 120},
{"kind": "rebalance"}, {"kind": "event", "code": "instance-reboot", "in_s": 3600},
{"kind": "clear"}.
"""
import base64
import json
import os
import time

from .web import Answer, Service

VERSIONS = ["1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15",
            "2008-02-01", "2008-09-01", "2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12",
            "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30", "2016-09-02",
            "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03",
            "2021-03-23", "2021-07-15", "2022-09-24", "latest"]
TOKEN_TTL_MAX_S = 21600
ERROR = ("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n"
         "<html><head><title>{0} - {1}</title></head><body><h1>{0} - {1}</h1></body></html>\n")
NAMES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
         405: "Not Allowed"}


class Ec2(Service):
    server_name = "EC2ws"

    def __init__(self, instance, hop_limit=1):
        super().__init__(instance)
        self.hop_limit = hop_limit
        self.tokens = {}                # token -> when it ends, monotonic
        self.notices = {}               # path below meta-data/ -> text
        self.tree = {"meta-data": self._meta_data(), "dynamic": self._dynamic()}

    def _meta_data(self):
        i = self.instance
        host = "ip-%s.%s.compute.internal" % (i.address.replace(".", "-"), i.region)
        vpc, subnet = "vpc-0" + i.hexa("vpc", 16), "subnet-0" + i.hexa("subnet", 16)
        group = "sg-0" + i.hexa("group", 16)
        nic = {
            "device-number": "0", "interface-id": "eni-0" + i.hexa("nic", 16),
            "ipv4-associations": {i.address: i.address}, "local-hostname": host,
            "local-ipv4s": i.address, "mac": i.mac, "owner-id": "123456789012",
            "public-hostname": "", "public-ipv4s": i.address, "security-groups": "supercloud",
            "security-group-ids": group, "subnet-id": subnet,
            "subnet-ipv4-cidr-block": str(i.network), "vpc-id": vpc,
            "vpc-ipv4-cidr-block": str(i.network), "vpc-ipv4-cidr-blocks": str(i.network)}
        return {
            "ami-id": "ami-0" + i.hexa("image", 16), "ami-launch-index": "0",
            "ami-manifest-path": "(unknown)",
            "block-device-mapping": {"ami": "/dev/xvda", "root": "/dev/xvda"},
            "events": {"maintenance": {"history": "[]", "scheduled": "[]"}},
            "hibernation": {"configured": "false"},
            "hostname": host, "instance-action": "none", "instance-id": self.instance_id,
            "instance-life-cycle": "spot", "instance-type": i.type, "local-hostname": host,
            "local-ipv4": i.address, "mac": i.mac,
            "metrics": {"vhostmd": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"},
            "network": {"interfaces": {"macs": {i.mac: nic}}},
            "placement": {"availability-zone": i.region + "a",
                          "availability-zone-id": "use1-az1", "region": i.region},
            "profile": "default-hvm", "public-hostname": "", "public-ipv4": i.address,
            "reservation-id": "r-0" + i.hexa("reservation", 16), "security-groups": "supercloud",
            "services": {"domain": "amazonaws.com", "partition": "aws"},
            "system": "nitro"}

    def _dynamic(self):
        i = self.instance
        document = json.dumps({
            "accountId": "123456789012", "architecture": "x86_64",
            "availabilityZone": i.region + "a", "billingProducts": None,
            "devpayProductCodes": None, "marketplaceProductCodes": None,
            "imageId": "ami-0" + i.hexa("image", 16), "instanceId": self.instance_id,
            "instanceType": i.type, "kernelId": None, "pendingTime": i.time(),
            "privateIp": i.address, "ramdiskId": None, "region": i.region,
            "version": "2017-09-30"}, indent=2)
        # Made up: an emulator has no key of the provider's.
        signature = base64.b64encode(i.hexa("signature", 64).encode()).decode()
        return {"fws": {"instance-monitoring": "disabled"},
                "instance-identity": {"document": document, "pkcs7": signature,
                                      "rsa2048": signature, "signature": signature}}

    @property
    def instance_id(self):
        return "i-0" + self.instance.uuid.replace("-", "")[3:19]

    def _error(self, status):
        return Answer(status, ERROR.format(status, NAMES[status]), "text/html")

    def _token(self, q):
        """PUT /latest/api/token: the one answer with a limit of hops."""
        if q.headers.get("X-Forwarded-For"):
            return self._error(403)
        try:
            ttl = int(q.headers["X-aws-ec2-metadata-token-ttl-seconds"])
        except (TypeError, ValueError):
            return self._error(400)
        if not 1 <= ttl <= TOKEN_TTL_MAX_S:
            return self._error(400)
        token = base64.b64encode(os.urandom(42)).decode()
        self.tokens[token] = time.monotonic() + ttl
        return Answer(200, token, headers=[("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", str(ttl))],
                      ttl=self.hop_limit)

    def answer(self, q):
        parts = [p for p in q.path.split("/") if p]
        if parts == ["latest", "api", "token"]:
            return self._token(q) if q.method == "PUT" else self._error(405)
        if q.method not in ("GET", "HEAD"):
            return self._error(405)
        ends = self.tokens.get(q.headers.get("X-aws-ec2-metadata-token"))
        if ends is None or ends < time.monotonic():
            return self._error(401)
        if not parts:
            return Answer(200, "\n".join(VERSIONS))
        if parts[0] not in VERSIONS:
            return self._error(404)
        if parts[1:] == ["user-data"]:
            if not self.instance.user_data:
                return self._error(404)
            return Answer(200, self.instance.user_data, "application/octet-stream")
        with self.changed:
            tree = dict(self.tree)
            for path, text in self.notices.items():
                tree = _with(tree, ["meta-data"] + path.split("/"), text)
        if len(parts) == 1:
            names = ["dynamic", "meta-data"] + (["user-data"] if self.instance.user_data else [])
            return Answer(200, "\n".join(names))
        node = tree
        for p in parts[1:]:
            if not isinstance(node, dict) or p not in node:
                return self._error(404)
            node = node[p]
        if isinstance(node, dict):
            return Answer(200, "\n".join(
                k + ("/" if isinstance(node[k], dict) else "") for k in sorted(node)))
        return Answer(200, node, "application/json" if node[:1] in "{[" and node else "text/plain")

    def notice(self, what):
        now = time.time() * 1000
        at = self.instance.time(now + 1000 * float(what.get("in_s", 120)))
        with self.changed:
            if what["kind"] == "spot":
                if what.get("action", "terminate") not in ("terminate", "stop", "hibernate"):
                    raise ValueError("action '%s': not a spot action" % what["action"])
                self.notices["spot/instance-action"] = json.dumps(
                    {"action": what.get("action", "terminate"), "time": at})
                self.notices["spot/termination-time"] = at
            elif what["kind"] == "rebalance":
                self.notices["events/recommendations/rebalance"] = json.dumps(
                    {"noticeTime": self.instance.time(now)})
            elif what["kind"] == "event":
                self.notices["events/maintenance/scheduled"] = json.dumps([{
                    "NotBefore": time.strftime("%d %b %Y %H:%M:%S GMT", time.gmtime(
                        now / 1000 + float(what.get("in_s", 3600)))),
                    "Code": what.get("code", "instance-reboot"), "Description":
                    "The instance is scheduled for maintenance",
                    "EventId": "instance-event-0" + self.instance.hexa("event", 16),
                    "NotAfter": time.strftime("%d %b %Y %H:%M:%S GMT", time.gmtime(
                        now / 1000 + float(what.get("in_s", 3600)) + 7200)),
                    "State": "active"}])
            elif what["kind"] == "clear":
                self.notices.clear()
            else:
                raise ValueError("kind '%s': there are spot, rebalance, event, clear"
                                 % what["kind"])


def _with(tree, path, text):
    """A copy of 'tree' that has 'text' at 'path'."""
    copy = dict(tree)
    copy[path[0]] = text if len(path) == 1 else _with(copy.get(path[0], {}), path[1:], text)
    return copy
