import { describe, expect, it } from "vitest";
import type { Driver, InstanceType, Node, Price, Probe } from "../src/api/types";
import { cloudOf, clouds, launchNames, limitOf, nodePorts, parsePorts, parseSources, userDataEstimate } from "../src/lib/clouds";
import { countdown, jobDoing, jobDone, stepTitle, usd } from "../src/lib/format";
import { createParams, fileError, parseManifest, type Manifest } from "../src/lib/manifest";
import { egressOf, maxPriceError, offersOf, priceOf } from "../src/lib/prices";
import { noticeAction, noticeTitle, orderProbes, probeTitle, standingNotice, withNotices } from "../src/lib/probes";
import { applyChange, decodeChange, emptyCluster } from "../src/state/reducer";

const type = (name: string, over: Partial<InstanceType> = {}): InstanceType => ({
  name,
  vcpus: 2,
  memory_mib: 4096,
  nested_virtualisation: false,
  xen: true,
  ...over,
});
const price = (t: string, what: Price["what"], amount: number, zone = "", unit: Price["unit"] = "hour"): Price => ({
  type: t,
  region: "r",
  zone,
  what,
  unit,
  amount,
  at: 0,
});

describe("prices", () => {
  const prices = [
    price("a", "on-demand", 0.1),
    price("a", "spot", 0.05, "r-1"),
    price("a", "spot", 0.04, "r-2"),
    price("b", "on-demand", 0.2),
    price("", "egress-internet", 0.09, "", "GiB"),
  ];
  it("puts both prices of a type side by side, spot from its cheapest zone", () => {
    const [a, b, c] = offersOf([type("a"), type("b"), type("c")], prices);
    expect(a).toMatchObject({ onDemand: 0.1, spot: 0.04, spotZone: "r-2" });
    expect(a!.saving).toBeCloseTo(0.6);
    expect(b).toMatchObject({ onDemand: 0.2, spot: null, saving: null });
    expect(c).toMatchObject({ onDemand: null, spot: null });
    expect(priceOf(a!, true)).toBe(0.04);
    expect(priceOf(a!, false)).toBe(0.1);
  });
  it("knows the prices of traffic, or that they are not known", () => {
    expect(egressOf(prices)).toEqual({ internet: 0.09, region: null });
  });
  it("refuses a maximum price that cannot start an instance", () => {
    const [a] = offersOf([type("a")], prices);
    expect(maxPriceError("", a)).toBeNull();
    expect(maxPriceError("0.05", a)).toBeNull();
    expect(maxPriceError("0.03", a)).toContain("Below");
    expect(maxPriceError("cheap", a)).toContain("dollars");
    expect(maxPriceError("-1", undefined)).toContain("dollars");
  });
  it.each([
    [0.0416, "$0.0416"],
    [1.5, "$1.50"],
    [250, "$250"],
    [NaN, "–"],
  ])("writes %d dollars", (n, text) => expect(usd(n)).toBe(text));
});

describe("clouds", () => {
  it("has every provider of the choice with its limit and where to paste", () => {
    expect(clouds.map((c) => c.value)).toEqual(["ec2", "gce", "azure", "rackspace", "openstack", "local"]);
    for (const c of clouds) expect(c.where.length, c.value).toBeGreaterThan(20);
    expect(cloudOf("azure")!.note).toContain("Xen cannot run on Azure");
  });
  it("believes the driver's limit before its own", () => {
    expect(limitOf("ec2", [])).toBe(16384);
    expect(limitOf("ec2", [{ name: "ec2", user_data_max: 12 } as Driver])).toBe(12);
    expect(limitOf("rackspace", [{ name: "openstack", user_data_max: 99 } as Driver])).toBe(99);
    expect(limitOf("somewhere", [])).toBeNull();
  });
  it("estimates the size by what varies", () => {
    expect(userDataEstimate("ab", "r", "ec2") - userDataEstimate("", "r", "ec2")).toBe(2);
  });
  it("opens the ports a node needs", () => {
    expect(nodePorts.map((p) => `${p.port}/${p.protocol}`).sort()).toEqual(["4789/udp", "7480/tcp", "7481/udp", "7482/tcp"]);
  });
  it.each([
    ["198.51.100.7", ["198.51.100.7/32"]],
    ["10.0.0.0/8, 192.0.2.1", ["10.0.0.0/8", "192.0.2.1/32"]],
    ["2001:db8::/32", ["2001:db8::/32"]],
    ["10.0.0.0/8 10.0.0.0/8", ["10.0.0.0/8"]],
    ["", null],
    ["10.0.0.256", null],
    ["10.0.0.0/33", null],
    ["anywhere", null],
  ])("reads the sources '%s'", (text, want) => expect(parseSources(text)).toEqual(want));
  it.each([
    ["7480", [7480, 7480]],
    [" 7000-7100 ", [7000, 7100]],
    ["0", null],
    ["7100-7000", null],
    ["70000", null],
    ["ssh", null],
  ])("reads the ports '%s'", (text, want) => expect(parsePorts(text)).toEqual(want));
  it("numbers the names of several", () => {
    expect(launchNames("n", 1)).toEqual(["n"]);
    expect(launchNames("n", 3)).toEqual(["n-1", "n-2", "n-3"]);
  });
});

