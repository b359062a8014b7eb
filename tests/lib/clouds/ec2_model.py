"""Amazon's wire formats for the emulator of EC2, by botocore: who signed a request, whether it is
what the service model allows, and answers that botocore's own parsers read back as they were
meant.  The models are those of Debian's python3-botocore (January 2023), with what was added
since and we use (LATER)."""
import base64
import datetime
import hmac
import json
import re
import xml.sax.saxutils

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import botocore.validate

PROTOCOLS = {"ec2": "ec2", "sts": "query", "ebs": "rest-json", "pricing": "json"}


def _later(name, raw):
    """Members of the models of 2024 to 2026 that we use: tags at RegisterImage, nested
    virtualisation; and a type that has it."""
    if name != "ec2":
        return
    shapes = raw["shapes"]
    shapes["RegisterImageRequest"]["members"].setdefault(
        "TagSpecifications", {"shape": "TagSpecificationList", "locationName": "TagSpecification"})
    shapes["CpuOptionsRequest"]["members"].setdefault(
        "NestedVirtualization", {"shape": "NestedVirtualizationSpecification"})
    shapes.setdefault("NestedVirtualizationSpecification",
                      {"type": "string", "enum": ["enabled", "disabled"]})
    shapes["ProcessorInfo"]["members"].setdefault(
        "SupportedFeatures", {"shape": "SupportedFeatureList", "locationName": "supportedFeatures"})
    shapes.setdefault("SupportedFeatureList",
                      {"type": "list", "member": {"shape": "String", "locationName": "item"}})
    if "m8i.large" not in shapes["InstanceType"]["enum"]:
        shapes["InstanceType"]["enum"].append("m8i.large")


class Refused(Exception):
    """An answer that is an error: HTTP status, code, words."""

    def __init__(self, status, code, words):
        super().__init__(code, words)
        self.status, self.code, self.words = status, code, words


