// IPv4 networks as the create dialog needs them.  Pure.

export interface Cidr {
  network: number;
  prefix: number;
}

/** Reads "10.1.0.0/24"; a string says what is wrong with it. */
export function parseCidr(text: string): Cidr | string {
  const m = /^\s*(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})\s*$/.exec(text);
  if (!m) return "Write it like 10.1.0.0/24.";
  const octets = m.slice(1, 5).map(Number);
  if (octets.some((o) => o > 255)) return "Each part of the address is 0 to 255.";
  const prefix = Number(m[5]);
  if (prefix < 8 || prefix > 29) return "The prefix length is 8 to 29.";
  const address = octets.reduce((a, o) => a * 256 + o, 0);
  const size = 2 ** (32 - prefix);
  if (address % size !== 0)
    return `The network of /${prefix} here is ${ipText(address - (address % size))}.`;
  return { network: address, prefix };
}

export function ipText(n: number): string {
  return [24, 16, 8, 0].map((s) => Math.floor(n / 2 ** s) % 256).join(".");
}

/** Reads "10.1.0.1"; null if it is no address. */
export function parseIp(text: string): number | null {
  const m = /^\s*(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\s*$/.exec(text);
  if (!m) return null;
  const octets = m.slice(1, 5).map(Number);
  return octets.some((o) => o > 255) ? null : octets.reduce((a, o) => a * 256 + o, 0);
}

/** Addresses that hosts may have. */
export const hostCount = (c: Cidr): number => 2 ** (32 - c.prefix) - 2;

export const firstHost = (c: Cidr): string => ipText(c.network + 1);

/** Whether an address is one a host of 'c' may have. */
export function isHostOf(ip: number, c: Cidr): boolean {
  return ip > c.network && ip < c.network + 2 ** (32 - c.prefix) - 1;
}
