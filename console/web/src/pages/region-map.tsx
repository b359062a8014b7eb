// The map: regions as cards with their nodes and VMs, joined by lines that
// carry the round trip.  A VM that migrates travels along its line, and when
// the destination runs it, its chip flies to its new place.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Node, Vm } from "../api/types";
import { mib, plural, rtt, words } from "../lib/format";
import { curveAt, curvePath, type Curve, edgeCurve, type Move, pairKey, type Rect, runningMoves } from "../lib/map";
import { href } from "../router";
import { cluster, nodes, runningJobs, targets, vms } from "../state/store";
import { Bar, State, toneOf } from "../ui/basic";
import { Icon } from "../ui/icons";

const ALL_EDGES_UP_TO = 4; // Regions; with more, lines only where asked for.
const FLIGHT_MS = 900;

interface Edge {
  key: string;
  a: string;
  b: string;
  curve: Curve;
  ms: number | undefined;
  moves: Move[];
}

export function RegionMap({ regions, latency }: { regions: string[]; latency: Map<string, number> }) {
  const stage = useRef<HTMLDivElement>(null);
  const [rects, setRects] = useState<Record<string, Rect>>({});
  const [asked, setAsked] = useState<string | null>(null);
  const moves = runningMoves(runningJobs.value, cluster.value.vm, nodes.value, targets);
  const unplaced = vms.value.filter((v) => !v.node || !cluster.value.node[v.node]);

  // Cards grow with their VMs, so their places are measured, not computed.
  const measure = () => {
    const s = stage.current;
    if (!s) return;
    const origin = s.getBoundingClientRect();
    const next: Record<string, Rect> = {};
    for (const el of s.querySelectorAll<HTMLElement>("[data-region]")) {
      const r = el.getBoundingClientRect();
      next[el.dataset.region!] = {
        x: Math.round(r.left - origin.left),
        y: Math.round(r.top - origin.top),
        w: Math.round(r.width),
        h: Math.round(r.height),
      };
    }
    setRects((old) => (JSON.stringify(old) === JSON.stringify(next) ? old : next));
  };
  useLayoutEffect(measure);
  useEffect(() => {
    const observer = new ResizeObserver(measure);
    observer.observe(stage.current!);
    void document.fonts.ready.then(measure);
    return () => observer.disconnect();
  }, []);
  useFlights(stage);

  // One below the other, as on a narrow screen: only neighbours are joined.
  const stacked = regions.length > 1 && new Set(Object.values(rects).map((r) => r.x)).size === 1;
  const edges: Edge[] = [];
  regions.forEach((a, i) =>
    regions.slice(i + 1).forEach((b, j) => {
      const ra = rects[a];
      const rb = rects[b];
      if (!ra || !rb) return;
      const between = moves.filter((m) => pairKey(m.from.region, m.to.region) === pairKey(a, b));
      const ms = latency.get(pairKey(a, b));
      const wanted = stacked
        ? j === 0
        : regions.length <= ALL_EDGES_UP_TO || between.length > 0 || asked === a || asked === b;
      if (!wanted || (ms === undefined && between.length === 0)) return;
      const others = regions.filter((r) => r !== a && r !== b).flatMap((r) => rects[r] ?? []);
      edges.push({ key: pairKey(a, b), a, b, ms, moves: between, curve: edgeCurve(ra, rb, others) });
    }),
  );

  return (
    <section class="map" aria-label="Regions">
      <div class={`stage n-${regions.length <= 4 ? regions.length : "many"}`} ref={stage}>
        <svg class="edges" aria-hidden="true">
          {edges.map((e) => (
            <EdgeLine key={e.key} edge={e} />
          ))}
        </svg>
        {regions.map((r) => (
          <RegionCard key={r} name={r} moves={moves} onAsk={setAsked} />
        ))}
        {edges.map((e) => (
          <EdgeLabel key={e.key} edge={e} />
        ))}
        {edges.flatMap((e) => e.moves.map((m) => <Traveller key={m.job.id} edge={e} move={m} />))}
      </div>
      {unplaced.length > 0 && (
        <div class="unplaced">
          <span>On no node:</span>
          {unplaced.map((v) => (
            <Chip key={v.id} vm={v} />
          ))}
        </div>
      )}
    </section>
  );
}

