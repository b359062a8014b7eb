// Numbers, times and names in words.  Pure: 'now' is an argument.

const KIB = 1024;

/** What a terminal would show of a serial log: no escape sequences, no bare
 * carriage returns, no other control characters. */
export const plainText = (raw: string): string =>
  raw
    .replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g, "")
    .replace(/\r+\n/g, "\n")
    .replace(/\r/g, "\n")
    .replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");

/** 1536 -> "1.5 KiB". */
export function bytes(n: number): string {
  if (!Number.isFinite(n) || n < 0) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let i = 0;
  while (n >= KIB && i < units.length - 1) {
    n /= KIB;
    i++;
  }
  const digits = i === 0 || n >= 100 ? 0 : n >= 10 ? 1 : 2;
  return `${trimZeros(n.toFixed(digits))} ${units[i]}`;
}

/** Memory in MiB: 512 -> "512 MiB", 2048 -> "2 GiB". */
export const mib = (n: number): string => bytes(n * KIB * KIB);

/** Bytes a second as network people say it: 1250000 -> "10 Mbit/s". */
export function bitRate(bytesPerSecond: number): string {
  let n = bytesPerSecond * 8;
  if (!Number.isFinite(n) || n < 0) return "–";
  const units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return `${trimZeros(n.toFixed(i === 0 || n >= 100 ? 0 : 1))} ${units[i]}`;
}

function trimZeros(s: string): string {
  return s.includes(".") ? s.replace(/\.?0+$/, "") : s;
}

/** A round trip: 0.42 -> "0.42 ms", 75.3 -> "75 ms". */
export function rtt(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return "–";
  return `${trimZeros(ms.toFixed(ms < 1 ? 2 : ms < 10 ? 1 : 0))} ms`;
}

/** Dollars, with as many digits as small prices need: 0.0416 -> "$0.0416". */
export function usd(amount: number): string {
  if (!Number.isFinite(amount) || amount < 0) return "–";
  return `$${amount.toFixed(amount >= 100 ? 0 : amount >= 1 ? 2 : 4)}`;
}

/** The time until 'at': "1:58", "2:03:07", "now". */
export function countdown(at: number, now: number): string {
  const s = Math.ceil((at - now) / 1000);
  if (s <= 0) return "now";
  const pad = (n: number) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600);
  const m = Math.floor((s % 3600) / 60);
  if (h >= 48) return `${Math.floor(h / 24)} days`;
  return h > 0 ? `${h}:${pad(m)}:${pad(s % 60)}` : `${m}:${pad(s % 60)}`;
}

/** A span: 950 -> "0.95 s", 65000 -> "1 min 5 s". */
export function duration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 10) return `${trimZeros(s.toFixed(1))} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return join(m, "min", Math.floor(s % 60), "s");
  const h = Math.floor(m / 60);
  if (h < 24) return join(h, "h", m % 60, "min");
  return join(Math.floor(h / 24), "d", h % 24, "h");
}

function join(a: number, unitA: string, b: number, unitB: string): string {
  return b ? `${a} ${unitA} ${b} ${unitB}` : `${a} ${unitA}`;
}

/** "just now", "12 s ago", "3 min ago", "in 2 h". */
export function relative(at: number, now: number): string {
  const d = now - at;
  const span = Math.abs(d);
  if (span < 5000) return "just now";
  const s = Math.floor(span / 1000);
  const text =
    s < 60
      ? `${s} s`
      : s < 3600
        ? `${Math.floor(s / 60)} min`
        : s < 86400
          ? `${Math.floor(s / 3600)} h`
          : `${Math.floor(s / 86400)} d`;
  return d >= 0 ? `${text} ago` : `in ${text}`;
}

export function dateTime(at: number): string {
  return new Date(at).toLocaleString(undefined, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
}

export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString(undefined, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
}

export const plural = (n: number, one: string, many = `${one}s`): string =>
  `${n} ${n === 1 ? one : many}`;

const verbs: Record<string, [string, string, string]> = {
  "vm.create": ["Create", "Creating", "created"],
  "vm.start": ["Start", "Starting", "started"],
  "vm.stop": ["Stop", "Stopping", "stopped"],
  "vm.migrate": ["Migrate", "Migrating", "migrated"],
  "vm.delete": ["Delete", "Deleting", "deleted"],
  "image.import": ["Import", "Importing", "imported"],
  "image.delete": ["Delete image", "Deleting image", "deleted"],
  "provider.publish": ["Publish", "Publishing", "published"],
  "provider.launch": ["Launch", "Launching", "launched"],
  "provider.terminate": ["Terminate", "Terminating", "terminated"],
  "provider.fence": ["Power off", "Powering off", "powered off"],
  "provider.image_delete": ["Delete published image", "Deleting published image", "deleted at the provider"],
  "provider.gc": ["Clean up", "Cleaning up", "cleaned up"],
};

/** "vm.migrate" -> "Migrate". */
export const jobVerb = (kind: string): string => verbs[kind]?.[0] ?? kind;
/** "vm.migrate" -> "Migrating". */
export const jobDoing = (kind: string): string => verbs[kind]?.[1] ?? kind;
/** "vm.migrate" -> "migrated". */
export const jobDone = (kind: string): string => verbs[kind]?.[2] ?? `${kind} done`;

const stepTitles: Record<string, string> = {
  allow: "Allow the node to write",
  announce: "Announce the new place",
  check: "Check both nodes",
  fence: "Power it off",
  find: "Find what is left over",
  finish: "Take over at the destination",
  forget: "Forget its node",
  join: "Wait until it has joined",
  launch: "Launch at the provider",
  network: "Prepare the network",
  prepare: "Prepare the destination",
  publish: "Upload and register at the provider",
  remove: "Remove it",
  start: "Start the guest",
  stop: "Stop the guest",
  terminate: "End it at the provider",
  transfer: "Transfer memory and disks",
  unplug: "Unplug from the network",
  "user-data": "Make the user-data",
  volumes: "Make the volumes",
};

/** A step of a job as a title. */
export const stepTitle = (name: string): string => stepTitles[name] ?? words(name);

/** A text with a capital letter at its beginning. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** "prepare_destination" -> "Prepare destination". */
export function words(name: string): string {
  const s = name.replace(/[_.-]+/g, " ").trim();
  return s.charAt(0).toUpperCase() + s.slice(1);
}
