#!/usr/bin/python3
"""An emulator of Amazon EC2, its EBS direct APIs, STS and the Price List: one account, several
regions, state in memory.  Strict: every request must be signed as botocore signs it, be what the
service's model allows, and be permitted by an IAM policy (docs/providers/ec2-policy.json unless
a test gives another); answers are read back by botocore's parsers before they are sent.
Emulated: what the documentation says of these calls; not EC2's timing, prices or capacity.

http://127.0.0.1:PORT/REGION/SERVICE is a service's endpoint.  By hand: ec2.py [PORT]."""
import base64
import datetime
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import base                                            # noqa: E402
import ec2_model                                       # noqa: E402
from ec2_model import Refused                          # noqa: E402

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
POLICY = os.path.join(TOP, "docs/providers/ec2-policy.json")
ACCOUNT = "123456789012"
KEY, SECRET = "AKIAIOSFODNN7EMULATE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEMULATED"
REGIONS = ("eu-west-1", "us-east-1")
BLOCK = 524288
# name: vCPUs, MiB, bare metal, features, dollars an hour on demand and spot
TYPES = {
    "t2.micro": (1, 1024, False, [], 0.0126, 0.0042),   # Of the older hypervisor.
    "t3.medium": (2, 4096, False, [], 0.0456, 0.0137),
    "m5.large": (2, 8192, False, [], 0.107, 0.0391),
    "m6i.xlarge": (4, 16384, False, [], 0.214, 0.0802),
    "m8i.large": (2, 8192, False, ["nested-virtualization"], 0.118, 0.0433),
    "c5.metal": (96, 196608, True, [], 4.608, 1.612),
}


def _ids(prefix, n):
    return "%s-%017x" % (prefix, n)


