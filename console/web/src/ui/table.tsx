// A table that sorts, whose rows can be clicked but are reached by the link
// in their first cell; on a narrow screen each row becomes a card.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { go } from "../router";
import { type Sort, sortBy, type Value } from "../lib/sort";
import { Icon } from "./icons";

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ComponentChildren;
  sort?: (row: T) => Value;
  class?: string;
}

export function Table<T extends { id: string }>({
  label,
  columns,
  rows,
  initial,
  href,
}: {
  label: string;
  columns: Column<T>[];
  rows: T[];
  initial?: Sort;
  href?: (row: T) => string;
}) {
  const [sort, setSort] = useState<Sort | null>(initial ?? null);
  const column = columns.find((c) => c.key === sort?.key);
  const shown = sort && column?.sort ? sortBy(rows, column.sort, sort.down) : rows;
  const choose = (key: string) =>
    setSort((s) => ({ key, down: s?.key === key ? !s.down : false }));
  const sortable = columns.filter((c) => c.sort);
  return (
    <div class="table-box">
      {/* A narrow screen has no column heads to sort by. */}
      <label class="sort-narrow">
        Sort by
        <select
          value={`${sort?.key ?? ""} ${sort?.down ? "down" : "up"}`}
          onChange={(e) => {
            const [key = "", way] = e.currentTarget.value.split(" ");
            setSort({ key, down: way === "down" });
          }}
        >
          {!sort && <option value=" up">As it comes</option>}
          {sortable.map((c) => (
            <>
              <option value={`${c.key} up`}>{c.title}</option>
              <option value={`${c.key} down`}>{c.title}, descending</option>
            </>
          ))}
        </select>
      </label>
      <table class="table" aria-label={label}>
        <thead>
          <tr>
            {columns.map((c) => {
              const on = sort?.key === c.key;
              return (
                <th
                  key={c.key}
                  scope="col"
                  class={c.class ?? ""}
                  aria-sort={on ? (sort.down ? "descending" : "ascending") : undefined}
                >
                  {c.sort ? (
                    <button type="button" class="sort" onClick={() => choose(c.key)}>
                      {c.title}
                      <span class={`sort-mark${on ? " on" : ""}`}>
                        <Icon name={on && sort.down ? "down" : "up"} size={13} />
                      </span>
                    </button>
                  ) : c.title === "" ? (
                    <span class="hidden">Actions</span>
                  ) : (
                    c.title
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr
              key={row.id}
              class={href ? "link" : ""}
              onClick={(e) => {
                if (!href || e.defaultPrevented || e.metaKey || e.ctrlKey) return;
                const t = e.target as HTMLElement;
                if (t.closest("a, button, input, label")) return;
                if (window.getSelection()?.toString()) return;
                go(href(row));
              }}
            >
              {columns.map((c) => (
                <td key={c.key} class={c.class ?? ""} data-label={c.title}>
                  {c.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Search({
  value,
  onValue,
  label,
}: {
  value: string;
  onValue: (v: string) => void;
  label: string;
}) {
  return (
    <div class="search">
      <Icon name="search" size={16} />
      <input
        type="search"
        value={value}
        aria-label={label}
        placeholder={label}
        data-search=""
        onInput={(e) => onValue(e.currentTarget.value)}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}

export function LoadingRows({ n = 4 }: { n?: number }) {
  return (
    <div class="skeletons" role="status" aria-label="Loading">
      {Array.from({ length: n }, (_, i) => (
        <div key={i} class="skeleton" />
      ))}
    </div>
  );
}