function EdgeLine({ edge }: { edge: Edge }) {
  const d = curvePath(edge.curve);
  return (
    <>
      <path class={`edge${edge.moves.length ? " busy" : ""}`} d={d} />
      {edge.moves.map((m) => (
        <path key={m.job.id} class={`edge-flow${m.from.region === edge.a ? "" : " back"}`} d={d} />
      ))}
    </>
  );
}

function EdgeLabel({ edge }: { edge: Edge }) {
  if (edge.ms === undefined) return null;
  // Diagonals cross in their middle, so their labels keep away from it.
  const { a, b } = edge.curve;
  const diagonal = Math.abs(a.x - b.x) > 60 && Math.abs(a.y - b.y) > 60;
  const p = curveAt(edge.curve, diagonal ? 0.27 : 0.5);
  const upright = Math.abs(a.x - b.x) < Math.abs(a.y - b.y);
  return (
    <div
      class={`edge-label${edge.moves.length ? (upright ? " beside" : " above") : ""}`}
      style={{ left: `${p.x}px`, top: `${p.y}px` }}
    >
      <span class="hidden">
        Round trip between {edge.a} and {edge.b}:{" "}
      </span>
      {rtt(edge.ms)}
    </div>
  );
}

function Traveller({ edge, move }: { edge: Edge; move: Move }) {
  const share = Math.min(1, Math.max(0, move.job.progress / 100));
  const along = 0.06 + share * 0.88;
  const p = curveAt(edge.curve, move.from.region === edge.a ? along : 1 - along);
  return (
    <div
      class="traveller"
      data-traveller={move.vm.id}
      style={{ transform: `translate(${p.x}px, ${p.y}px) translate(-50%, -50%)` }}
    >
      <span class="dot" aria-hidden="true" />
      <span class="hidden">
        {move.vm.name} moves from {move.from.region} to {move.to.region}:{" "}
      </span>
      <span class="traveller-name" aria-hidden="true">
        {move.vm.name}
      </span>
      <strong class="num">{Math.round(move.job.progress)} %</strong>
    </div>
  );
}

function RegionCard({ name, moves, onAsk }: { name: string; moves: Move[]; onAsk: (r: string | null) => void }) {
  const here = nodes.value.filter((n) => n.region === name);
  const up = here.filter((n) => n.state === "up").length;
  const count = vms.value.filter((v) => v.node && cluster.value.node[v.node]?.region === name).length;
  const providers = [...new Set(here.map((n) => n.provider))].join(", ");
  return (
    <article
      class="region"
      data-region={name}
      aria-label={`Region ${name}`}
      onMouseEnter={() => onAsk(name)}
      onMouseLeave={() => onAsk(null)}
      onFocusCapture={() => onAsk(name)}
    >
      <header>
        <div>
          <h2>{name}</h2>
          <p>{providers}</p>
        </div>
        <p class="region-count">
          {plural(count, "VM")}
          <br />
          <span class={up < here.length ? "bad-text" : ""}>
            {up < here.length ? `${up} of ${plural(here.length, "node")} up` : plural(here.length, "node")}
          </span>
        </p>
      </header>
      {here.map((n) => (
        <NodeBox key={n.id} node={n} arriving={moves.filter((m) => m.to.id === n.id)} leaving={moves.filter((m) => m.from.id === n.id)} />
      ))}
    </article>
  );
}

