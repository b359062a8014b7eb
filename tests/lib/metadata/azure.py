"""azure - Azure's two services: IMDS (169.254.169.254) and the wire server
(168.63.129.16), to which a provisioned machine reports that it is ready.

Notices (IMDS): {"kind": "event", "type": "Preempt"|"Reboot"|"Redeploy"|"Freeze"|
"Terminate", "in_s": 30}, {"kind": "clear"}.  An event that the machine has acknowledged
(POST StartRequests) is started at once, as is one whose time has come.
"""
import base64
import email.utils
import json
import time
import xml.etree.ElementTree as ElementTree

from .web import Answer, Service, json_answer

WIRE_SERVER = "168.63.129.16"
INSTANCE_VERSIONS = ["2017-03-01", "2017-04-02", "2017-08-01", "2017-12-01", "2018-02-01",
                     "2018-04-02", "2018-10-01", "2019-02-01", "2019-03-11", "2019-04-30",
                     "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01",
                     "2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01",
                     "2021-01-01", "2021-02-01", "2021-03-01", "2021-05-01", "2021-08-01",
                     "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13"]
EVENT_VERSIONS = ["2017-03-01", "2017-08-01", "2017-11-01", "2019-01-01", "2019-04-01",
                  "2019-08-01", "2020-07-01"]
EVENT_TYPES = ("Freeze", "Reboot", "Redeploy", "Preempt", "Terminate")
USER_DATA_SINCE = "2021-01-01"
OVF = """<?xml version="1.0" encoding="utf-8"?>
<ns0:Environment xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" \
xmlns:ns1="http://schemas.microsoft.com/windowsazure" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <ns1:ProvisioningSection>
    <ns1:Version>1.0</ns1:Version>
    <ns1:LinuxProvisioningConfigurationSet>
      <ns1:ConfigurationSetType>LinuxProvisioningConfiguration</ns1:ConfigurationSetType>
      <ns1:UserName>supercloud</ns1:UserName>
      <ns1:DisableSshPasswordAuthentication>true</ns1:DisableSshPasswordAuthentication>
      <ns1:HostName>{name}</ns1:HostName>{custom_data}
    </ns1:LinuxProvisioningConfigurationSet>
  </ns1:ProvisioningSection>
  <ns1:PlatformSettingsSection>
    <ns1:Version>1.0</ns1:Version>
    <ns1:PlatformSettings>
      <ns1:KmsServerHostname>azkms.core.windows.net</ns1:KmsServerHostname>
      <ns1:ProvisionGuestAgent>false</ns1:ProvisionGuestAgent>
      <ns1:GuestAgentPackageName xsi:nil="true" />
      <ns1:PreprovisionedVm>false</ns1:PreprovisionedVm>
    </ns1:PlatformSettings>
  </ns1:PlatformSettingsSection>
</ns0:Environment>
"""
GOAL_STATE = """<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xmlns:xsd="http://www.w3.org/2001/XMLSchema" xsi:noNamespaceSchemaLocation="goalstate10.xsd">
  <Version>2012-11-30</Version>
  <Incarnation>{incarnation}</Incarnation>
  <Machine>
    <ExpectedState>Started</ExpectedState>
    <StopRolesDeadlineHint>300000</StopRolesDeadlineHint>
    <LBProbePorts><Port>16001</Port></LBProbePorts>
    <ExpectHealthReport>FALSE</ExpectHealthReport>
  </Machine>
  <Container>
    <ContainerId>{container}</ContainerId>
    <RoleInstanceList>
      <RoleInstance>
        <InstanceId>{role}</InstanceId>
        <State>Started</State>
        <Configuration>
          <HostingEnvironmentConfig>http://{host}/machine/{container}/{role}?comp=config&amp;\
type=hostingEnvironmentConfig&amp;incarnation={incarnation}</HostingEnvironmentConfig>
          <SharedConfig>http://{host}/machine/{container}/{role}?comp=config&amp;\
type=sharedConfig&amp;incarnation={incarnation}</SharedConfig>
        </Configuration>
      </RoleInstance>
    </RoleInstanceList>
  </Container>
</GoalState>
"""


def ovf_env(i):
    """The text of ovf-env.xml on the provisioning CD."""
    data = ""
    if i.user_data:
        data = "\n      <ns1:CustomData>%s</ns1:CustomData>" % base64.b64encode(
            i.user_data).decode()
    return OVF.format(name=i.name, custom_data=data)


