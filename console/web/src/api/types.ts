// The objects of /api/v1, as docs/protocols/api.md describes them.
// Units: *_at ms since 1970, *_ms milliseconds, *_mib MiB, sizes in bytes.

export type Role = "viewer" | "operator" | "admin";

export interface Session {
  user: string;
  role: Role;
  csrf: string;
}

export type NodeState = "joining" | "up" | "down";

export interface Node {
  id: string;
  nid: number;
  name: string;
  region: string;
  provider: string;
  address: string;
  state: NodeState;
  hypervisor: string;
  version: string;
  boot: { mode: string; reason?: string | null } | null;
  cpus: number;
  memory_mib: number;
  memory_free_mib: number;
  vms: number;
  last_seen_at: number;
  joined_at: number;
  programs: Record<string, boolean> | null;
  probes?: Probe[] | null;
  probed_at?: number | null;
  notice?: NodeNotice | null;
}

/** Something a node tried about its machine. */
export interface Probe {
  name: string;
  ok: boolean;
  value: string;
  why: string; // What follows if it is not ok.
}

/** What the provider has said is going to happen to a node's machine. */
export interface NodeNotice {
  kind: "revocation" | "maintenance" | "rebalance" | "none";
  action: string;
  at: number; // 0: not said.
  source: string;
  text: string;
  heard_at: number;
}

export type VmState =
  | "pending"
  | "starting"
  | "running"
  | "migrating"
  | "stopping"
  | "stopped"
  | "deleting"
  | "failed"
  | "unknown";

export interface Volume {
  id: string;
  dev: string;
  size: number;
}

export interface Port {
  id: string;
  network: string;
  network_name: string;
  mac: string;
  ip: string;
  iface: string;
}

export interface Vm {
  id: string;
  name: string;
  state: VmState;
  node: string | null;
  node_name: string | null;
  region: string | null;
  epoch: number;
  vcpus: number;
  memory_mib: number;
  image: string | null;
  image_name: string | null;
  volumes: Volume[] | null;
  ports: Port[] | null;
  created_at: number;
  error: string | null;
  job: string | null;
}

export type ImageKind = "disk" | "kernel" | "ramdisk";

export interface Image {
  id: string;
  name: string;
  kind: ImageKind;
  size: number;
  sha256: string | null;
  state: "queued" | "uploading" | "active" | "deleting";
  kernel: string | null;
  ramdisk: string | null;
  cmdline: string | null;
  min_memory_mib: number | null;
  received?: number; // Bytes so far, while it uploads.
  created_at: number;
}

export interface Network {
  id: string;
  name: string;
  cidr: string;
  gateway: string | null;
  dns: string | null;
  vni: number;
  mtu: number;
  dhcp_start: string | null;
  dhcp_end: string | null;
  created_at: number;
}

export type StepState = "waiting" | "running" | "done" | "failed" | "undone";

export interface Step {
  name: string;
  state: StepState;
  started_at: number | null;
  ended_at: number | null;
  detail: string | null;
}

export interface Job {
  id: string;
  kind: string;
  object_id: string | null;
  object_name: string | null;
  state: "running" | "done" | "failed" | "rolling-back" | "cancelled";
  error: string | null;
  progress: number;
  started_at: number;
  ended_at: number | null;
  steps: Step[] | null;
  log: { at: number; text: string }[] | null;
  result: Record<string, unknown> | null;
  cancel_at?: number | null;
  cancel_by?: string | null;
  may_cancel?: boolean;
  cancel_note?: string | null;
}

export interface Token {
  id: string;
  region?: string | null;
  provider?: string | null;
  uses?: number | null;
  uses_left?: number | null;
  used?: number | null;
  expires_at?: number | null;
}

export interface Latency {
  from: string;
  to: string;
  rtt_ms: number;
}

export interface Overview {
  regions: {
    name: string;
    nodes: number;
    nodes_up: number;
    vms: number;
    memory_mib: number;
    memory_free_mib: number;
  }[];
  latency: Latency[];
  counts: Record<string, number>;
  jobs_running: Job[];
  wan: { in: number; out: number };
}

export interface DriverField {
  name: string;
  about: string;
  required: boolean;
  secret: boolean;
}

export interface Driver {
  name: string;
  about: string;
  fields: DriverField[];
  user_data_max: number; // Bytes; 0: not known.
  image_format: string;
  permissions: string;
}

/** An account at an infrastructure cloud. */
export interface Provider {
  id: string;
  name: string;
  driver: string;
  config: Record<string, unknown>;
  has_secret: boolean;
  identity: string | null;
  state: "ok" | "failed";
  error: string | null;
  created_at: number;
  checked_at: number | null;
}

export type PublishedState = "queued" | "uploading" | "publishing" | "active" | "failed" | "deleting";

/** An image of ours at a provider. */
export interface Published {
  id: string;
  provider: string;
  name: string;
  region: string;
  state: PublishedState;
  image_id: string | null;
  file: string;
  format: string;
  size: number;
  virtual_size: number;
  sha256: string;
  received: number | null;
  error: string | null;
  job: string | null;
  created_at: number;
}

export interface Instance {
  id: string;
  name: string;
  region: string;
  zone: string;
  type: string;
  image: string;
  address: string;
  private_address: string;
  console: string;
  state: "pending" | "running" | "stopped" | "terminated";
  spot: boolean;
  created_at: number;
  node: string | null;
  node_name: string | null;
  job: string | null;
}

export interface InstanceType {
  name: string;
  vcpus: number;
  memory_mib: number;
  nested_virtualisation: boolean;
  xen: boolean;
}

export interface Price {
  type: string;
  region: string;
  zone: string;
  what: "on-demand" | "spot" | "egress-internet" | "egress-region";
  unit: "hour" | "GiB";
  amount: number; // US dollars
  at: number;
}

export interface Resource {
  kind: string;
  id: string;
  name: string;
  region: string;
  detail: string;
  created_at: number;
  why?: string;
}

export interface UserData {
  user_data: string;
  size?: number;
  limit?: number | null; // 0 or null: not known.
  fits?: boolean;
  token_id?: string | null; // A controller's has none.
  expires_at?: number | null;
}

export type Kind = "vm" | "node" | "job" | "image" | "network" | "provider" | "provider-image";

export interface Change {
  kind: Kind;
  id: string;
  object: unknown;
}
