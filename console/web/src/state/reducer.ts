// The cluster as this page knows it: what the lists said, and every change
// since.  Pure; the store around it holds the signals.
import type { Change, Image, Job, Kind, Network, Node, Provider, Published, Vm } from "../api/types";
import { jobDoing, jobDone, jobVerb } from "../lib/format";

export interface Cluster {
  vm: Record<string, Vm>;
  node: Record<string, Node>;
  job: Record<string, Job>;
  image: Record<string, Image>;
  network: Record<string, Network>;
  provider: Record<string, Provider>;
  "provider-image": Record<string, Published>;
}

export const emptyCluster: Cluster = {
  vm: {},
  node: {},
  job: {},
  image: {},
  network: {},
  provider: {},
  "provider-image": {},
};

/** Jobs kept in memory; the oldest that ended go first. */
export const MAX_JOBS = 300;

const kinds: readonly Kind[] = ["vm", "node", "job", "image", "network", "provider", "provider-image"];

/** Reads the data of one event; null if it is not a change we know. */
export function decodeChange(data: string): Change | null {
  let v: unknown;
  try {
    v = JSON.parse(data);
  } catch {
    return null;
  }
  if (typeof v !== "object" || v === null) return null;
  const c = v as Partial<Change>;
  if (typeof c.id !== "string" || !kinds.includes(c.kind as Kind)) return null;
  if (c.object !== null && typeof c.object !== "object") return null;
  return { kind: c.kind as Kind, id: c.id, object: c.object ?? null };
}

/** 'state' after 'change'; the same object if nothing is new. */
export function applyChange(state: Cluster, change: Change): Cluster {
  const table = state[change.kind] as Record<string, { id: string }>;
  const next = { ...table };
  if (change.object === null) {
    if (!(change.id in table)) return state;
    delete next[change.id];
  } else {
    next[change.id] = change.object as { id: string };
  }
  if (change.kind === "job") dropOldJobs(next as unknown as Record<string, Job>);
  return { ...state, [change.kind]: next };
}

function dropOldJobs(jobs: Record<string, Job>): void {
  const ids = Object.keys(jobs);
  if (ids.length <= MAX_JOBS) return;
  const ended = ids
    .filter((id) => jobs[id]!.ended_at)
    .sort((a, b) => jobs[a]!.started_at - jobs[b]!.started_at);
  for (const id of ended.slice(0, ids.length - MAX_JOBS)) delete jobs[id];
}

/** A fresh snapshot with the changes that arrived while it was fetched. */
export const rebase = (snapshot: Cluster, since: Change[]): Cluster =>
  since.reduce(applyChange, snapshot);

export function index<T extends { id: string }>(list: T[]): Record<string, T> {
  return Object.fromEntries(list.map((x) => [x.id, x]));
}

export interface Notice {
  tone: "info" | "good" | "bad";
  text: string;
  job: string;
}

/** What a person should hear about a job's change; null: nothing. */
export function jobNotice(before: Job | undefined, after: Job): Notice | null {
  const name = after.object_name || "";
  if (after.state === "done" && before?.state !== "done" && before)
    return { tone: "good", text: `${name} ${jobDone(after.kind)}`.trim(), job: after.id };
  if (after.state === "failed" && before?.state !== "failed" && before) {
    const why = after.error ? `: ${after.error}` : "";
    return {
      tone: "bad",
      text: `${jobVerb(after.kind)} ${name} failed${why}`,
      job: after.id,
    };
  }
  if (after.state === "cancelled" && before?.state !== "cancelled" && before)
    return { tone: "good", text: `${jobVerb(after.kind)} ${name} was cancelled`, job: after.id };
  if (after.state === "running" && !before)
    return { tone: "info", text: `${jobDoing(after.kind)} ${name}…`, job: after.id };
  return null;
}
