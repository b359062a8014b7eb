#!/usr/bin/python3
"""The emulator of EC2 is as strict as it says: botocore's own client works with it, and a request
that botocore would not have sent, or not signed so, is refused.  Prints TAP."""
import datetime
import hashlib
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib/clouds"))
import base                                            # noqa: E402
import ec2                                             # noqa: E402
import ec2_model                                       # noqa: E402

import botocore.auth                                   # noqa: E402
import botocore.awsrequest                             # noqa: E402
import botocore.credentials                            # noqa: E402
import botocore.exceptions                             # noqa: E402
import botocore.session                                # noqa: E402

tap = base.Tap()
cloud = ec2.Ec2()


def client(service, secret=ec2.SECRET):
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    return botocore.session.get_session().create_client(
        service, region_name="eu-west-1", aws_access_key_id=ec2.KEY, aws_secret_access_key=secret,
        endpoint_url="%s/eu-west-1/%s" % (cloud.url, service))


def by_botocore():
    tap.ok(client("sts").get_caller_identity()["Account"] == ec2.ACCOUNT, "STS")
    ebs, api = client("ebs"), client("ec2")
    data = os.urandom(ec2.BLOCK)
    snap = ebs.start_snapshot(VolumeSize=1, ClientToken="t", Tags=[
        {"Key": "supercloud:cluster", "Value": "c"}])["SnapshotId"]
    ebs.put_snapshot_block(SnapshotId=snap, BlockIndex=3, BlockData=data, DataLength=len(data),
                           Checksum=ec2_model.b64_sha256(data), ChecksumAlgorithm="SHA256")
    whole = ec2_model.b64_sha256(hashlib.sha256(data).digest())
    ebs.complete_snapshot(SnapshotId=snap, ChangedBlocksCount=1, Checksum=whole,
                          ChecksumAlgorithm="SHA256", ChecksumAggregationMethod="LINEAR")
    states = [api.describe_snapshots(SnapshotIds=[snap])["Snapshots"][0]["State"] for _ in "12"]
    tap.ok(states == ["pending", "completed"], "a snapshot by the EBS direct APIs", states)
    ami = api.register_image(Name="an image", Architecture="x86_64", VirtualizationType="hvm",
                             RootDeviceName="/dev/xvda", BlockDeviceMappings=[
                                 {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snap}}])
    out = api.run_instances(ImageId=ami["ImageId"], InstanceType="m5.large", MinCount=1, MaxCount=1,
                            UserData="hello", MetadataOptions={"HttpTokens": "required"},
                            TagSpecifications=[{"ResourceType": "instance", "Tags": [
                                {"Key": "supercloud:cluster", "Value": "c"}]}])
    new = out["Instances"][0]["InstanceId"]
    cloud.page = 1
    pages = list(api.get_paginator("describe_instance_types").paginate())
    tap.ok(len(pages) == len(ec2.TYPES), "pages", len(pages))
    cloud.page = 1000
    tap.ok([i["InstanceId"] for r in api.describe_instances()["Reservations"]
            for i in r["Instances"]] == [new], "an instance")
    tap.ok(client("pricing").get_products(ServiceCode="AmazonEC2", Filters=[
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-west-1"}])["PriceList"],
        "the price list")


def refused_by_botocore(what, code, fn):
    try:
        out = fn()
    except botocore.exceptions.ClientError as e:
        out = e.response["Error"]["Code"]
    tap.ok(out == code, "%s: %s" % (what, code), out)


def send(service, body, change=None, at=None, method="POST", path="/", headers=None):
    """One signed request; 'change' alters it after the signature.  Its status and body."""
    url = "%s/eu-west-1/%s%s" % (cloud.url, service, path)
    r = botocore.awsrequest.AWSRequest(method=method, url=url, data=body.encode())
    r.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    for k, v in (headers or {}).items():
        r.headers[k] = v
    when = (at or datetime.datetime.utcnow()).strftime("%Y%m%dT%H%M%SZ")
    r.headers["X-Amz-Date"] = r.context["timestamp"] = when
    a = botocore.auth.SigV4Auth(botocore.credentials.Credentials(ec2.KEY, ec2.SECRET), service,
                                "eu-west-1")
    text = a.string_to_sign(r, a.canonical_request(r))
    signed = ";".join(sorted({k.lower() for k in r.headers} | {"host"}))
    r.headers["Authorization"] = (
        "AWS4-HMAC-SHA256 Credential=%s/%s/eu-west-1/%s/aws4_request, SignedHeaders=%s, "
        "Signature=%s" % (ec2.KEY, when[:8], service, signed, a.signature(text, r)))
    q = {"url": url, "body": body, "headers": dict(r.headers)}
    if change:
        change(q)
    try:
        with urllib.request.urlopen(urllib.request.Request(
                q["url"], q["body"].encode(), q["headers"], method=method), timeout=10) as f:
            return f.status, f.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


EC2 = "Action=%s&Version=2016-11-15"
REFUSED = [
    ("no signature", EC2 % "DescribeRegions", "AuthFailure",
     lambda q: q["headers"].pop("Authorization")),
    ("a body changed after it was signed", EC2 % "DescribeRegions", "SignatureDoesNotMatch",
     lambda q: q.update(body=q["body"] + "&DryRun=true")),
    ("a header changed after it was signed", EC2 % "DescribeRegions", "SignatureDoesNotMatch",
     lambda q: q["headers"].update({"Content-Type": "application/x-www-form-urlencoded"})),
    ("a header of Amazon's that is not signed", EC2 % "DescribeRegions", "SignatureDoesNotMatch",
     lambda q: q["headers"].update({"X-Amz-Target": "x"})),
    ("another region's signature", EC2 % "DescribeRegions", "SignatureDoesNotMatch",
     lambda q: q.update(url=q["url"].replace("eu-west-1", "us-east-1"))),
    ("an unknown action", EC2 % "DescribeMoon", "InvalidAction", None),
    ("another version", "Action=DescribeRegions&Version=2010-01-01", "NoSuchVersion", None),
    ("an unknown parameter", EC2 % "DescribeRegions" + "&Moon=1", "UnknownParameter", None),
    ("a word for a number", EC2 % "DescribeInstances" + "&MaxResults=many",
     "InvalidParameterValue", None),
    ("a word for a truth", EC2 % "DescribeRegions" + "&DryRun=yes", "InvalidParameterValue", None),
    ("a list from 0", EC2 % "DescribeInstances" + "&InstanceId.0=i-1", "InvalidParameter", None),
    ("a missing parameter", EC2 % "TerminateInstances", "ValidationError", None),
    ("a parameter twice", EC2 % "DescribeRegions" + "&DryRun=true&DryRun=true", "InvalidRequest",
     None),
    ("an unknown filter", EC2 % "DescribeVolumes" + "&Filter.1.Name=moon&Filter.1.Value.1=x",
     "InvalidParameterValue", None),
    ("a value that is not in the list", EC2 % "RunInstances" + "&MinCount=1&MaxCount=1&InstanceType"
     "=x9.huge", "InvalidParameterValue", None),
]


def main():
    with cloud:
        by_botocore()
        status, text = send("ec2", EC2 % "DescribeRegions")
        tap.ok(status == 200 and "us-east-1" in text, "a request as it should be is answered", text)
        for name, body, code, change in REFUSED:
            status, text = send("ec2", body, change)
            tap.ok(status >= 400 and "<Code>%s</Code>" % code in text, "refused: " + name, text)
        old = datetime.datetime.utcnow() - datetime.timedelta(hours=1)
        status, text = send("ec2", EC2 % "DescribeRegions", at=old)
        tap.ok("RequestExpired" in text, "refused: a signature of an hour ago", text)
        refused_by_botocore("a wrong secret", "SignatureDoesNotMatch",
                            client("ec2", "wrong").describe_regions)
        refused_by_botocore("a wrong secret at EBS", "InvalidSignatureException",
                            lambda: client("ebs", "wrong").start_snapshot(VolumeSize=1,
                                                                          ClientToken="x"))
        refused_by_botocore("a snapshot without our tag may not be changed",
                            "AccessDeniedException", put_untagged)
        tap.ok(not cloud.crashes, "no crash", "\n".join(cloud.crashes))
    return tap.done()


def put_untagged():
    ebs = client("ebs")
    snap = ebs.start_snapshot(VolumeSize=1, ClientToken="u")["SnapshotId"]
    data = bytes(ec2.BLOCK)
    return ebs.put_snapshot_block(SnapshotId=snap, BlockIndex=0, BlockData=data,
                                  DataLength=len(data), ChecksumAlgorithm="SHA256",
                                  Checksum=ec2_model.b64_sha256(data))


sys.exit(main())
