// Types of instances to choose from, with both prices drawn side by side.
import { useState } from "preact/hooks";
import { mib, usd } from "../lib/format";
import type { Offer } from "../lib/prices";
import { type Sort, matches, sortBy, type Value } from "../lib/sort";
import { Icon } from "../ui/icons";
import { LoadingRows } from "../ui/table";

const SHOWN = 12; // Of hundreds; the rest on demand.

const sorts: { key: string; title: string; value: (o: Offer) => Value; num?: boolean }[] = [
  { key: "name", title: "Type", value: (o) => o.name },
  { key: "vcpus", title: "vCPUs", value: (o) => o.vcpus, num: true },
  { key: "memory", title: "Memory", value: (o) => o.memory_mib, num: true },
  { key: "demand", title: "On demand", value: (o) => o.onDemand, num: true },
  { key: "spot", title: "Spot", value: (o) => o.spot, num: true },
];

export function TypeTable({
  offers,
  value,
  onValue,
  spot,
  kvm,
}: {
  offers: Offer[] | null; // null: on their way.
  value: string;
  onValue: (name: string) => void;
  spot: boolean;
  kvm: boolean; // What counts is nested virtualisation, not Xen.
}) {
  const [sort, setSort] = useState<Sort | null>(null);
  const [query, setQuery] = useState("");
  const [fit, setFit] = useState(true);
  const [all, setAll] = useState(false);
  if (!offers) return <LoadingRows n={3} />;
  const fits = (o: Offer) => (kvm ? o.nested_virtualisation : o.xen);
  const by = sort ?? { key: spot ? "spot" : "demand", down: false };
  const column = sorts.find((s) => s.key === by.key)!;
  const some = offers.some(fits);
  const found = sortBy(
    offers.filter((o) => (!fit || !some || fits(o)) && matches(query, [o.name, `${o.vcpus} vcpu`, mib(o.memory_mib)])),
    column.value,
    by.down,
  );
  // The chosen one stays in sight whatever is searched for.
  const top = found.slice(0, all ? undefined : SHOWN);
  const chosen = offers.find((o) => o.name === value);
  const shown = chosen && !top.includes(chosen) ? [chosen, ...top] : top;
  const max = Math.max(0, ...shown.map((o) => Math.max(o.onDemand ?? 0, o.spot ?? 0)));
  const priced = offers.some((o) => o.onDemand !== null || o.spot !== null);
  const head = (s: (typeof sorts)[number]) => {
    const on = by.key === s.key;
    return (
      <th key={s.key} scope="col" class={s.num ? "num" : ""} aria-sort={on ? (by.down ? "descending" : "ascending") : undefined}>
        <button type="button" class="sort" onClick={() => setSort({ key: s.key, down: on && !by.down })}>
          {s.title}
          <span class={`sort-mark${on ? " on" : ""}`}>
            <Icon name={on && by.down ? "down" : "up"} size={12} />
          </span>
        </button>
      </th>
    );
  };
  return (
    <fieldset class="types">
      <legend>Type of the instance</legend>
      <div class="types-tools">
        <input type="search" aria-label="Search types" placeholder="Search types" value={query} onInput={(e) => setQuery(e.currentTarget.value)} />
        <label class="check">
          <input type="checkbox" checked={fit} disabled={!some} onChange={(e) => setFit(e.currentTarget.checked)} />
          <span>{kvm ? "With nested virtualisation only" : "Where Xen can run only"}</span>
        </label>
      </div>
      <div class="types-box" tabIndex={0} role="group" aria-label="Types of instances">
        <table>
          <thead>
            <tr>
              {sorts.slice(0, 3).map(head)}
              <th scope="col">Virtualisation</th>
              {priced && sorts.slice(3).map(head)}
              {priced && (
                <th scope="col" class="price-col">
                  <span class="hidden">Prices drawn</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {shown.map((o) => (
              <tr key={o.name} class={o.name === value ? "on" : ""} onClick={() => onValue(o.name)}>
                <td class="t-name">
                  <label>
                    <input type="radio" name="type" value={o.name} checked={o.name === value} onChange={() => onValue(o.name)} />
                    <strong>{o.name}</strong>
                  </label>
                </td>
                <td class="num t-cpus">{o.vcpus}</td>
                <td class="num t-memory">{mib(o.memory_mib)}</td>
                <td class="t-marks">
                  <span class="marks">
                    <span class={o.xen ? "yes" : "no"}>{o.xen ? "Xen can run here" : "No Xen"}</span>
                    {o.nested_virtualisation && <span class="yes">Nested</span>}
                  </span>
                </td>
                {priced && <td class="num t-demand">{o.onDemand === null ? "–" : usd(o.onDemand)}</td>}
                {priced && (
                  <td class="num t-spot">
                    {o.spot === null ? "–" : usd(o.spot)}
                    {o.saving !== null && <small> −{Math.round(o.saving * 100)} %</small>}
                  </td>
                )}
                {priced && (
                  <td class="price-col" aria-hidden="true">
                    <span class={`price demand${spot ? "" : " on"}`} style={{ width: `${max ? ((o.onDemand ?? 0) / max) * 100 : 0}%` }} />
                    <span class={`price spot${spot ? " on" : ""}`} style={{ width: `${max ? ((o.spot ?? 0) / max) * 100 : 0}%` }} />
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
        {found.length === 0 && <p class="panel-empty">No type matches.</p>}
      </div>
      <p class="field-hint types-foot">
        {priced && (
          <>
            <i class="price demand on" aria-hidden="true" /> on demand <i class="price spot on" aria-hidden="true" /> spot (the cheapest
            zone), US dollars an hour.{" "}
          </>
        )}
        {found.length > SHOWN && !all && (
          <button type="button" class="linkish" onClick={() => setAll(true)}>
            Show all {found.length} types
          </button>
        )}
      </p>
    </fieldset>
  );
}
