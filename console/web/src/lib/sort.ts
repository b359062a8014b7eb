// Sorting and searching of tables.  Pure.

export interface Sort {
  key: string;
  down: boolean;
}

export type Value = string | number | null | undefined;

/** Natural order: "vm-2" before "vm-10"; absent values last either way. */
export function sortBy<T>(rows: T[], value: (row: T) => Value, down: boolean): T[] {
  const sign = down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const x = value(a) ?? null;
    const y = value(b) ?? null;
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    const order =
      typeof x === "number" && typeof y === "number"
        ? x - y
        : String(x).localeCompare(String(y), undefined, { numeric: true });
    return sign * order;
  });
}

/** Whether every word of 'query' occurs in one of 'texts'. */
export function matches(query: string, texts: (string | null | undefined)[]): boolean {
  const hay = texts.map((t) => (t ?? "").toLowerCase());
  return query
    .toLowerCase()
    .split(/\s+/)
    .filter((w) => w !== "")
    .every((w) => hay.some((h) => h.includes(w)));
}

/** An address as a number, so that .9 sorts before .10. */
export function ipValue(ip: string | null | undefined): number | null {
  if (!ip) return null;
  const parts = ip.split(".").map(Number);
  if (parts.length !== 4 || parts.some((p) => !(p >= 0 && p <= 255))) return null;
  return parts.reduce((a, p) => a * 256 + p, 0);
}