class Service:
    """One service's model: parse() a request, serialize() an answer."""

    def __init__(self, name):
        loader = botocore.loaders.Loader()
        raw = loader.load_service_model(name, "service-2")
        _later(name, raw)
        self.name, self.protocol = name, PROTOCOLS[name]
        self.model = botocore.model.ServiceModel(raw, name)
        self.validator = botocore.validate.ParamValidator()
        self.serializer = botocore.serialize.create_serializer(self.protocol, False)
        self.parser = botocore.parsers.create_parser(self.protocol)

    # -- requests -----------------------------------------------------------------
    def parse(self, q, path):
        """(operation's name, its parameters), or Refused."""
        if self.protocol in ("ec2", "query"):
            return self._parse_query(q, path)
        if self.protocol == "json":
            return self._parse_json(q)
        return self._parse_rest(q, path)

    def _check(self, operation, params):
        report = self.validator.validate(params, operation.input_shape)
        if report.has_errors():
            raise Refused(400, "ValidationError", report.generate_report())

    def _parse_query(self, q, path):
        from urllib.parse import parse_qsl
        if q.method != "POST" or path != "/":
            raise Refused(400, "InvalidRequest", "this emulator takes POST / alone")
        if not q.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise Refused(400, "InvalidRequest", "Content-Type is not a form's")
        try:
            pairs = parse_qsl(q.body.decode(), keep_blank_values=True, strict_parsing=True)
        except ValueError as e:
            raise Refused(400, "MalformedQueryString", str(e))
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise Refused(400, "InvalidRequest", "a parameter is given twice")
        action, version = fields.pop("Action", ""), fields.pop("Version", "")
        if version != self.model.api_version:
            raise Refused(400, "NoSuchVersion", version)
        if action not in self.model.operation_names:
            raise Refused(400, "InvalidAction", action)
        operation = self.model.operation_model(action)
        tree = {}
        for key, value in fields.items():
            at = tree
            parts = key.split(".")
            for part in parts[:-1]:
                at = at.setdefault(part, {})
            at[parts[-1]] = value
        params = {}
        if operation.input_shape is not None:
            params = self._take(tree, operation.input_shape, "")
            self._check(operation, params)
        elif tree:
            raise Refused(400, "UnknownParameter", str(sorted(tree)))
        again = self.serializer.serialize_to_request(dict(params), operation)["body"]
        again = {k: str(v) for k, v in again.items() if k not in ("Action", "Version")}
        if again != fields:
            raise Refused(400, "InvalidParameter", "botocore would have sent it as %r" % again)
        return action, params

    def _take(self, value, shape, where):
        kind = shape.type_name
        if kind == "structure":
            if not isinstance(value, dict):
                raise Refused(400, "InvalidParameter", "%s is a structure" % where)
            names = {self._name(m, k): k for k, m in shape.members.items()}
            out = {}
            for key, v in value.items():
                if key not in names:
                    raise Refused(400, "UnknownParameter",
                                  "The parameter %s%s is not recognized" % (where, key))
                out[names[key]] = self._take(v, shape.members[names[key]], "%s%s." % (where, key))
            return out
        if kind == "list":
            if not isinstance(value, dict) or set(value) != {str(i + 1) for i in range(len(value))}:
                raise Refused(400, "InvalidParameter", "%s is not a list from 1" % where)
            return [self._take(value[str(i + 1)], shape.member, "%s%d." % (where, i + 1))
                    for i in range(len(value))]
        if not isinstance(value, str):
            raise Refused(400, "InvalidParameter", "%s is not a structure" % where)
        return self._scalar(value, shape, where.rstrip("."))

    def _name(self, shape, default):
        """As botocore's serialisers name a member in a query."""
        if self.protocol == "ec2":
            s = shape.serialization
            name = s.get("queryName") or s.get("name")
            return name[0].upper() + name[1:] if name else default
        return shape.serialization.get("name", default)

    @staticmethod
    def _scalar(value, shape, where):
        kind = shape.type_name
        bad = Refused(400, "InvalidParameterValue", "%s: '%s' is not a %s" % (where, value, kind))
        if kind in ("integer", "long"):
            if not re.fullmatch(r"-?\d+", value):
                raise bad
            return int(value)
        if kind in ("double", "float"):
            return float(value)
        if kind == "boolean":
            if value not in ("true", "false"):
                raise bad
            return value == "true"
        if kind == "timestamp":
            try:
                return datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
            except ValueError:
                raise bad
        enum = getattr(shape, "enum", None)
        if enum and value not in enum:
            raise Refused(400, "InvalidParameterValue",
                          "Invalid value '%s' for %s." % (value, where.split(".")[-1]))
        return value

    def _parse_json(self, q):
        target = q.headers.get("x-amz-target", "").split(".")
        if (q.method != "POST" or target[0] != self.model.metadata["targetPrefix"]
                or target[-1] not in self.model.operation_names
                or q.headers.get("content-type") != "application/x-amz-json-1.1"):
            raise Refused(400, "UnknownOperationException", ".".join(target))
        operation = self.model.operation_model(target[-1])
        params = q.json()
        self._known(params, operation.input_shape, "")
        self._check(operation, params)
        return operation.name, params

    def _known(self, value, shape, where):
        if shape.type_name == "structure":
            if not isinstance(value, dict):
                raise Refused(400, "SerializationException", "%s is not an object" % where)
            for key, v in value.items():
                if key not in shape.members:
                    raise Refused(400, "ValidationException", "unknown member %s%s" % (where, key))
                self._known(v, shape.members[key], where + key + ".")
        elif shape.type_name == "list":
            for v in value if isinstance(value, list) else []:
                self._known(v, shape.member, where)

    def _parse_rest(self, q, path):
        for name in self.model.operation_names:
            operation = self.model.operation_model(name)
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.http["requestUri"])
            m = re.fullmatch(pattern, path)
            if m and operation.http["method"] == q.method:
                return name, self._rest_params(q, operation, m.groupdict())
        raise Refused(404, "UnknownOperationException", "%s %s" % (q.method, path))

    def _rest_params(self, q, operation, uri):
        shape = operation.input_shape
        payload = shape.serialization.get("payload")
        params, known = {}, set()
        for key, member in shape.members.items():
            place = member.serialization.get("location")
            wire = member.serialization.get("name", key)
            if place == "uri":
                value = uri[wire]
            elif place == "header":
                known.add(wire.lower())
                value = q.headers.get(wire.lower())
            elif key == payload:
                value = q.body
            else:
                continue
            if value is not None:
                params[key] = (value if isinstance(value, bytes)
                               else self._scalar(value, member, key))
        strange = [h for h in q.headers if h.startswith("x-amz-") and h not in known
                   and h not in ("x-amz-date", "x-amz-security-token", "x-amz-content-sha256")]
        if strange or q.pairs:
            raise Refused(400, "ValidationException", "unknown: %r" % (strange or q.pairs))
        if not payload and q.body:
            body = q.json()
            self._known(body, shape, "")
            params.update(body)
        self._check(operation, params)
        return params

    # -- answers ------------------------------------------------------------------
    def serialize(self, action, result, request_id):
        """(status, headers, body); raises AssertionError if botocore reads another thing."""
        operation = self.model.operation_model(action)
        shape = operation.output_shape
        headers = {"x-amzn-requestid": request_id}
        status = operation.http.get("responseCode", 200)
        if self.protocol in ("ec2", "query"):
            inner = self._xml(result, shape) if shape else "<return>true</return>"
            wrapper = shape.serialization.get("resultWrapper") if shape else None
            if wrapper:
                inner = "<%s>%s</%s>" % (wrapper, inner, wrapper)
            rid = ("<requestId>%s</requestId>" % request_id if self.protocol == "ec2" else
                   "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata>" % request_id)
            text = '<?xml version="1.0" encoding="UTF-8"?>\n<%sResponse xmlns="%s">%s</%sResponse>'
            inner = inner + rid if self.protocol == "query" else rid + inner
            body = text % (action, self.model.metadata["xmlNamespace"], inner, action)
            headers["Content-Type"] = "text/xml;charset=UTF-8"
        else:
            wire = dict(result)
            for key, value in result.items():
                member = shape.members[key].serialization
                if member.get("location") == "header":
                    headers[member["name"]] = wire.pop(key)
                if isinstance(value, datetime.datetime):
                    wire[key] = value.replace(tzinfo=datetime.timezone.utc).timestamp()
            body = json.dumps(wire)
            headers["Content-Type"] = "application/json"
        body = body.encode()
        if shape:
            self._read_back(result, shape, status, headers, body)
        return status, headers, body

    def _read_back(self, result, shape, status, headers, body):
        parsed = self.parser.parse({"status_code": status, "headers": dict(headers), "body": body},
                                   shape)
        parsed.pop("ResponseMetadata", None)
        assert _plain(parsed) == _plain(result), "botocore reads %r for %r" % (parsed, result)

    def _xml(self, value, shape):
        kind = shape.type_name
        if kind == "structure":
            out = []
            for key, v in value.items():
                member = shape.members[key]
                name = member.serialization.get("name", key)
                out.append("<%s>%s</%s>" % (name, self._xml(v, member), name))
            return "".join(out)
        if kind == "list":
            name = shape.member.serialization.get("name", "member")
            return "".join("<%s>%s</%s>" % (name, self._xml(v, shape.member), name) for v in value)
        if kind == "boolean":
            return "true" if value else "false"
        if kind == "timestamp":
            return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return xml.sax.saxutils.escape(str(value))

    def error(self, e, request_id):
        """The service's own form of a refusal, which botocore reads as such."""
        headers = {"x-amzn-requestid": request_id}
        if self.protocol == "ec2":
            body = ('<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>%s'
                    '</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID>'
                    '</Response>')
        elif self.protocol == "query":
            body = ('<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
                    '<Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>'
                    '<RequestId>%s</RequestId></ErrorResponse>')
        elif self.protocol == "json":
            body = json.dumps({"__type": e.code, "message": e.words}).encode()
        else:
            headers["x-amzn-errortype"] = e.code + ":http://internal.amazon.com/coral/"
            body = json.dumps({"Message": e.words}).encode()
        if isinstance(body, str):
            body = (body % (e.code, xml.sax.saxutils.escape(e.words), request_id)).encode()
        parsed = self.parser.parse({"status_code": e.status, "headers": dict(headers),
                                    "body": body}, None)
        assert parsed["Error"]["Code"] == e.code, parsed
        return headers, body


