// The geometry and the facts of the region map.  Pure.
import type { Job, Latency, Node, Vm } from "../api/types";

export interface Rect {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Point {
  x: number;
  y: number;
}

/** A cubic from 'a' to 'b' by two control points. */
export interface Curve {
  a: Point;
  c1: Point;
  c2: Point;
  b: Point;
}

// Where in the world a region's name says it is, west to east.
const longitudes: [RegExp, number][] = [
  [/us-?west|uswest|west-?us|california|oregon/, -120],
  [/us-?central|central-?us|iowa|texas/, -95],
  [/us-?east|useast|east-?us|virginia|ohio|^us\b|^us-|northamerica|^na-|^ca-|canada/, -78],
  [/^sa-|southamerica|brazil|sao/, -50],
  [/uk|london|ireland|^eu-west|west-?europe/, -3],
  [/^eu|europe|france|german|frankfurt|paris|^north/, 10],
  [/^af|africa/, 25],
  [/^me-|uae|qatar|israel/, 45],
  [/india|^ap-south(-|\d|$)|asia-south(\d|$)|mumbai/, 75],
  [/ap-southeast|asia-southeast|singapore|jakarta/, 104],
  [/hong|^cn|china|asia-east/, 115],
  [/ap-northeast|asia-northeast|japan|tokyo|korea|seoul|osaka/, 139],
  [/australia|sydney|^oc/, 151],
];

/** Degrees east, guessed from a region's name; null if it says nothing. */
export function regionLongitude(name: string): number | null {
  const n = name.toLowerCase();
  return longitudes.find(([re]) => re.test(n))?.[1] ?? null;
}

/** Names ordered west to east; those that say nothing last, by name. */
export function orderRegions(names: string[]): string[] {
  return [...names].sort((a, b) => {
    const x = regionLongitude(a) ?? 1000;
    const y = regionLongitude(b) ?? 1000;
    return x - y || a.localeCompare(b);
  });
}

/** The median round trip of each pair of regions, by "a|b" with a < b. */
export function regionLatency(
  latency: Latency[],
  nodes: Node[],
): Map<string, number> {
  const region = new Map(nodes.map((n) => [n.name, n.region]));
  const samples = new Map<string, number[]>();
  for (const l of latency) {
    const a = region.get(l.from);
    const b = region.get(l.to);
    if (!a || !b || a === b || !(l.rtt_ms >= 0)) continue;
    const key = pairKey(a, b);
    samples.set(key, [...(samples.get(key) ?? []), l.rtt_ms]);
  }
  return new Map([...samples].map(([k, v]) => [k, median(v)]));
}

export const pairKey = (a: string, b: string): string =>
  a < b ? `${a}|${b}` : `${b}|${a}`;

function median(v: number[]): number {
  const s = [...v].sort((a, b) => a - b);
  const m = s.length >> 1;
  return s.length % 2 ? s[m]! : (s[m - 1]! + s[m]!) / 2;
}

/** Round trips seen from one node, by node name. */
export function rttFrom(latency: Latency[], name: string): Map<string, number> {
  const ret = new Map<string, number>();
  for (const l of latency) if (l.to === name) ret.set(l.from, l.rtt_ms);
  for (const l of latency) if (l.from === name) ret.set(l.to, l.rtt_ms);
  return ret;
}

/** The curve between the facing sides of two cards.  Cards of one row with
 * another between them are joined over their tops. */
export function edgeCurve(a: Rect, b: Rect, others: Rect[]): Curve {
  const ca = { x: a.x + a.w / 2, y: a.y + a.h / 2 };
  const cb = { x: b.x + b.w / 2, y: b.y + b.h / 2 };
  if (ca.x > cb.x + 1) {
    const r = edgeCurve(b, a, others);
    return { a: r.b, c1: r.c2, c2: r.c1, b: r.a };
  }
  const sameRow = a.y < b.y + b.h && b.y < a.y + a.h;
  if (sameRow && a.x + a.w <= b.x) {
    const between = others.some(
      (o) => o.x > a.x && o.x < b.x && o.y < Math.max(a.y + a.h, b.y + b.h) && o.y + o.h > Math.min(a.y, b.y),
    );
    if (between) {
      const top = Math.min(a.y, b.y, ...others.map((o) => o.y)) - 84;
      const s = { x: ca.x, y: a.y };
      const e = { x: cb.x, y: b.y };
      return { a: s, c1: { x: s.x, y: top }, c2: { x: e.x, y: top }, b: e };
    }
    const y = (Math.max(a.y, b.y) + Math.min(a.y + a.h, b.y + b.h)) / 2;
    const s = { x: a.x + a.w, y };
    const e = { x: b.x, y };
    const lift = Math.min(26, (e.x - s.x) / 6);
    const third = (e.x - s.x) / 3;
    return {
      a: s,
      c1: { x: s.x + third, y: y - lift },
      c2: { x: e.x - third, y: y - lift },
      b: e,
    };
  }
  // One above the other, or diagonal: bottom of the upper to top of the lower.
  const [up, down, flip] = ca.y <= cb.y ? [a, b, false] : [b, a, true];
  const su = { x: up.x + up.w / 2, y: up.y + up.h };
  const sd = { x: down.x + down.w / 2, y: down.y };
  const dx = sd.x - su.x;
  if (Math.abs(dx) > up.w / 2) {
    su.x += Math.sign(dx) * up.w * 0.36;
    sd.x -= Math.sign(dx) * down.w * 0.36;
  }
  const half = (sd.y - su.y) / 2;
  const c = { a: su, c1: { x: su.x, y: su.y + half }, c2: { x: sd.x, y: sd.y - half }, b: sd };
  return flip ? { a: c.b, c1: c.c2, c2: c.c1, b: c.a } : c;
}

export function curvePath(c: Curve): string {
  const p = (q: Point) => `${round(q.x)} ${round(q.y)}`;
  return `M${p(c.a)} C${p(c.c1)} ${p(c.c2)} ${p(c.b)}`;
}

const round = (n: number): number => Math.round(n * 10) / 10;

/** The point at 't' (0 to 1) of a curve. */
export function curveAt(c: Curve, t: number): Point {
  const u = 1 - t;
  const f = (a: number, b: number, d: number, e: number) =>
    u * u * u * a + 3 * u * u * t * b + 3 * u * t * t * d + t * t * t * e;
  return {
    x: f(c.a.x, c.c1.x, c.c2.x, c.b.x),
    y: f(c.a.y, c.c1.y, c.c2.y, c.b.y),
  };
}

export interface Move {
  vm: Vm;
  job: Job;
  from: Node;
  to: Node;
}

/** Migrations under way whose two ends are known.  'targets' tells where
 * jobs go that this page itself began (by job id; a node's id or name). */
export function runningMoves(
  jobs: Job[],
  vms: Record<string, Vm>,
  nodes: Node[],
  targets: ReadonlyMap<string, string>,
): Move[] {
  const find = (x: unknown): Node | undefined =>
    typeof x === "string" ? nodes.find((n) => n.id === x || n.name === x) : undefined;
  const moves: Move[] = [];
  for (const job of jobs) {
    if (job.kind !== "vm.migrate" || job.state !== "running") continue;
    const vm = job.object_id ? vms[job.object_id] : undefined;
    if (!vm) continue;
    const to = find(job.result?.to) ?? find(targets.get(job.id));
    const from = find(job.result?.from) ?? find(vm.node);
    if (from && to && from.id !== to.id) moves.push({ vm, job, from, to });
  }
  return moves;
}