class Imds(Service):
    server_name = "IMDS/150.870.65.1324"

    def __init__(self, instance):
        super().__init__(instance)
        self.events = []
        self.incarnation = 1

    def _document(self, version):
        i = self.instance
        compute = {
            "azEnvironment": "AzurePublicCloud", "location": i.region, "name": i.name,
            "offer": "", "osType": "Linux", "placementGroupId": "", "plan":
            {"name": "", "product": "", "publisher": ""}, "platformFaultDomain": "0",
            "platformUpdateDomain": "0", "priority": "Spot", "evictionPolicy": "Delete",
            "provider": "Microsoft.Compute", "publicKeys": [], "publisher": "",
            "resourceGroupName": "supercloud", "resourceId":
            "/subscriptions/%s/resourceGroups/supercloud/providers/Microsoft.Compute/"
            "virtualMachines/%s" % (self._guid("subscription"), i.name),
            "sku": "", "storageProfile": {"dataDisks": [], "osDisk": {
                "createOption": "FromImage", "caching": "ReadWrite", "osType": "Linux",
                "name": i.name + "_OsDisk"}},
            "subscriptionId": self._guid("subscription"), "tags": "", "tagsList": [],
            "version": "", "vmId": i.uuid, "vmScaleSetName": "", "vmSize": i.type, "zone": ""}
        if version >= "2020-09-01":
            compute["osProfile"] = {"adminUsername": "supercloud", "computerName": i.name,
                                    "disablePasswordAuthentication": "true"}
        if version >= USER_DATA_SINCE:
            compute["userData"] = base64.b64encode(i.user_data).decode()
        if version >= "2021-03-01":
            compute["extendedLocation"] = {"type": "", "name": ""}
        return {"compute": compute, "network": {"interface": [{
            "ipv4": {"ipAddress": [{"privateIpAddress": i.address, "publicIpAddress": i.address}],
                     "subnet": [{"address": str(i.network.network_address),
                                 "prefix": str(i.network.prefixlen)}]},
            "ipv6": {"ipAddress": []}, "macAddress": i.mac.replace(":", "").upper()}]}}

    def _guid(self, what):
        h = self.instance.hexa(what, 32)
        return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))

    def answer(self, q):
        if q.headers.get("X-Forwarded-For"):
            return json_answer(400, {"error": "Bad request. X-Forwarded-For is not allowed"})
        if (q.headers.get("Metadata") or "").lower() != "true":
            return json_answer(400, {"error": "Bad request. Required metadata header not "
                                              "specified"})
        parts = [p for p in q.path.split("/") if p]
        if parts[:1] != ["metadata"]:
            return json_answer(404, {"error": "Not found"})
        if parts[1:] == ["versions"]:
            return json_answer(200, {"apiVersions": INSTANCE_VERSIONS})
        if parts[1:2] == ["instance"] and q.method == "GET":
            return self._versioned(q, INSTANCE_VERSIONS) or self._instance(q, parts[2:])
        if parts[1:] == ["scheduledevents"]:
            return self._versioned(q, EVENT_VERSIONS) or self._events(q)
        return json_answer(405 if parts[1:2] == ["instance"] else 404, {"error": "Not found"})

    def _versioned(self, q, versions):
        version = q.query.get("api-version")
        if version in versions:
            return None
        return json_answer(400, {"error": "Bad request. api-version is invalid or was not "
                                          "specified in the request.",
                                 "newest-versions": versions[:-4:-1]})

    def _instance(self, q, parts):
        node = self._document(q.query["api-version"])
        for p in parts:
            if isinstance(node, dict) and p in node:
                node = node[p]
            elif isinstance(node, list) and p.isdigit() and int(p) < len(node):
                node = node[int(p)]
            else:
                return json_answer(404, {"error": "Not found"})
        text = q.query.get("format") == "text"
        if isinstance(node, (dict, list)):
            if text:
                names = node if isinstance(node, dict) else range(len(node))
                return Answer(200, "\n".join(
                    "%s%s" % (k, "/" if isinstance(node[k], (dict, list)) else "") for k in names))
            return json_answer(200, node)
        return Answer(200, node) if text else json_answer(200, node)

    def _pass(self):
        """Started events last two minutes, then the change is made and they go."""
        now = time.time()
        for e in self.events:
            if e["EventStatus"] == "Scheduled" and now >= e["_at"]:
                self._begin(e)
        kept = [e for e in self.events if e["EventStatus"] == "Scheduled" or now < e["_at"] + 120]
        if len(kept) != len(self.events):
            self.incarnation += 1
        self.events = kept

    def _begin(self, e):
        e["EventStatus"], e["NotBefore"] = "Started", ""
        e["_at"] = min(e["_at"], time.time())
        self.incarnation += 1

    def _events(self, q):
        with self.changed:
            self._pass()
            if q.method == "GET":
                # What is "_" is ours.
                return json_answer(200, {"DocumentIncarnation": self.incarnation, "Events": [
                    {k: v for k, v in e.items() if k[0] != "_"} for e in self.events]})
            if q.method != "POST":
                return json_answer(405, {"error": "Method not allowed"})
            try:
                ids = [r["EventId"] for r in json.loads(q.body)["StartRequests"]]
            except (ValueError, KeyError, TypeError):
                return json_answer(400, {"error": "Bad request. StartRequests is malformed"})
            found = [e for e in self.events if e["EventId"] in ids]
            if len(found) != len(ids):
                return json_answer(400, {"error": "Bad request. No such event"})
            for e in found:
                if e["EventStatus"] == "Scheduled":
                    self._begin(e)
            return Answer(200)

    def notice(self, what):
        with self.changed:
            if what["kind"] == "clear":
                self.events = []
            elif what["kind"] == "event":
                kind = what.get("type", "Preempt")
                if kind not in EVENT_TYPES:
                    raise ValueError("type '%s': there are %s" % (kind, ", ".join(EVENT_TYPES)))
                at = time.time() + float(what.get("in_s", 30))
                self.events.append({
                    "EventId": self._guid("event %d" % self.incarnation).upper(),
                    "EventStatus": "Scheduled", "EventType": kind,
                    "ResourceType": "VirtualMachine", "Resources": [self.instance.name],
                    "NotBefore": email.utils.formatdate(at, usegmt=True), "Description":
                    "Emulated event", "EventSource": "Platform",
                    "DurationInSeconds": 9 if kind == "Freeze" else -1, "_at": at})
            else:
                raise ValueError("kind '%s': there are event, clear" % what["kind"])
            self.incarnation += 1