def _plain(v):
    """For comparing: times without zone, empty lists and absent ones alike."""
    if isinstance(v, dict):
        return {k: _plain(x) for k, x in v.items() if x not in ([], None)}
    if isinstance(v, list):
        return [_plain(x) for x in v]
    if isinstance(v, datetime.datetime):
        return v.replace(tzinfo=None, microsecond=0)
    return v


def check_signature(q, url, keys, service, region, now):
    """'keys': {access key id: (secret, session token or None)}.  The access key id, or Refused in
    the words of EC2.  The signature is made again by botocore from the request as it came."""
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
                     r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
                     q.headers.get("authorization", ""))
    when = q.headers.get("x-amz-date", "")
    if not m or not re.fullmatch(r"\d{8}T\d{6}Z", when):
        raise Refused(401, "AuthFailure", "AWS was not able to validate the provided access "
                      "credentials")
    key, day, scope_region, scope_service, signed, signature = m.groups()
    if key not in keys:
        raise Refused(401, "AuthFailure", "AWS was not able to validate the provided access "
                      "credentials")
    if (day, scope_region, scope_service) != (when[:8], region, service):
        raise Refused(403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region "
                      "and service: %s/%s" % (region, service))
    at = datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ")
    if abs((at - now).total_seconds()) > 900:
        raise Refused(400, "RequestExpired", "Request has expired. Signature expired or not yet "
                      "current")
    names = signed.split(";")
    must = {"host", "x-amz-date"} | {h for h in q.headers if h.startswith("x-amz-")}
    if names != sorted(names) or not must <= set(names):
        raise Refused(403, "SignatureDoesNotMatch", "headers that must be signed are not: %s"
                      % sorted(must - set(names)))
    secret, token = keys[key]
    if q.headers.get("x-amz-security-token") != token:
        raise Refused(403, "InvalidClientTokenId", "The security token included in the request is "
                      "invalid")
    hashed = q.headers.get("x-amz-content-sha256")
    if hashed and hashed != "UNSIGNED-PAYLOAD":
        raise Refused(403, "SignatureDoesNotMatch", "x-amz-content-sha256 is not what we expect")
    request = botocore.awsrequest.AWSRequest(method=q.method, url=url, data=q.body)
    for name in names:
        request.headers[name] = q.headers.get(name, "")
    request.context["timestamp"] = when
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, secret, token), service,
                                     region)
    want = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)),
                            request)
    if not hmac.compare_digest(want, signature):
        raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not "
                      "match the signature you provided")
    return key


def b64_sha256(data):
    import hashlib
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
