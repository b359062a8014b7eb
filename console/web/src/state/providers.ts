// Providers: the drivers there are, and what is done to an account.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { del, get, post, request } from "../api/client";
import type { Driver, Instance, Job, Kind, Provider, Published } from "../api/types";
import { forget, jobs, nodes, remember } from "./store";

/** null: not fetched yet.  They change with the controller's version only. */
export const drivers = signal<Driver[] | null>(null);
export const driversError = signal<string | null>(null);

export async function loadDrivers(): Promise<void> {
  if (drivers.value) return;
  driversError.value = null;
  try {
    drivers.value = (await get<{ drivers: Driver[] }>("/provider-drivers")).drivers;
  } catch (e) {
    driversError.value = (e as Error).message;
  }
}

export const useDrivers = (): Driver[] | null => {
  useEffect(() => void loadDrivers(), []);
  return drivers.value;
};

export const driverOf = (name: string): Driver | undefined => drivers.value?.find((d) => d.name === name);

export const providerPath = (p: Provider | string): string =>
  `/providers/${encodeURIComponent(typeof p === "string" ? p : p.id)}`;

/** Puts the job of an answer into the picture. */
export function tookJob(r: { job?: Job | null }): Job | null {
  if (r.job) remember("job", r.job);
  return r.job ?? null;
}

export async function createProvider(body: Record<string, unknown>): Promise<Provider> {
  const p = await post<Provider>("/providers", body);
  remember("provider", p);
  return p;
}

export async function updateProvider(p: Provider, body: Record<string, unknown>): Promise<void> {
  remember("provider", await request<Provider>("PUT", providerPath(p), body));
}

/** 'force' forgets its images and instances; the cloud keeps them. */
export async function deleteProvider(p: Provider, force: boolean): Promise<void> {
  await del(providerPath(p) + (force ? "?force=true" : ""));
  forget("provider", p.id);
}

export async function deletePublished(i: Published): Promise<void> {
  const job = tookJob(await del<{ job?: Job }>(`${providerPath(i.provider)}/images/${encodeURIComponent(i.id)}`));
  if (!job) forget("provider-image" satisfies Kind, i.id);
}

/** The path of what is done to an instance, or read of it. */
export const instancePath = (p: Provider, i: Instance, what: string): string =>
  `${providerPath(p)}/instances/${encodeURIComponent(i.id)}/${what}?region=${encodeURIComponent(i.region)}`;

/** 'force': with the VMs that are on it. */
export async function terminateInstance(p: Provider, i: Instance, force: boolean): Promise<void> {
  const query = `region=${encodeURIComponent(i.region)}${force ? "&force=true" : ""}`;
  tookJob(await del<{ job?: Job }>(`${providerPath(p)}/instances/${encodeURIComponent(i.id)}?${query}`));
}

export async function fenceInstance(p: Provider, i: Instance): Promise<void> {
  tookJob(await post<{ job?: Job }>(`${providerPath(p)}/instances/${encodeURIComponent(i.id)}/fence`, { region: i.region }));
}

/** What a provider itself is asked for each time (instances, leftovers):
 * fetched again when 'mark' changes or again() is called.  The old list stays
 * while the new one is on its way. */
export function useRemote<T>(load: (signal: AbortSignal) => Promise<T>, mark: string) {
  const [data, setData] = useState<T | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [loading, setLoading] = useState(true);
  const [n, setN] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setLoading(true);
    load(stop.signal).then(
      (d) => {
        setData(d);
        setError(null);
        setLoading(false);
      },
      (e: Error) => {
        if (stop.signal.aborted) return;
        setError(e.message);
        setLoading(false);
      },
    );
    return () => stop.abort();
  }, [mark, n]);
  return { data, error, loading, again: () => setN((x) => x + 1) };
}

/** Changes whenever a job of providers moves on or a node comes or goes: what
 * the instances' list depends on. */
export const providerMark = (): string =>
  jobs.value
    .filter((j) => j.kind.startsWith("provider."))
    .map((j) => `${j.id}${j.state}${(j.steps ?? []).filter((s) => s.state === "done").length}`)
    .concat(nodes.value.map((n) => `${n.id}${n.state}`))
    .join(" ");