class Ec2(base.Cloud):
    def __init__(self, **kw):
        super().__init__(**kw)
        self.services = {n: ec2_model.Service(n) for n in ec2_model.PROTOCOLS}
        self.keys = {KEY: (SECRET, None)}
        with open(POLICY) as f:
            self.policy = json.load(f)
        self.page = 1000            # items a page, at most
        self.vcpu_quota = 1000
        self.no_capacity = set()    # types
        self.clock = 0              # seconds our clock is ahead
        self.counter = 0
        self.reset()

    def reset(self):
        """An account with nothing in it."""
        self.clear()
        self.blocks = {}            # (snapshot, index): bytes
        self.state = {r: {"instances": {}, "images": {}, "snapshots": {}, "groups": {},
                          "volumes": {}, "tokens": {}} for r in REGIONS}
        for r in REGIONS:
            self.state[r]["groups"]["sg-0default0default00"] = {
                "name": "default", "vpc": "vpc-0default", "about": "default", "tags": [],
                "rules": []}

    @staticmethod
    def settings(url, **more):
        """The settings of the driver that find an emulator at 'url'."""
        out = {"access_key_id": KEY, "secret_access_key": SECRET, "regions": ",".join(REGIONS),
               "retry_ms": 4}
        for name in ec2_model.PROTOCOLS:
            out["endpoint_" + name] = url + "/{region}/" + name
        out.update(more)
        return out

    def config(self, **more):
        return self.settings(self.url, **more)

    def has(self):
        """What costs or clutters now, as {kind: ids}, without what is empty."""
        out = {}
        with self.lock:
            for s in self.state.values():
                for kind in ("instances", "images", "snapshots", "groups", "volumes"):
                    for i, v in s[kind].items():
                        if v.get("state") != "terminated" and v.get("name") != "default":
                            out.setdefault(kind, []).append(i)
        return out

    # -- the server's side --------------------------------------------------------
    def _split(self, q):
        m = re.fullmatch(r"/([a-z0-9-]+)/(ec2|ebs|sts|pricing)(/.*)?", q.path)
        return (m[1], m[2], m[3] or "/") if m else (None, None, None)

    def route(self, q):
        region, service, path = self._split(q)
        if service in ("ec2", "sts"):
            m = re.match(rb"Action=(\w+)", q.body)
            return m.group(1).decode() if m else "?"
        if service == "pricing":
            return q.headers.get("x-amz-target", "?").split(".")[-1]
        return {"POST": "StartSnapshot" if path == "/snapshots" else "CompleteSnapshot",
                "PUT": "PutSnapshotBlock"}.get(q.method, "?") if path else "?"

    def _now(self):
        return (datetime.datetime.utcnow().replace(microsecond=0)
                + datetime.timedelta(seconds=self.clock))

    def _request_id(self):
        self.counter += 1
        return "00000000-0000-4000-8000-%012d" % self.counter

    def _refuse(self, q, status, code, words):
        region, name, path = self._split(q)
        service = self.services[name]
        if name == "ebs":           # Its names for the same things.
            code = {"AuthFailure": "UnrecognizedClientException",
                    "SignatureDoesNotMatch": "InvalidSignatureException",
                    "UnauthorizedOperation": "AccessDeniedException",
                    "ValidationError": "ValidationException",
                    "RequestLimitExceeded": "RequestThrottledException",
                    "RequestExpired": "ExpiredTokenException",
                    "InternalError": "InternalServerException",
                    "Unavailable": "ServiceUnavailableException"}.get(code, code)
        if name in ("sts", "pricing"):
            code = {"AuthFailure": "InvalidClientTokenId",
                    "UnauthorizedOperation": "AccessDeniedException",
                    "RequestLimitExceeded": "ThrottlingException"}.get(code, code)
        headers, body = service.error(Refused(status, code, words), self._request_id())
        if self.clock:
            now = self._now()
            headers["Date"] = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return base.Answer(status, body, headers)

    def throttled(self, q):
        name = self._split(q)[1]
        return self._refuse(q, 400 if name == "ebs" else 503, "RequestLimitExceeded",
                            "Request limit exceeded.")

    def broken(self, q, status):
        return self._refuse(q, status, "InternalError" if status == 500 else "Unavailable",
                            "An error of the emulator's making")

    def expired(self, q):
        return self._refuse(q, 400, "ExpiredToken", "The security token included in the request "
                            "is expired")

    def handle(self, q):
        region, name, path = self._split(q)
        if region is None or (region not in REGIONS):
            return base.Answer(404, "no such endpoint")
        service = self.services[name]
        try:
            ec2_model.check_signature(q, self.url + q.target, self.keys, name, region, self._now())
            action, params = service.parse(q, path)
            method = getattr(self, "do_" + action, None)
            if not method:
                raise Refused(400, "InvalidAction", action + " is not emulated")
            self.region, self.action = region, name + ":" + action
            self.s = self.state[region]
            result = method(params)
        except Refused as e:
            return self._refuse(q, e.status, e.code, e.words)
        status, headers, body = service.serialize(action, result, self._request_id())
        return base.Answer(status, body, headers)

    # -- permissions --------------------------------------------------------------
    def _may(self, tags=None, action=None, create=None):
        """Refuses what the policy does not allow: 'tags' of the resource, 'create' the action
        that makes what is tagged."""
        action = action or self.action
        has = {t["Key"] for t in tags or []}
        for s in self.policy["Statement"]:
            assert s["Effect"] == "Allow" and s["Resource"] == "*", "not emulated"
            if not any(re.fullmatch(a.replace("*", ".*"), action) for a in s["Action"]):
                continue
            good = True
            for test, conditions in s.get("Condition", {}).items():
                for key, value in conditions.items():
                    if test == "Null" and key.startswith("aws:ResourceTag/"):
                        good = good and value == "false" and key.split("/", 1)[1] in has
                    elif test == "StringEquals" and key == "ec2:CreateAction":
                        good = good and create in value
                    else:
                        raise AssertionError("not emulated: " + key)
            if good:
                return
        raise Refused(403, "UnauthorizedOperation",
                      "You are not authorized to perform this operation. User: arn:aws:iam::%s:"
                      "user/supercloud is not authorized to perform: %s because no identity-based "
                      "policy allows the action. Encoded authorization failure message: %s"
                      % (ACCOUNT, action, "QUJD" * 90))

    def _tags(self, p, kind):
        """The tags for resources of 'kind', and the right to set them."""
        out = []
        for spec in p.get("TagSpecifications", []):
            self._may(action="ec2:CreateTags", create=self.action.split(":")[1])
            if spec["ResourceType"] == kind:
                out += spec["Tags"]
        if len({t["Key"] for t in out}) != len(out):
            raise Refused(400, "InvalidParameterValue", "Duplicate tag key")
        return out

    # -- small things -------------------------------------------------------------
    def _new(self, prefix):
        self.counter += 1
        return _ids(prefix, self.counter)

    def _page(self, p, items, key):
        start = int(base64.b64decode(p["NextToken"])) if p.get("NextToken") else 0
        size = min(self.page, p.get("MaxResults", self.page))
        out = {key: items[start:start + size]}
        if start + size < len(items):
            out["NextToken"] = base64.b64encode(b"%d" % (start + size)).decode()
        return out

    @staticmethod
    def _filtered(p, items, fields):
        """'items': (values by filter's name, tags, answer); 'fields': the filters there are."""
        out = []
        for values, tags, answer in items:
            good = True
            for f in p.get("Filters", []):
                if f["Name"].startswith("tag:"):
                    have = [t["Value"] for t in tags if t["Key"] == f["Name"][4:]]
                elif f["Name"] in fields:
                    have = values[f["Name"]]
                    have = have if isinstance(have, list) else [have]
                else:
                    raise Refused(400, "InvalidParameterValue",
                                  "The filter '%s' is invalid" % f["Name"])
                good = good and any(v in f["Values"] for v in have)
            if good:
                out.append(answer)
        return out

    def _get(self, kind, key, code, words):
        if key not in self.s[kind]:
            raise Refused(400, code, words % key)
        return self.s[kind][key]

    # -- STS, regions -------------------------------------------------------------
    def do_GetCallerIdentity(self, p):
        return {"UserId": "AIDAEMULATED", "Account": ACCOUNT,
                "Arn": "arn:aws:iam::%s:user/supercloud" % ACCOUNT}

    def do_DescribeRegions(self, p):
        self._may()
        return {"Regions": [{"RegionName": r, "Endpoint": "ec2.%s.amazonaws.com" % r,
                             "OptInStatus": "opt-in-not-required"} for r in REGIONS]}

    # -- snapshots ----------------------------------------------------------------
    def _once(self, action, token, params, make):
        """An idempotency token: the same answer, or a refusal of another request with it."""
        key = action + " " + token
        now = json.dumps({k: v for k, v in params.items()}, sort_keys=True, default=str)
        old = self.s["tokens"].get(key)
        if old:
            if old["params"] != now:
                raise Refused(400, "ConflictException" if action == "StartSnapshot" else
                              "IdempotentParameterMismatch", "the token was used for another "
                              "request")
            return old["id"]
        made = make()
        self.s["tokens"][key] = {"params": now, "id": made}
        return made

    def do_StartSnapshot(self, p):
        self._may()

        def make():
            new = self._new("snap")
            self.s["snapshots"][new] = {
                "status": "pending", "sealed": False, "size": p["VolumeSize"], "looks": 0,
                "blocks": 0, "about": p.get("Description", ""), "at": self._now(),
                "tags": [{"Key": t["Key"], "Value": t["Value"]} for t in p.get("Tags", [])]}
            return new
        snap = self._once("StartSnapshot", p["ClientToken"], p, make)
        s = self.s["snapshots"].get(snap, {"status": "error", "at": self._now()})
        return {"SnapshotId": snap, "OwnerId": ACCOUNT, "Status": s["status"],
                "StartTime": s["at"], "VolumeSize": p["VolumeSize"], "BlockSize": BLOCK}

    def do_PutSnapshotBlock(self, p):
        s = self._get("snapshots", p["SnapshotId"], "ResourceNotFoundException",
                      "The snapshot '%s' does not exist.")
        self._may(s["tags"])
        if p["DataLength"] != BLOCK or len(p["BlockData"]) != BLOCK:
            raise Refused(400, "ValidationException", "a block is 524288 bytes")
        if p["BlockIndex"] * BLOCK >= s["size"] << 30:
            raise Refused(400, "ValidationException", "the block is outside of the volume")
        if s["sealed"]:
            raise Refused(400, "ValidationException", "the snapshot is not pending")
        checksum = ec2_model.b64_sha256(p["BlockData"])
        if p["Checksum"] != checksum or p["ChecksumAlgorithm"] != "SHA256":
            raise Refused(400, "ValidationException", "the checksum is another")
        key = (p["SnapshotId"], p["BlockIndex"])
        s["blocks"] += key not in self.blocks
        self.blocks[key] = p["BlockData"]
        return {"Checksum": checksum, "ChecksumAlgorithm": "SHA256"}

    def do_CompleteSnapshot(self, p):
        import hashlib
        s = self._get("snapshots", p["SnapshotId"], "ResourceNotFoundException",
                      "The snapshot '%s' does not exist.")
        self._may(s["tags"])
        if s["sealed"]:
            raise Refused(400, "ValidationException", "the snapshot is not pending")
        if p["ChangedBlocksCount"] != s["blocks"]:
            raise Refused(400, "ValidationException", "ChangedBlocksCount is %d, not %d"
                          % (p["ChangedBlocksCount"], s["blocks"]))
        if "Checksum" in p:
            index = sorted(i for snap, i in self.blocks if snap == p["SnapshotId"])
            whole = b"".join(hashlib.sha256(self.blocks[p["SnapshotId"], i]).digest()
                             for i in index)
            if (p["Checksum"] != ec2_model.b64_sha256(whole)
                    or p.get("ChecksumAggregationMethod") != "LINEAR"
                    or p.get("ChecksumAlgorithm") != "SHA256"):
                raise Refused(400, "ValidationException", "the aggregated checksum is another")
        s["sealed"] = True
        return {"Status": "pending"}

    def do_DescribeSnapshots(self, p):
        self._may()
        for i in p.get("SnapshotIds", []):
            self._get("snapshots", i, "InvalidSnapshot.NotFound",
                      "The snapshot '%s' does not exist.")
        items = []
        for i, s in self.s["snapshots"].items():
            if p.get("SnapshotIds") and i not in p["SnapshotIds"]:
                continue
            items.append(({"status": s["status"]}, s["tags"],
                          {"SnapshotId": i, "OwnerId": ACCOUNT, "State": s["status"],
                           "StartTime": s["at"], "VolumeSize": s["size"], "Tags": s["tags"],
                           "Description": s["about"], "Encrypted": False}))
            if s["sealed"]:             # Seen once as pending, then completed.
                s["looks"] += 1
                s["status"] = "completed"
        return self._page(p, self._filtered(p, items, ("status",)), "Snapshots")

    def do_DeleteSnapshot(self, p):
        i = p["SnapshotId"]
        s = self._get("snapshots", i, "InvalidSnapshot.NotFound",
                      "The snapshot '%s' does not exist.")
        self._may(s["tags"])
        for a, image in self.s["images"].items():
            if image["snapshot"] == i:
                raise Refused(400, "InvalidSnapshot.InUse",
                              "The snapshot %s is currently in use by %s" % (i, a))
        del self.s["snapshots"][i]
        self.blocks = {k: v for k, v in self.blocks.items() if k[0] != i}
        return {}

    # -- images -------------------------------------------------------------------
    def do_RegisterImage(self, p):
        self._may()
        tags = self._tags(p, "image")
        if not re.fullmatch(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}", p["Name"]):
            raise Refused(400, "InvalidAMIName.Malformed", "AMI names must be between 3 and 128 "
                          "characters long")
        for i, image in self.s["images"].items():
            if image["name"] == p["Name"]:
                raise Refused(400, "InvalidAMIName.Duplicate",
                              "AMI name %s is already in use by AMI %s" % (p["Name"], i))
        disk = p["BlockDeviceMappings"][0]
        snap = self._get("snapshots", disk["Ebs"]["SnapshotId"], "InvalidSnapshot.NotFound",
                         "The snapshot '%s' does not exist.")
        if snap["status"] != "completed":
            raise Refused(400, "InvalidParameterValue", "the snapshot is not completed")
        if p.get("VirtualizationType") != "hvm" or p.get("Architecture") != "x86_64":
            raise Refused(400, "InvalidParameterCombination", "the types of today want hvm x86_64")
        if disk["DeviceName"] != p.get("RootDeviceName"):
            raise Refused(400, "InvalidBlockDeviceMapping", "no root device")
        new = self._new("ami")
        self.s["images"][new] = {
            "name": p["Name"], "state": "pending", "snapshot": disk["Ebs"]["SnapshotId"],
            "root": p["RootDeviceName"], "boot": p.get("BootMode"), "ena": p.get("EnaSupport"),
            "imds": p.get("ImdsSupport"), "tags": tags, "at": self._now(),
            "size": snap["size"], "owner": ACCOUNT}
        return {"ImageId": new}

    def do_DescribeImages(self, p):
        self._may()
        for i in p.get("ImageIds", []):
            self._get("images", i, "InvalidAMIID.NotFound", "The image id '[%s]' does not exist")
        if p.get("Owners", ["self"]) != ["self"]:
            raise Refused(400, "InvalidParameterValue", "Owner")
        items = []
        for i, image in self.s["images"].items():
            if p.get("ImageIds") and i not in p["ImageIds"]:
                continue
            items.append(({"name": image["name"], "state": image["state"]}, image["tags"], {
                "ImageId": i, "Name": image["name"], "State": image["state"], "OwnerId": ACCOUNT,
                "Architecture": "x86_64", "VirtualizationType": "hvm", "Tags": image["tags"],
                "CreationDate": image["at"].strftime("%Y-%m-%dT%H:%M:%S.000Z"), "Public": False,
                "EnaSupport": bool(image["ena"]), "RootDeviceName": image["root"],
                "RootDeviceType": "ebs", "BlockDeviceMappings": [
                    {"DeviceName": image["root"], "Ebs": {"SnapshotId": image["snapshot"],
                                                          "VolumeSize": image["size"],
                                                          "DeleteOnTermination": True}}]}))
            image["state"] = "available"
        return {"Images": self._filtered(p, items, ("name", "state"))}

    def do_DeregisterImage(self, p):
        image = self._get("images", p["ImageId"], "InvalidAMIID.NotFound",
                          "The image id '[%s]' does not exist")
        self._may(image["tags"])
        del self.s["images"][p["ImageId"]]
        return {}

    # -- security groups ----------------------------------------------------------
    def do_DescribeSubnets(self, p):
        self._may()
        if p.get("SubnetIds") != ["subnet-0of0vpc2"]:
            raise Refused(400, "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist"
                          % p.get("SubnetIds"))
        return {"Subnets": [{"SubnetId": "subnet-0of0vpc2", "VpcId": "vpc-0second",
                             "AvailabilityZone": self.region + "a"}]}

    def do_CreateSecurityGroup(self, p):
        self._may()
        tags = self._tags(p, "security-group")
        vpc = p.get("VpcId", "vpc-0default")
        for g in self.s["groups"].values():
            if g["name"] == p["GroupName"] and g["vpc"] == vpc:
                raise Refused(400, "InvalidGroup.Duplicate", "The security group '%s' already "
                              "exists for VPC '%s'" % (p["GroupName"], vpc))
        new = self._new("sg")
        self.s["groups"][new] = {"name": p["GroupName"], "about": p["Description"], "vpc": vpc,
                                 "tags": tags, "rules": []}
        return {"GroupId": new, "Tags": tags}

    def do_AuthorizeSecurityGroupIngress(self, p):
        g = self._get("groups", p["GroupId"], "InvalidGroup.NotFound",
                      "The security group '%s' does not exist")
        self._may(g["tags"])
        fresh = []
        for r in p["IpPermissions"]:
            if r in g["rules"] or r in fresh:
                raise Refused(400, "InvalidPermission.Duplicate", "the specified rule already "
                              "exists")
            fresh.append(r)
        g["rules"] += fresh
        return {"Return": True}

    def do_DescribeSecurityGroups(self, p):
        self._may()
        items = [({"group-name": g["name"], "group-id": i, "vpc-id": g["vpc"]}, g["tags"],
                  {"GroupId": i, "GroupName": g["name"], "VpcId": g["vpc"], "OwnerId": ACCOUNT,
                   "Description": g["about"], "Tags": g["tags"], "IpPermissions": g["rules"]})
                 for i, g in self.s["groups"].items()]
        return self._page(p, self._filtered(p, items, ("group-name", "group-id", "vpc-id")),
                          "SecurityGroups")

    def do_DeleteSecurityGroup(self, p):
        g = self._get("groups", p["GroupId"], "InvalidGroup.NotFound",
                      "The security group '%s' does not exist")
        self._may(g["tags"])
        for i in self.s["instances"].values():
            if p["GroupId"] in i["groups"] and i["state"] != "terminated":
                raise Refused(400, "DependencyViolation", "resource %s has a dependent object"
                              % p["GroupId"])
        del self.s["groups"][p["GroupId"]]
        return {}

    # -- instances ----------------------------------------------------------------
    def do_RunInstances(self, p):
        self._may()
        tags, volume_tags = self._tags(p, "instance"), self._tags(p, "volume")
        image = self._get("images", p["ImageId"], "InvalidAMIID.NotFound",
                          "The image id '[%s]' does not exist")
        kind = p["InstanceType"]
        if kind not in TYPES:
            raise Refused(400, "InvalidParameterValue",
                          "Invalid value '%s' for InstanceType." % kind)
        data = base64.b64decode(p.get("UserData", ""), validate=True)
        if len(data) > 16384:
            raise Refused(400, "InvalidParameterValue", "User data is limited to 16384 bytes")
        if p.get("MetadataOptions", {}).get("HttpTokens") != "required":
            raise Refused(400, "InvalidParameterValue", "this account wants IMDSv2")
        nets = p.get("NetworkInterfaces", [])
        if nets and (p.get("SecurityGroupIds") or p.get("SubnetId")):
            raise Refused(400, "InvalidParameterCombination", "Network interfaces and an "
                          "instance-level security groups may not be specified on the same "
                          "request")
        groups = (nets[0].get("Groups") if nets else p.get("SecurityGroupIds")) or [
            "sg-0default0default00"]
        for g in groups:
            self._get("groups", g, "InvalidGroup.NotFound", "The security group '%s' does not "
                      "exist")
        zone = p.get("Placement", {}).get("AvailabilityZone", self.region + "a")
        if zone not in (self.region + "a", self.region + "b"):
            raise Refused(400, "InvalidParameterValue", "Invalid availability zone: [%s]" % zone)
        for d in p.get("BlockDeviceMappings", []):
            if d["DeviceName"] != image["root"] or d["Ebs"]["VolumeSize"] < image["size"]:
                raise Refused(400, "InvalidBlockDeviceMapping", "Volume of size %s is smaller than "
                              "snapshot" % d["Ebs"].get("VolumeSize"))
        spot = p.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
        limit = p.get("InstanceMarketOptions", {}).get("SpotOptions", {}).get("MaxPrice")
        if spot and limit is not None and float(limit) < TYPES[kind][5]:
            raise Refused(400, "SpotMaxPriceTooLow", "Your Spot request price of %s is lower than "
                          "the minimum required Spot request fulfillment price of %s."
                          % (limit, TYPES[kind][5]))
        used = sum(TYPES[i["type"]][0] for i in self.s["instances"].values()
                   if i["state"] in ("pending", "running"))

        def make():
            if kind in self.no_capacity:
                raise Refused(500, "InsufficientInstanceCapacity", "We currently do not have "
                              "sufficient %s capacity in the Availability Zone you requested (%s)."
                              % (kind, zone))
            if used + TYPES[kind][0] > self.vcpu_quota:
                raise Refused(400, "VcpuLimitExceeded", "You have requested more vCPU capacity "
                              "than your current vCPU limit of %d allows for the instance bucket "
                              "that the specified instance type belongs to." % self.vcpu_quota)
            new, volume = self._new("i"), self._new("vol")
            n = self.counter % 250
            public = bool(nets and nets[0].get("AssociatePublicIpAddress"))
            self.s["instances"][new] = {
                "image": p["ImageId"], "type": kind, "state": "pending", "tags": tags,
                "groups": groups, "zone": zone, "at": self._now(), "spot": spot,
                "user_data": p.get("UserData", ""), "volume": volume,
                "console": b"",
                "private": "172.31.0.%d" % n, "public": "198.51.100.%d" % n if public else None,
                "metadata": p["MetadataOptions"], "subnet": p.get("SubnetId") or (
                    nets[0].get("SubnetId") if nets else None),
                "nested": p.get("CpuOptions", {}).get("NestedVirtualization")}
            self.s["volumes"][volume] = {
                "tags": volume_tags, "instance": new, "zone": zone, "at": self._now(),
                "size": p["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]
                if p.get("BlockDeviceMappings") else image["size"]}
            return new
        i = self._once("RunInstances", p.get("ClientToken", self._new("none")), p, make)
        return {"ReservationId": "r-" + i[2:], "OwnerId": ACCOUNT,
                "Instances": [self._instance(i)]}

    def _instance(self, key):
        i = self.s["instances"][key]
        out = {"InstanceId": key, "ImageId": i["image"], "InstanceType": i["type"],
               "LaunchTime": i["at"], "State": {"Code": 16, "Name": i["state"]},
               "Placement": {"AvailabilityZone": i["zone"]}, "Tags": i["tags"],
               "SecurityGroups": [{"GroupId": g} for g in i["groups"]],
               "Architecture": "x86_64", "VirtualizationType": "hvm"}
        if i["state"] != "terminated":
            out["PrivateIpAddress"] = i["private"]
            if i["public"] and i["state"] == "running":
                out["PublicIpAddress"] = i["public"]
        if i["spot"]:
            out["InstanceLifecycle"] = "spot"
        return out

    def _step(self, key):
        """What a look at an instance finds the next time."""
        i = self.s["instances"][key]
        i["state"] = {"pending": "running", "stopping": "stopped",
                      "shutting-down": "terminated"}.get(i["state"], i["state"])
        if i["state"] == "terminated":
            self.s["volumes"].pop(i["volume"], None)

    def do_DescribeInstances(self, p):
        self._may()
        if p.get("InstanceIds") and "MaxResults" in p:
            raise Refused(400, "InvalidParameterCombination", "The parameter instancesSet cannot "
                          "be used with the parameter maxResults")
        for i in p.get("InstanceIds", []):
            self._get("instances", i, "InvalidInstanceID.NotFound",
                      "The instance ID '%s' does not exist")
        items = []
        for i in list(self.s["instances"]):
            if not p.get("InstanceIds") or i in p["InstanceIds"]:
                one = self._instance(i)
                items.append(({"instance-state-name": one["State"]["Name"]}, one["Tags"],
                              {"ReservationId": "r-" + i[2:], "OwnerId": ACCOUNT,
                               "Instances": [one]}))
                self._step(i)
        return self._page(p, self._filtered(p, items, ("instance-state-name",)), "Reservations")

    def _change(self, p, key, good, to, key_name):
        out = []
        for i in p["InstanceIds"]:
            one = self._get("instances", i, "InvalidInstanceID.NotFound",
                            "The instance ID '%s' does not exist")
            self._may(one["tags"])
            if one["state"] not in good:
                raise Refused(400, "IncorrectInstanceState", "The instance '%s' is not in a state "
                              "from which it can be %s." % (i, key))
            before = one["state"]
            one["state"] = to if before not in (to, "terminated", "stopped") else before
            if to == "shutting-down" and before == "stopped":
                one["state"] = to
            out.append({"InstanceId": i, "PreviousState": {"Code": 0, "Name": before},
                        "CurrentState": {"Code": 0, "Name": one["state"]}})
        return {key_name: out}

    def do_StopInstances(self, p):
        for i in p["InstanceIds"]:
            if i in self.s["instances"] and self.s["instances"][i]["spot"]:
                raise Refused(400, "UnsupportedOperation", "You can't stop the Spot Instance '%s' "
                              "because it is associated with a one-time Spot Instance request. You "
                              "can only stop Spot Instances associated with persistent Spot "
                              "Instance requests." % i)
        return self._change(p, "stopped", ("pending", "running", "stopping", "stopped"),
                            "stopping", "StoppingInstances")

    def do_TerminateInstances(self, p):
        return self._change(p, "terminated", ("pending", "running", "stopping", "stopped",
                                              "shutting-down", "terminated"),
                            "shutting-down", "TerminatingInstances")

    def do_GetConsoleOutput(self, p):
        i = self._get("instances", p["InstanceId"], "InvalidInstanceID.NotFound",
                      "The instance ID '%s' does not exist")
        self._may(i["tags"])
        if p.get("Latest") and i["type"].startswith("t2."):
            raise Refused(400, "UnsupportedOperation", "This instance type does not support "
                          "retrieving the latest console logs. You can only retrieve the latest "
                          "console logs for Nitro-based instances.")
        text = i["console"][-65536:] if p.get("Latest") or i["type"].startswith("t2.") else b""
        return {"InstanceId": p["InstanceId"], "Timestamp": self._now(),
                "Output": base64.encodebytes(text).decode()}

    # -- volumes, types, prices ---------------------------------------------------
    def do_DescribeVolumes(self, p):
        self._may()
        items = [({"status": "in-use" if v["instance"] else "available"}, v["tags"],
                  {"VolumeId": i, "Size": v["size"], "State": "in-use" if v["instance"] else
                   "available", "CreateTime": v["at"], "AvailabilityZone": v["zone"],
                   "Tags": v["tags"]}) for i, v in self.s["volumes"].items()]
        return self._page(p, self._filtered(p, items, ("status",)), "Volumes")

    def do_DeleteVolume(self, p):
        v = self._get("volumes", p["VolumeId"], "InvalidVolume.NotFound",
                      "The volume '%s' does not exist.")
        self._may(v["tags"])
        if v["instance"]:
            raise Refused(400, "VolumeInUse", "Volume is currently attached")
        del self.s["volumes"][p["VolumeId"]]
        return {}

    def do_DescribeInstanceTypes(self, p):
        self._may()
        hypervisor = {n: {} if t[2] else {"Hypervisor": "xen" if n.startswith("t2") else "nitro"}
                      for n, t in TYPES.items()}
        items = [({"processor-info.supported-architecture": "x86_64",
                   "supported-virtualization-type": "hvm"}, [],
                  {"InstanceType": n, "CurrentGeneration": True, "BareMetal": t[2], **hypervisor[n],
                   "VCpuInfo": {"DefaultVCpus": t[0]}, "MemoryInfo": {"SizeInMiB": t[1]},
                   "ProcessorInfo": {"SupportedArchitectures": ["x86_64"],
                                     "SupportedFeatures": t[3]}}) for n, t in TYPES.items()]
        found = self._filtered(p, items, ("processor-info.supported-architecture",
                                          "supported-virtualization-type"))
        return self._page(p, found, "InstanceTypes")

    def do_DescribeSpotPriceHistory(self, p):
        self._may()
        if p.get("ProductDescriptions") != ["Linux/UNIX"] or "StartTime" not in p:
            raise Refused(400, "InvalidParameterValue", "this emulator keeps the present price of "
                          "Linux/UNIX alone")
        items = [{"AvailabilityZone": self.region + z, "InstanceType": n,
                  "ProductDescription": "Linux/UNIX", "SpotPrice": "%.6f" % (t[5] * f),
                  "Timestamp": self._now()}
                 for n, t in TYPES.items() for z, f in (("a", 1), ("b", 1.1))
                 if n in p.get("InstanceTypes", [n])]
        return self._page(p, items, "SpotPriceHistory")

    def _product(self, attributes, tiers, unit):
        return json.dumps({
            "product": {"attributes": attributes, "sku": "EMULATED"},
            "terms": {"OnDemand": {"EMULATED.JRTCKXETXF": {
                "effectiveDate": "2026-11-01T00:00:00Z",
                "priceDimensions": {str(i): {"unit": unit, "beginRange": str(b), "endRange": "Inf",
                                             "pricePerUnit": {"USD": "%.10f" % usd}}
                                    for i, (b, usd) in enumerate(tiers)}}}}})

    def do_GetProducts(self, p):
        self._may()
        want = {f["Field"]: f["Value"] for f in p["Filters"]}
        if p["ServiceCode"] == "AmazonEC2":
            region = want.get("regionCode")
            items = [self._product({"instanceType": n, "regionCode": region,
                                    "operatingSystem": "Linux"}, [(0, t[4])], "Hrs")
                     for n, t in TYPES.items() if n == want.get("instanceType", n)]
            items.append(self._product({"instanceType": "t3.medium"}, [(0, 0)], "Hrs"))
        elif p["ServiceCode"] == "AWSDataTransfer":
            items = [self._product({"transferType": "AWS Outbound"},
                                   [(0, 0), (1, 0.09), (10240, 0.085)], "GB"),
                     self._product({"transferType": "InterRegion Outbound"}, [(0, 0.01)], "GB"),
                     self._product({"transferType": "InterRegion Outbound"}, [(0, 0.02)], "GB"),
                     self._product({"transferType": "AWS Inbound"}, [(0, 0)], "GB")]
        else:
            raise Refused(400, "InvalidParameterException", p["ServiceCode"])
        out = self._page(p, items, "PriceList")
        out["FormatVersion"] = "aws_v1"
        return out


if __name__ == "__main__":
    emulator = Ec2(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    base.serve(emulator, emulator.config())
