import { describe, expect, it } from "vitest";
import type { Job, Node, Vm } from "../src/api/types";
import { errorOf } from "../src/api/client";
import { directoryError, emailError, publicNameError } from "../src/lib/acme";
import { firstHost, hostCount, ipText, isHostOf, parseCidr, parseIp } from "../src/lib/cidr";
import { bitRate, bytes, duration, jobDone, mib, plainText, plural, relative, rtt, stepTitle, words } from "../src/lib/format";
import { score } from "../src/lib/fuzzy";
import { curveAt, edgeCurve, orderRegions, pairKey, regionLatency, rttFrom, runningMoves } from "../src/lib/map";
import { migrationTargets, nameError, numberError } from "../src/lib/placement";
import { addSample, MAX_SAMPLES, ratesOf, sparkline } from "../src/lib/rates";
import { ipValue, matches, sortBy } from "../src/lib/sort";

describe("a controller's public name", () => {
  it.each(["", "cloud.example.org", "a-b.c", "1.example.org"])("may be '%s'", (t) => expect(publicNameError(t)).toBeNull());
  it.each(["localhost", "Cloud.example.org", "a..b", "-a.b", "a-.b", "a.b.", `${"a".repeat(64)}.b`, "https://a.b"])(
    "is not '%s'",
    (t) => expect(publicNameError(t)).toContain("cloud.example.org"),
  );
  it("goes with an e-mail and an issuer that the user-data takes", () => {
    expect(emailError("")).toBeNull();
    expect(emailError("you@example.org")).toBeNull();
    expect(emailError("you")).toContain("you@example.org");
    expect(directoryError("")).toBeNull();
    expect(directoryError("https://acme.example.org/dir")).toBeNull();
    expect(directoryError("http://acme.example.org/dir")).toContain("https://");
  });
});

describe("format", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [64 * 1024 ** 2, "64 MiB"],
    [1024 ** 4, "1 TiB"],
    [-1, "–"],
    [NaN, "–"],
  ])("writes %d bytes", (n, text) => expect(bytes(n)).toBe(text));
  it("writes memory, rates and round trips", () => {
    expect(mib(2048)).toBe("2 GiB");
    expect(bitRate(1250000)).toBe("10 Mbit/s");
    expect(bitRate(0)).toBe("0 bit/s");
    expect(rtt(0.42)).toBe("0.42 ms");
    expect(rtt(75.4)).toBe("75 ms");
  });
  it.each([
    [420, "420 ms"],
    [1500, "1.5 s"],
    [59999, "59 s"],
    [65000, "1 min 5 s"],
    [3600000, "1 h"],
    [90000000, "1 d 1 h"],
  ])("writes %d ms", (n, text) => expect(duration(n)).toBe(text));
  it("tells past from future", () => {
    expect(relative(1000, 2000)).toBe("just now");
    expect(relative(0, 61000)).toBe("1 min ago");
    expect(relative(7200000, 0)).toBe("in 2 h");
  });
  it("makes words of names", () => {
    expect(words("prepare_destination")).toBe("Prepare destination");
    expect(stepTitle("transfer")).toBe("Transfer memory and disks");
    expect(stepTitle("copy memory")).toBe("Copy memory");
    expect(plural(1, "node")).toBe("1 node");
    expect(plural(0, "address", "addresses")).toBe("0 addresses");
    expect(jobDone("vm.migrate")).toBe("migrated");
    expect(jobDone("pool.level")).toBe("pool.level done");
  });
});

describe("a serial log as text", () => {
  it("has no escape sequences and control characters", () => {
    expect(plainText("\x1b[1;32m(XEN)\x1b[0m up\r\n\x1b]0;title\x07a\x00b\tc\r\n")).toBe("(XEN) up\nab\tc\n");
    expect(plainText("10%\r20%\r\r\nend")).toBe("10%\n20%\nend");
  });
});

