// What a node's probes and its provider's notices mean to a person.  Pure.
import type { Node, NodeNotice, Probe } from "../api/types";

const titles: Record<string, { title: string; about: string }> = {
  "cpuid-faulting": { title: "CPUID faulting", about: "Lets Xen show every guest the same processor, whatever is below." },
  kvm: { title: "Hardware virtualisation", about: "Lets full virtual machines run at full speed." },
  clock: { title: "Clock", about: "How far it is from the controller’s." },
  disk: { title: "Disk", about: "How fast the VMs’ blocks are written." },
  nic: { title: "Network card", about: "What the provider gives." },
  mtu: { title: "MTU", about: "The largest packet that gets through to other nodes." },
  reachable: { title: "Reachable from outside", about: "Whether other nodes can connect to it." },
};

const order = Object.keys(titles);

export const probeTitle = (name: string): string => titles[name]?.title ?? name;
export const probeAbout = (name: string): string => titles[name]?.about ?? "";

/** In the order of the list above; unknown ones last, as they come. */
export function orderProbes(probes: Probe[]): Probe[] {
  const at = (p: Probe) => {
    const i = order.indexOf(p.name);
    return i < 0 ? order.length : i;
  };
  return [...probes].sort((a, b) => at(a) - at(b));
}

const kinds: Record<string, string> = {
  revocation: "The provider takes it back",
  maintenance: "The provider has announced maintenance",
  rebalance: "The provider says it may soon be taken back",
};

const actions: Record<string, string> = {
  terminate: "it ends",
  stop: "it is stopped",
  hibernate: "it is hibernated",
  reboot: "it restarts",
  freeze: "it stands still for some seconds",
};

/** The notice that stands; null: none. */
export const standingNotice = (n: Node): NodeNotice | null => (n.notice && n.notice.kind !== "none" ? n.notice : null);

export const noticeTitle = (n: NodeNotice): string => kinds[n.kind] ?? "The provider says";
export const noticeAction = (n: NodeNotice): string => actions[n.action] ?? "it begins";

/** Those that matter most first: revocations, then what comes soonest. */
export const withNotices = (nodes: Node[]): Node[] =>
  nodes
    .filter((n) => standingNotice(n) !== null)
    .sort((a, b) => {
      const x = standingNotice(a)!;
      const y = standingNotice(b)!;
      return Number(y.kind === "revocation") - Number(x.kind === "revocation") || (x.at || Infinity) - (y.at || Infinity);
    });