class WireServer(Service):
    server_name = "Microsoft-IIS/10.0"

    def __init__(self, instance):
        super().__init__(instance)
        i = instance
        self.container = i.uuid
        self.role = "_%s_" % i.name
        self.incarnation = "1"
        self.health = []                # (state, substatus, description), as reported
        self.telemetry = 0

    def answer(self, q):
        comp = q.query.get("comp")
        parts = [p for p in q.path.split("/") if p]
        if not parts and comp == "versions":
            return self._xml("<Versions><Preferred><Version>2015-04-05</Version></Preferred>"
                             "<Supported><Version>2015-04-05</Version>"
                             "<Version>2012-11-30</Version></Supported></Versions>")
        if parts[:1] != ["machine"]:
            return self._error(404, "The resource does not exist")
        if not q.headers.get("x-ms-version"):
            return self._error(400, "The header x-ms-version is missing")
        if q.method == "GET" and comp == "goalstate" and len(parts) == 1:
            return self._xml(GOAL_STATE.format(
                incarnation=self.incarnation, container=self.container, role=self.role,
                host=WIRE_SERVER), whole=True)
        if q.method == "GET" and comp == "config" and parts[1:] == [self.container, self.role]:
            kind = q.query.get("type")
            if kind == "sharedConfig":
                return self._xml('<SharedConfig version="1.0.0.0"><Deployment name="%s"/>'
                                 '</SharedConfig>' % self.instance.hexa("deployment", 32))
            if kind == "hostingEnvironmentConfig":
                return self._xml('<HostingEnvironmentConfig version="1.0.0.0">'
                                 '<Role guid="%s" name="%s"/></HostingEnvironmentConfig>'
                                 % (self.container, self.role))
        if q.method == "POST" and comp == "health":
            return self._report(q)
        if q.method == "POST" and comp == "telemetrydata":
            self.telemetry += 1
            return Answer(200)
        return self._error(404, "The resource does not exist")

    def _report(self, q):
        try:
            root = ElementTree.fromstring(q.body)
        except ElementTree.ParseError:
            return self._error(400, "The health report is not XML")
        role = "./Container/RoleInstanceList/Role"
        said = [root.findtext(p) for p in ("./GoalStateIncarnation", "./Container/ContainerId",
                                           role + "/InstanceId")]
        if said != [self.incarnation, self.container, self.role]:
            return self._error(410, "The goal state is another one")
        state = root.findtext(role + "/Health/State")
        if state not in ("Ready", "NotReady"):
            return self._error(400, "The health report has no state")
        with self.changed:
            self.health.append((state, root.findtext(role + "/Health/Details/SubStatus") or "",
                                root.findtext(role + "/Health/Details/Description") or ""))
            self.changed.notify_all()
        return Answer(200)

    def _xml(self, text, whole=False):
        head = "" if whole else '<?xml version="1.0" encoding="utf-8"?>\n'
        return Answer(200, head + text, "text/xml; charset=utf-8")

    def _error(self, status, text):
        return Answer(status, '<?xml version="1.0" encoding="utf-8"?>\n<Error><Code>%d</Code>'
                      '<Message>%s</Message></Error>' % (status, text), "text/xml; charset=utf-8")