function NodeBox({ node, arriving, leaving }: { node: Node; arriving: Move[]; leaving: Move[] }) {
  const here = vms.value.filter((v) => v.node === node.id);
  const used = node.memory_mib - node.memory_free_mib;
  const away = new Set(leaving.map((m) => m.vm.id));
  return (
    <div class={`node ${node.state}`}>
      <div class="node-head">
        <span class={`dot ${toneOf(node.state)}`} aria-hidden="true" />
        <a href={href("nodes", null, `q=${encodeURIComponent(node.name)}`)}>{node.name}</a>
        {node.state !== "up" && <State state={node.state} />}
        <span class="tag">{node.hypervisor}</span>
        {node.boot?.mode === "fallback" && (
          <span class="tag warn" title={node.boot.reason || "Xen did not boot"}>
            <Icon name="warn" size={12} /> fallback
          </span>
        )}
        <span class="node-memory num">
          {mib(used)} / {mib(node.memory_mib)}
        </span>
      </div>
      <Bar value={used} max={node.memory_mib} label={`Memory of ${node.name}`} tone={`thin${node.memory_mib && used / node.memory_mib > 0.9 ? " full" : ""}`} />
      <div class="chips">
        {here.map((v) => (
          <Chip key={v.id} vm={v} leaving={away.has(v.id)} />
        ))}
        {arriving
          .filter((m) => m.vm.node !== node.id)
          .map((m) => (
            <span key={m.job.id} class="chip ghost">
              {m.vm.name}
              <span class="hidden"> is coming</span>
            </span>
          ))}
        {here.length === 0 && arriving.length === 0 && <span class="chips-none">No VMs</span>}
      </div>
    </div>
  );
}

function Chip({ vm, leaving }: { vm: Vm; leaving?: boolean }) {
  const ip = vm.ports?.[0]?.ip;
  return (
    <a
      class={`chip ${toneOf(vm.state)}${leaving ? " leaving" : ""}`}
      href={href("vms", vm.id)}
      data-vm={vm.id}
      data-node={vm.node ?? ""}
      title={`${vm.name}: ${words(vm.state).toLowerCase()}${ip ? `, ${ip}` : ""}, ${mib(vm.memory_mib)}`}
    >
      <span class="dot" aria-hidden="true" />
      {vm.name}
      {vm.state !== "running" && <span class="chip-state">{vm.state}</span>}
    </a>
  );
}

/** Lets a chip that turns up at another node fly there from where it, or
 * the mark of its migration, was seen last. */
function useFlights(stage: { current: HTMLElement | null }): void {
  const seen = useRef(new Map<string, { node: string; x: number; y: number }>());
  const marks = useRef(new Map<string, { x: number; y: number }>());
  useLayoutEffect(() => {
    const s = stage.current;
    if (!s) return;
    const origin = s.getBoundingClientRect();
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const next = new Map<string, { node: string; x: number; y: number }>();
    for (const el of s.querySelectorAll<HTMLElement>("[data-vm]")) {
      const r = el.getBoundingClientRect();
      const id = el.dataset.vm!;
      const here = { node: el.dataset.node!, x: r.left - origin.left, y: r.top - origin.top };
      next.set(id, here);
      const before = seen.current.get(id);
      if (!before || before.node === here.node || before.node === "" || still) continue;
      const from = marks.current.get(id) ?? before;
      el.classList.add("flying");
      const flight = el.animate(
        [
          { transform: `translate(${from.x - here.x}px, ${from.y - here.y}px) scale(1.12)` },
          { transform: "translate(0, 0) scale(1.12)", offset: 0.8 },
          { transform: "none" },
        ],
        { duration: FLIGHT_MS, easing: "cubic-bezier(.3, .7, .2, 1)" },
      );
      const land = () => el.classList.remove("flying");
      flight.finished.then(land, land);
    }
    seen.current = next;
    marks.current = new Map();
    for (const el of s.querySelectorAll<HTMLElement>("[data-traveller]")) {
      const r = el.getBoundingClientRect();
      marks.current.set(el.dataset.traveller!, { x: r.left - origin.left, y: r.top - origin.top });
    }
  });
}
