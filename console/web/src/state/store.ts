// The page's live picture of the cluster: lists once, then every change by
// server-sent events.  After any gap the lists are fetched again, and changes
// that arrive meanwhile are applied on top of them.
import { computed, signal } from "@preact/signals";
import { ApiError, BASE, get } from "../api/client";
import type {
  Change,
  Image,
  Job,
  Kind,
  Network,
  Node,
  Overview,
  Provider,
  Published,
  Vm,
} from "../api/types";
import { addSample, type Sample } from "../lib/rates";
import { notify } from "./notices";
import {
  applyChange,
  type Cluster,
  decodeChange,
  emptyCluster,
  index,
  jobNotice,
  rebase,
} from "./reducer";

export const cluster = signal<Cluster>(emptyCluster);
export const loaded = signal(false);
export const loadError = signal<string | null>(null);
/** live: events flow; connecting: not yet or again; lost: nothing answers. */
export const link = signal<"live" | "connecting" | "lost">("connecting");
export const overview = signal<Overview | null>(null);
export const samples = signal<Sample[]>([]);
/** The clock that relative times follow; ms. */
export const now = signal(Date.now());
/** Where the migrations go that this page began: job id -> node id. */
export const targets = new Map<string, string>();

const byName = <T extends { name: string }>(a: T, b: T): number =>
  a.name.localeCompare(b.name, undefined, { numeric: true });

export const vms = computed(() => Object.values(cluster.value.vm).sort(byName));
export const nodes = computed(() => Object.values(cluster.value.node).sort(byName));
export const images = computed(() => Object.values(cluster.value.image).sort(byName));
export const networks = computed(() =>
  Object.values(cluster.value.network).sort(byName),
);
export const providers = computed(() =>
  Object.values(cluster.value.provider).sort(byName),
);
/** Images at providers, of all accounts. */
export const published = computed(() =>
  Object.values(cluster.value["provider-image"]).sort(byName),
);
export const jobs = computed(() =>
  Object.values(cluster.value.job).sort(
    (a, b) => b.started_at - a.started_at || b.id.localeCompare(a.id),
  ),
);
export const runningJobs = computed(() =>
  jobs.value.filter((j) => j.state === "running" || j.state === "rolling-back"),
);

const OVERVIEW_MS = 3000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

let source: EventSource | null = null;
let pending: Change[] | null = null; // Arrived while the lists are fetched.
let tries = 0;
let retryTimer: number | undefined;
let overviewTimer: number | undefined;
let clockTimer: number | undefined;
let generation = 0; // Counts starts; late answers of an older one are dropped.

export function start(): void {
  stop();
  generation++;
  connect();
  pollOverview(generation);
  clockTimer = window.setInterval(() => (now.value = Date.now()), 1000);
  window.addEventListener("online", reconnect);
}

export function stop(): void {
  generation++;
  source?.close();
  source = null;
  pending = null;
  window.clearTimeout(retryTimer);
  window.clearTimeout(overviewTimer);
  window.clearInterval(clockTimer);
  window.removeEventListener("online", reconnect);
  cluster.value = emptyCluster;
  loaded.value = false;
  loadError.value = null;
  overview.value = null;
  samples.value = [];
  link.value = "connecting";
}

/** Tries at once instead of at the end of the present wait. */
export function reconnect(): void {
  tries = 0;
  connect();
}

function connect(): void {
  source?.close();
  window.clearTimeout(retryTimer);
  const es = new EventSource(`${BASE}/events`);
  source = es;
  const mine = generation;
  es.addEventListener("open", () => {
    if (source !== es) return;
    tries = 0;
    void refetch(mine);
  });
  es.addEventListener("change", (e) => {
    if (source !== es) return;
    const change = decodeChange((e as MessageEvent<string>).data);
    if (change) receive(change);
  });
  // The server dropped events that this page was too slow to take.
  es.addEventListener("reset", () => {
    if (source === es) void refetch(mine);
  });
  es.addEventListener("error", () => {
    if (source !== es) return;
    // The browser would retry by itself, but not after an HTTP error, and
    // without saying why; so this does it, the same way for all cases.
    es.close();
    source = null;
    link.value = tries < 2 ? "connecting" : "lost";
    const wait = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]!;
    tries++;
    retryTimer = window.setTimeout(() => {
      if (mine !== generation) return;
      // Tells a session that is over from a server that is away.
      get("/session").then(connect, (e: unknown) => {
        if (mine !== generation) return;
        if (e instanceof ApiError && e.status === 401) return;
        connect();
      });
    }, wait);
  });
}

