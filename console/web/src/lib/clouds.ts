// What a person has to know about each provider, and what a node needs there.
// Pure.
import type { Driver } from "../api/types";

export interface Cloud {
  value: string; // As 'provider' in the user-data.
  text: string;
  driver: string; // Whose limits hold.
  limit: number; // Of user-data, bytes, before any encoding.
  where: string; // Where in the provider's console it is pasted.
  note?: string;
  region: string; // An example.
}

/** In the order of the choice.  Limits: the drivers' own, if they are known. */
export const clouds: readonly Cloud[] = [
  {
    value: "ec2",
    text: "Amazon EC2",
    driver: "ec2",
    limit: 16384,
    where: "Launch an instance → Advanced details → User data. Leave “already base64 encoded” off.",
    region: "eu-central",
  },
  {
    value: "gce",
    text: "Google Compute Engine",
    driver: "gce",
    limit: 262144,
    where: "Create an instance → Advanced → Management → Metadata: a key named “user-data” with this text as its value.",
    region: "europe-west",
  },
  {
    value: "azure",
    text: "Microsoft Azure",
    driver: "azure",
    limit: 65535,
    where: "Create a virtual machine → Advanced → Custom data.",
    note:
      "Xen cannot run on Azure. The image boots the plain kernel there, and VMs run in QEMU with KVM, on sizes with nested virtualisation (such as Dsv5). Such VMs move between nodes of the same kind, not to Xen nodes.",
    region: "germany-west",
  },
  {
    value: "rackspace",
    text: "Rackspace",
    driver: "openstack",
    limit: 65535,
    where: "Launch instance → Configuration → Customization script (Flex). First generation: Create server → Advanced → User data, with the config drive on.",
    region: "dfw",
  },
  {
    value: "openstack",
    text: "OpenStack",
    driver: "openstack",
    limit: 65535,
    where: "Launch instance → Configuration → Customization script.",
    region: "region-one",
  },
  {
    value: "local",
    text: "This machine (QEMU)",
    driver: "local",
    limit: 1048576,
    where: "Save it as a file and give it to the local driver as the instance’s user-data.",
    region: "lab",
  },
];

export const cloudOf = (provider: string): Cloud | undefined => clouds.find((c) => c.value === provider);

export const driverText = (name: string): string =>
  name === "rackspace-classic" ? "Rackspace, first generation" : (clouds.find((c) => c.value === name)?.text ?? name);

/** The region that an account's settings put first; "": none. */
export function ownRegion(config: Record<string, unknown>): string {
  for (const key of ["regions", "region", "location"]) {
    const v = config[key];
    const first = typeof v === "string" ? v.split(",")[0]!.trim() : Array.isArray(v) ? String(v[0] ?? "") : "";
    if (first !== "") return first;
  }
  return "";
}

/** The limit of user-data in bytes; null: not known. */
export function limitOf(provider: string, drivers: Driver[]): number | null {
  const cloud = cloudOf(provider);
  const own = drivers.find((d) => d.name === (cloud?.driver ?? provider))?.user_data_max;
  return own || cloud?.limit || null;
}

/** About how long the user-data of a node will be, bytes: the rest is fixed by
 * the length of a token. */
export const userDataEstimate = (name: string, region: string, provider: string): number =>
  360 + name.length + region.length + provider.length;

export interface Rule {
  protocol: "tcp" | "udp" | "icmp";
  port_from: number;
  port_to: number;
  cidr: string;
}

/** What is let in to a node, and what for: docs/operations.md. */
export const nodePorts: readonly { protocol: Rule["protocol"]; port: number; what: string; open?: string }[] = [
  { protocol: "tcp", port: 7480, what: "Disk blocks, TLS" },
  { protocol: "tcp", port: 7482, what: "Migrations, TLS" },
  { protocol: "udp", port: 7481, what: "Latency probes" },
  { protocol: "udp", port: 4789, what: "The VMs’ networks, VXLAN", open: "VXLAN is not encrypted: whoever reaches this port reaches the VMs’ networks." },
];

const octet = "(25[0-5]|2[0-4]\\d|1?\\d?\\d)";
const cidr4 = new RegExp(`^${octet}\\.${octet}\\.${octet}\\.${octet}(/(3[0-2]|[12]?\\d))?$`);

/** "198.51.100.7, 10.0.0.0/8" as networks; null: one of them is not. */
export function parseSources(text: string): string[] | null {
  const parts = text.split(/[\s,]+/).filter((p) => p !== "");
  if (parts.length === 0) return null;
  const out: string[] = [];
  for (const p of parts) {
    if (/^[0-9a-f:]+(\/\d{1,3})?$/i.test(p) && p.includes(":")) out.push(p.includes("/") ? p : `${p}/128`);
    else if (cidr4.test(p)) out.push(p.includes("/") ? p : `${p}/32`);
    else return null;
  }
  return [...new Set(out)];
}

/** "7480" or "7000-7100" as a range; null: neither. */
export function parsePorts(text: string): [number, number] | null {
  const m = /^\s*(\d{1,5})(?:\s*[-–]\s*(\d{1,5}))?\s*$/.exec(text);
  if (!m) return null;
  const from = Number(m[1]);
  const to = m[2] === undefined ? from : Number(m[2]);
  return from >= 1 && to <= 65535 && from <= to ? [from, to] : null;
}

/** The numbered names of 'count' instances: one keeps the name as it is. */
export const launchNames = (name: string, count: number): string[] =>
  count <= 1 ? [name] : Array.from({ length: Math.min(count, 32) }, (_, i) => `${name}-${i + 1}`);