describe("manifest", () => {
  const good = { file: "i.raw", format: "raw", virtual_size: 8589934592, sha256: "a".repeat(64), boot: "bios", distro: "debian" };
  const parsed = parseManifest(JSON.stringify(good)) as Manifest;
  it("reads what the build wrote", () => {
    expect(parsed).toMatchObject({ file: "i.raw", format: "raw", virtual_size: 8589934592, size: null, boot: "bios" });
  });
  it.each([
    ["{", "not JSON"],
    ["[]", "no object"],
    ["{}", "names no file"],
    [JSON.stringify({ ...good, sha256: "abc" }), "digest"],
    [JSON.stringify({ ...good, virtual_size: 0 }), "virtual size"],
    [JSON.stringify({ ...good, format: undefined }), "format"],
  ])("says what is wrong with %s", (text, part) => expect(parseManifest(text)).toContain(part));
  it("knows an image that is not the manifest's", () => {
    expect(fileError(parsed, { name: "i.raw", size: 5 }, "raw")).toBeNull();
    expect(fileError(parsed, { name: "i.raw", size: 5 }, "vhd")).toContain("takes vhd images");
    expect(fileError(parsed, { name: "other.raw", size: 5 }, "raw")).toContain("not of other.raw");
    expect(fileError({ ...parsed, size: 6 }, { name: "i.raw", size: 5 }, "raw")).toContain("5 bytes");
  });
  it("gives the API what it takes, and no more", () => {
    expect(createParams(parsed, "", "r", 5)).toEqual({
      region: "r", format: "raw", file: "i.raw", size: 5, virtual_size: 8589934592, sha256: "a".repeat(64), boot: "bios", distro: "debian",
    });
    expect(createParams(parsed, "n", "r", 5).name).toBe("n");
  });
});

describe("probes and notices", () => {
  const probe = (name: string): Probe => ({ name, ok: true, value: "", why: "" });
  const node = (name: string, notice: Node["notice"]) => ({ id: name, name, notice }) as Node;
  const said = (kind: "revocation" | "maintenance" | "none", at: number) => ({ kind, action: "reboot", at, source: "s", text: "", heard_at: 1 });
  it("lists known probes in one order, unknown ones last", () => {
    expect(orderProbes(["mtu", "new", "cpuid-faulting"].map(probe)).map((p) => p.name)).toEqual(["cpuid-faulting", "mtu", "new"]);
    expect(probeTitle("new")).toBe("new");
  });
  it("puts revocations first, then what comes soonest", () => {
    const list = withNotices([node("quiet", null), node("late", said("maintenance", 9)), node("soon", said("maintenance", 5)), node("ends", said("revocation", 99)), node("over", said("none", 0))]);
    expect(list.map((n) => n.name)).toEqual(["ends", "soon", "late"]);
    expect(standingNotice(node("over", said("none", 0)))).toBeNull();
  });
  it("says it in words, even for kinds it does not know", () => {
    expect(noticeTitle(said("revocation", 0))).toBe("The provider takes it back");
    expect(noticeAction({ ...said("revocation", 0), action: "" })).toBe("it begins");
  });
  it.each([
    [125000, "2:05"],
    [1, "0:01"],
    [0, "now"],
    [-5000, "now"],
    [3723000, "1:02:03"],
    [3 * 86400000, "3 days"],
  ])("counts down from %d ms", (ms, text) => expect(countdown(ms, 0)).toBe(text));
});

describe("provider events", () => {
  it("are taken into the picture", () => {
    const change = decodeChange(JSON.stringify({ kind: "provider-image", id: "i", object: { id: "i", name: "n" } }))!;
    const next = applyChange(emptyCluster, change);
    expect(next["provider-image"].i!.name).toBe("n");
    expect(decodeChange(JSON.stringify({ kind: "provider", id: "p", object: null }))).not.toBeNull();
  });
  it("have words for their jobs and steps", () => {
    expect(jobDoing("provider.publish")).toBe("Publishing");
    expect(jobDone("provider.gc")).toBe("cleaned up");
    expect(stepTitle("join")).toBe("Wait until it has joined");
  });
});