async function refetch(mine: number): Promise<void> {
  const since: Change[] = [];
  pending = since;
  try {
    const [v, n, i, w, j, p] = await Promise.all([
      get<{ vms: Vm[] }>("/vms"),
      get<{ nodes: Node[] }>("/nodes"),
      get<{ images: Image[] }>("/images"),
      get<{ networks: Network[] }>("/networks"),
      get<{ jobs: Job[] }>("/jobs?limit=100"),
      get<{ providers: Provider[] }>("/providers"),
    ]);
    const pi = await Promise.all(
      p.providers.map((x) =>
        get<{ images: Published[] }>(`/providers/${encodeURIComponent(x.id)}/images`).catch((e: unknown) => {
          // Removed meanwhile, or not for this role.
          if (e instanceof ApiError && (e.status === 404 || e.status === 403)) return { images: [] };
          throw e;
        }),
      ),
    );
    if (mine !== generation || pending !== since) return;
    const first = !loaded.value;
    const before = cluster.value;
    const snapshot: Cluster = {
      vm: index(v.vms),
      node: index(n.nodes),
      image: index(i.images),
      network: index(w.networks),
      job: index(j.jobs),
      provider: index(p.providers),
      "provider-image": index(pi.flatMap((x) => x.images)),
    };
    cluster.value = rebase(snapshot, since);
    pending = null;
    loaded.value = true;
    loadError.value = null;
    link.value = "live";
    // What happened to the jobs that were running before the gap.
    if (!first)
      for (const job of Object.values(before.job))
        if (job.state === "running") tell(job, cluster.value.job[job.id]);
  } catch (e) {
    if (mine !== generation || pending !== since) return;
    pending = null;
    loadError.value = e instanceof Error ? e.message : String(e);
    retryTimer = window.setTimeout(() => {
      if (mine === generation) void refetch(mine);
    }, 2000);
  }
}

function receive(change: Change): void {
  pending?.push(change);
  if (!loaded.value) return;
  if (change.kind === "job")
    tell(cluster.value.job[change.id], change.object as Job | null);
  cluster.value = applyChange(cluster.value, change);
}

function tell(before: Job | undefined, after: Job | null | undefined): void {
  if (!after) return;
  const notice = jobNotice(before, after);
  if (notice) notify(notice);
}

/** Puts an object that a request returned into the picture at once. */
export function remember(kind: Kind, object: unknown): void {
  if (typeof object !== "object" || object === null) return;
  const id = (object as { id?: unknown }).id;
  if (typeof id !== "string") return;
  if (kind === "job") tell(cluster.value.job[id], object as Job);
  // An event may have been faster than the answer, and knows more.
  if (kind === "job" && cluster.value.job[id]) return;
  cluster.value = applyChange(cluster.value, { kind, id, object });
}

export function forget(kind: Kind, id: string): void {
  cluster.value = applyChange(cluster.value, { kind, id, object: null });
}

function pollOverview(mine: number): void {
  const again = () => {
    if (mine === generation)
      overviewTimer = window.setTimeout(() => pollOverview(mine), OVERVIEW_MS);
  };
  if (document.hidden) return again();
  get<Overview>("/overview").then(
    (o) => {
      if (mine !== generation) return;
      overview.value = o;
      if (o.wan && Number.isFinite(o.wan.in))
        samples.value = addSample(samples.value, {
          at: Date.now(),
          in: o.wan.in,
          out: o.wan.out,
        });
      again();
    },
    () => again(),
  );
}
