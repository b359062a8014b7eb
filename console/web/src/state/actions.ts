// What a user may do to a VM, and what came of it.  An error stays beside
// the VM until the next action on it.
import { signal } from "@preact/signals";
import { del, post } from "../api/client";
import type { Job, Vm, VmState } from "../api/types";
import { cluster, remember, targets } from "./store";

interface Begun {
  vm?: Vm;
  job?: Job;
}

/** The last action's error by VM id. */
export const vmErrors = signal<Record<string, string>>({});
/** VMs for which a request is under way. */
export const vmBusy = signal<ReadonlySet<string>>(new Set());

export const setVmError = (id: string, text: string | null): void => {
  const { [id]: _, ...rest } = vmErrors.value;
  vmErrors.value = text === null ? rest : { ...rest, [id]: text };
};

function took(b: Begun): void {
  if (b.job) remember("job", b.job);
  // The event of a later state may have come first; jobs tell the rest.
  if (b.vm && !cluster.value.vm[b.vm.id]) remember("vm", b.vm);
}

async function quietly(id: string, f: () => Promise<void>): Promise<void> {
  setVmError(id, null);
  vmBusy.value = new Set([...vmBusy.value, id]);
  try {
    await f();
  } catch (e) {
    setVmError(id, e instanceof Error ? e.message : String(e));
  } finally {
    vmBusy.value = new Set([...vmBusy.value].filter((x) => x !== id));
  }
}

const path = (id: string) => `/vms/${encodeURIComponent(id)}`;

export const startVm = (id: string): Promise<void> =>
  quietly(id, async () => took(await post<Begun>(`${path(id)}/start`)));

export const stopVm = (id: string, force = false): Promise<void> =>
  quietly(id, async () => took(await post<Begun>(`${path(id)}/stop`, force ? { force } : {})));

/** These three throw: their dialogs show the error. */
export async function migrateVm(id: string, node: string): Promise<void> {
  setVmError(id, null);
  const b = await post<Begun>(`${path(id)}/migrate`, { node });
  if (b.job) targets.set(b.job.id, node);
  took(b);
}

/** 'force' gives up a VM whose node is down. */
export async function deleteVm(id: string, force: boolean): Promise<void> {
  setVmError(id, null);
  took(await del<Begun>(path(id) + (force ? "?force=true" : "")));
}

export async function createVm(params: Record<string, unknown>): Promise<Begun> {
  const b = await post<Begun>("/vms", params);
  took(b);
  return b;
}

/** Throws: its dialog shows the error. */
export async function cancelJob(id: string): Promise<void> {
  took(await post<Begun>(`/jobs/${encodeURIComponent(id)}/cancel`));
}

// What each state allows; the same moves as the controller's.
export const mayStart = (s: VmState): boolean => s === "stopped" || s === "failed";
export const mayStop = (s: VmState): boolean => s === "running" || s === "starting" || s === "unknown";
export const mayMigrate = (s: VmState): boolean => s === "running";
export const mayDelete = (s: VmState): boolean => s !== "deleting" && s !== "migrating";