describe("cidr", () => {
  it("reads a network and counts its hosts", () => {
    const c = parseCidr("10.1.0.0/24");
    expect(c).toEqual({ network: 0x0a010000, prefix: 24 });
    if (typeof c === "string") throw new Error(c);
    expect(hostCount(c)).toBe(254);
    expect(firstHost(c)).toBe("10.1.0.1");
    expect(isHostOf(parseIp("10.1.0.254")!, c)).toBe(true);
    expect(isHostOf(parseIp("10.1.0.255")!, c)).toBe(false);
    expect(isHostOf(parseIp("10.1.1.1")!, c)).toBe(false);
  });
  it.each([
    ["10.1.0.0", "Write it"],
    ["10.1.0.256/24", "0 to 255"],
    ["10.1.0.0/30", "8 to 29"],
    ["10.1.0.7/24", "10.1.0.0"],
  ])("says what is wrong with %s", (text, part) => expect(parseCidr(text)).toContain(part));
  it("holds addresses above 128.0.0.0", () => expect(ipText(parseIp("203.0.113.9")!)).toBe("203.0.113.9"));
});

describe("sort", () => {
  it("sorts naturally, and absent values last either way", () => {
    const rows = [{ n: "vm-10" }, { n: null }, { n: "vm-2" }];
    expect(sortBy(rows, (r) => r.n, false).map((r) => r.n)).toEqual(["vm-2", "vm-10", null]);
    expect(sortBy(rows, (r) => r.n, true).map((r) => r.n)).toEqual(["vm-10", "vm-2", null]);
  });
  it("finds all words in any text", () => {
    expect(matches("us RUN", ["us-east", "running"])).toBe(true);
    expect(matches("us stopped", ["us-east", "running"])).toBe(false);
    expect(matches("", [null])).toBe(true);
  });
  it("orders addresses by number", () => {
    expect(ipValue("10.0.0.9")! < ipValue("10.0.0.10")!).toBe(true);
    expect(ipValue("x")).toBeNull();
  });
});

describe("score", () => {
  it("likes beginnings best, then words, then letters in order", () => {
    const order = ["hello", "my-hello", "othello", "h-e-l-l-o-x"].map((t) => score("hello", t)!);
    expect([...order].sort((a, b) => b - a)).toEqual(order);
    expect(score("hello", "world")).toBeNull();
  });
});

describe("rates", () => {
  it("turns counters into rates, and survives a restart of the counter", () => {
    let s = addSample([], { at: 0, in: 1000, out: 0 });
    s = addSample(s, { at: 2000, in: 3000, out: 500 });
    s = addSample(s, { at: 3000, in: 100, out: 500 });
    expect(ratesOf(s)).toEqual([
      { at: 2000, in: 1000, out: 250 },
      { at: 3000, in: 100, out: 0 },
    ]);
  });
  it("keeps a bounded number, in order", () => {
    let s = addSample([], { at: 5, in: 0, out: 0 });
    expect(addSample(s, { at: 5, in: 9, out: 9 })).toBe(s);
    for (let i = 6; i < 200; i++) s = addSample(s, { at: i, in: i, out: i });
    expect(s).toHaveLength(MAX_SAMPLES);
  });
  it("draws a line only with two points", () => {
    expect(sparkline([1], 100, 40, 1)).toBe("");
    expect(sparkline([0, 1], 100, 40, 1).split(" ")).toHaveLength(2);
  });
});

const node = (name: string, region: string, over: Partial<Node> = {}) =>
  ({ id: `id-${name}`, name, region, state: "up", memory_mib: 2048, memory_free_mib: 1024, programs: { "sc-node": true }, ...over }) as Node;

