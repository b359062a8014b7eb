// Where a VM can go.  The controller decides; this tells beforehand, in the
// dialogs, what it will say.  Pure.
import type { Latency, Node, Vm } from "../api/types";
import { mib } from "./format";
import { rttFrom } from "./map";

export interface Target {
  node: Node;
  rtt: number | null; // ms from where the VM runs; null: not measured.
  free_after: number; // MiB
  refusal: string | null; // Why not, in words.
}

export function refusalOf(node: Node, memory_mib: number): string | null {
  if (node.state !== "up") return node.state === "down" ? "The node is down" : "Still joining";
  if (node.programs && node.programs["sc-node"] === false)
    return "Its sc-node does not run";
  if (node.memory_free_mib < memory_mib)
    return `Needs ${mib(memory_mib)}, has ${mib(node.memory_free_mib)} free`;
  return null;
}

/** All nodes as targets of a migration: possible ones first, nearest first. */
export function migrationTargets(vm: Vm, nodes: Node[], latency: Latency[]): Target[] {
  const from = rttFrom(latency, vm.node_name ?? "");
  return nodes
    .filter((n) => n.id !== vm.node)
    .map((node) => ({
      node,
      rtt: from.get(node.name) ?? null,
      free_after: node.memory_free_mib - vm.memory_mib,
      refusal: refusalOf(node, vm.memory_mib),
    }))
    .sort(
      (a, b) =>
        Number(a.refusal !== null) - Number(b.refusal !== null) ||
        (a.rtt ?? Infinity) - (b.rtt ?? Infinity) ||
        a.node.name.localeCompare(b.node.name, undefined, { numeric: true }),
    );
}

/** Wrong with a name that a person gives; null: nothing.  The rule is the
 * controller's (sc_name_ok). */
export function nameError(name: string, taken: string[] = []): string | null {
  if (name === "") return "Give it a name.";
  if (name.length > 63) return "A name has at most 63 characters.";
  if (!/^[A-Za-z0-9]/.test(name)) return "Begin with a letter or a digit.";
  if (!/^[A-Za-z0-9._-]+$/.test(name)) return "Use letters, digits, dots, hyphens and underscores only.";
  return taken.includes(name) ? `There is already one called ${name}.` : null;
}

/** Wrong with a whole number in a field; null: nothing. */
export function numberError(text: string, min: number, max: number, unit: string): string | null {
  const n = Number(text);
  if (text.trim() === "" || !Number.isInteger(n)) return "Write a whole number.";
  if (n < min) return `At least ${min} ${unit}.`.replace(" .", ".");
  if (n > max) return `At most ${max} ${unit}.`.replace(" .", ".");
  return null;
}
