// Types of instances with their prices side by side.  Pure.
import type { InstanceType, Price } from "../api/types";

export interface Offer extends InstanceType {
  id: string; // Its name: tables want one.
  onDemand: number | null; // US dollars an hour; null: not known.
  spot: number | null; // The cheapest zone's.
  spotZone: string;
  saving: number | null; // Of spot, 0 to 1.
}

const cheapest = (list: Price[], type: string, what: Price["what"]): Price | null =>
  list
    .filter((p) => p.type === type && p.what === what && p.unit === "hour")
    .reduce<Price | null>((best, p) => (best && best.amount <= p.amount ? best : p), null);

/** One row a type; the cheapest zone where prices differ by zone. */
export function offersOf(types: InstanceType[], prices: Price[]): Offer[] {
  // A region has hundreds of types, each with a price a zone.
  const byType = new Map<string, Price[]>();
  for (const p of prices) {
    const list = byType.get(p.type);
    if (list) list.push(p);
    else byType.set(p.type, [p]);
  }
  return types.map((t) => {
    const mine = byType.get(t.name) ?? [];
    const onDemand = cheapest(mine, t.name, "on-demand");
    const spot = cheapest(mine, t.name, "spot");
    return {
      ...t,
      id: t.name,
      onDemand: onDemand?.amount ?? null,
      spot: spot?.amount ?? null,
      spotZone: spot?.zone ?? "",
      saving: onDemand && spot && onDemand.amount > 0 ? 1 - spot.amount / onDemand.amount : null,
    };
  });
}

/** What the chosen way costs an hour; null: not known. */
export const priceOf = (o: Offer, spot: boolean): number | null => (spot ? o.spot : o.onDemand);

/** The traffic prices in a list, in dollars a GiB; null: not known. */
export function egressOf(prices: Price[]): { internet: number | null; region: number | null } {
  const find = (what: Price["what"]) => prices.find((p) => p.what === what && p.unit === "GiB")?.amount ?? null;
  return { internet: find("egress-internet"), region: find("egress-region") };
}

/** Wrong with a maximum price; null: nothing.  Empty means "up to on demand". */
export function maxPriceError(text: string, offer: Offer | undefined): string | null {
  if (text.trim() === "") return null;
  const n = Number(text);
  if (!Number.isFinite(n) || n <= 0) return "Write dollars an hour, such as 0.05.";
  if (offer?.spot !== null && offer?.spot !== undefined && n < offer.spot)
    return `Below the present spot price: it would not start.`;
  return null;
}
