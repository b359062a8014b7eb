// A page that is a list: its head with the button that adds to it, a search
// with its count, and what stands there while nothing has come, while there is
// nothing, and when nothing matches.
import type { ComponentChildren } from "preact";
import { plural } from "../lib/format";
import { loaded } from "../state/store";
import { Button, Empty, PageHead } from "./basic";
import type { IconName } from "./icons";
import { LoadingRows, Search } from "./table";

interface Props {
  title: string;
  lead: string;
  icon: IconName;
  what: string; // One of them: "network".
  add?: ComponentChildren; // The button in the head and in the empty list.
  above?: ComponentChildren; // Between the head and the list.
  none: ComponentChildren; // What to know while there is none.
  noneAction?: ComponentChildren; // Instead of 'add' there.
  n: number; // All of them,
  nFound: number; // and those that match.
  query: string;
  onQuery: (query: string) => void;
  searched: string; // "Names and states", to whom nothing matches.
  onAll?: () => void; // Takes a filter away too; else the search alone.
  side?: ComponentChildren; // Beside the search; else the count.
  children: ComponentChildren; // The list.
}

export function ListPage(p: Props) {
  const whats = `${p.what}s`;
  return (
    <>
      <PageHead title={p.title} lead={p.lead}>
        {p.add}
      </PageHead>
      {p.above}
      {!loaded.value ? (
        <LoadingRows />
      ) : p.n === 0 ? (
        <Empty icon={p.icon} title={`No ${whats} yet`} action={p.noneAction ?? p.add}>
          {p.none}
        </Empty>
      ) : (
        <>
          <div class="toolbar">
            <Search value={p.query} onValue={p.onQuery} label={`Search ${whats}`} />
            {p.side ?? (
              <span class="dim" role="status">
                {p.query && `${p.nFound} of `}
                {plural(p.n, p.what)}
              </span>
            )}
          </div>
          {p.nFound === 0 ? (
            <Empty
              icon="search"
              title={`No ${p.what} matches`}
              action={<Button onClick={p.onAll ?? (() => p.onQuery(""))}>{p.onAll ? `Show all ${whats}` : "Clear the search"}</Button>}
            >
              {p.searched} are searched.
            </Empty>
          ) : (
            p.children
          )}
        </>
      )}
    </>
  );
}