describe("map", () => {
  it("orders regions west to east, unknown ones last", () => {
    expect(orderRegions(["ap-northeast", "lab", "eu-central", "us-west", "us-east"])).toEqual([
      "us-west",
      "us-east",
      "eu-central",
      "ap-northeast",
      "lab",
    ]);
  });
  it("takes the median of the pairs of two regions", () => {
    const nodes = [node("a1", "a"), node("a2", "a"), node("b1", "b")];
    const l = regionLatency(
      [
        { from: "a1", to: "b1", rtt_ms: 70 },
        { from: "b1", to: "a1", rtt_ms: 80 },
        { from: "a2", to: "b1", rtt_ms: 90 },
        { from: "a1", to: "a2", rtt_ms: 1 },
        { from: "a1", to: "nobody", rtt_ms: 5 },
      ],
      nodes,
    );
    expect([...l]).toEqual([[pairKey("b", "a"), 80]]);
  });
  it("prefers a node's own measurements", () => {
    const r = rttFrom(
      [
        { from: "x", to: "me", rtt_ms: 9 },
        { from: "me", to: "x", rtt_ms: 8 },
      ],
      "me",
    );
    expect(r.get("x")).toBe(8);
  });
  it("joins facing sides, and keeps its direction", () => {
    const a = { x: 0, y: 0, w: 100, h: 50 };
    const b = { x: 300, y: 0, w: 100, h: 50 };
    expect(edgeCurve(a, b, [])).toMatchObject({ a: { x: 100, y: 25 }, b: { x: 300, y: 25 } });
    expect(edgeCurve(b, a, [])).toMatchObject({ a: { x: 300, y: 25 }, b: { x: 100, y: 25 } });
    const below = { x: 0, y: 200, w: 100, h: 50 };
    expect(edgeCurve(a, below, [])).toMatchObject({ a: { x: 50, y: 50 }, b: { x: 50, y: 200 } });
    expect(edgeCurve(below, a, [])).toMatchObject({ a: { x: 50, y: 200 }, b: { x: 50, y: 50 } });
  });
  it("goes over a card that lies between", () => {
    const c = edgeCurve({ x: 0, y: 100, w: 50, h: 50 }, { x: 200, y: 100, w: 50, h: 50 }, [{ x: 100, y: 100, w: 50, h: 50 }]);
    expect(curveAt(c, 0.5).y).toBeLessThan(100);
  });
  it("knows a migration's ends from the job, or from this page's own request", () => {
    const nodes = [node("us-1", "us"), node("ap-1", "ap")];
    const vms = { v: { id: "v", name: "hello", node: "id-us-1" } as Vm };
    const job = { id: "j", kind: "vm.migrate", state: "running", object_id: "v", result: { from: "us-1", to: "id-ap-1" } } as unknown as Job;
    expect(runningMoves([job], vms, nodes, new Map())[0]).toMatchObject({ from: { name: "us-1" }, to: { name: "ap-1" } });
    const bare = { ...job, result: null };
    expect(runningMoves([bare], vms, nodes, new Map())).toEqual([]);
    expect(runningMoves([bare], vms, nodes, new Map([["j", "ap-1"]]))).toHaveLength(1);
    expect(runningMoves([{ ...job, state: "done" }], vms, nodes, new Map())).toEqual([]);
  });
});

describe("placement", () => {
  const vm = { id: "v", name: "hello", node: "id-us-1", node_name: "us-1", memory_mib: 512 } as Vm;
  it("offers the nearest possible node first and says why others are not", () => {
    const list = migrationTargets(
      vm,
      [node("us-1", "us"), node("far", "sa"), node("near", "eu"), node("full", "eu", { memory_free_mib: 100 }), node("dead", "eu", { state: "down" })],
      [
        { from: "us-1", to: "far", rtt_ms: 120 },
        { from: "near", to: "us-1", rtt_ms: 80 },
      ],
    );
    expect(list.map((t) => t.node.name)).toEqual(["near", "far", "dead", "full"]);
    expect(list[0]).toMatchObject({ rtt: 80, free_after: 512, refusal: null });
    expect(list[3]!.refusal).toBe("Needs 512 MiB, has 100 MiB free");
  });
  it("checks names and numbers", () => {
    expect(nameError("web-1")).toBeNull();
    expect(nameError("Debian_12.raw")).toBeNull();
    expect(nameError("web 1")).not.toBeNull();
    expect(nameError("-a")).not.toBeNull();
    expect(nameError("")).not.toBeNull();
    expect(nameError("a".repeat(64))).not.toBeNull();
    expect(nameError("a", ["a"])).toContain("already");
    expect(numberError("1.5", 1, 8, "")).not.toBeNull();
    expect(numberError("", 1, 8, "")).not.toBeNull();
    expect(numberError("0", 1, 8, "MiB")).toBe("At least 1 MiB.");
    expect(numberError("8", 1, 8, "")).toBeNull();
  });
});

describe("errorOf", () => {
  it("uses the API's words, or says what the status means", () => {
    expect(errorOf(404, '{"error":{"code":"ENOENT","message":"vm \'x\': not found"}}')).toMatchObject({
      code: "ENOENT",
      message: "vm 'x': not found",
    });
    expect(errorOf(507, "<html>").message).toBe("There is no room.");
    expect(errorOf(502, "").message).toContain("502");
  });
});
