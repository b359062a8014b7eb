// "Go to…": pages, VMs, nodes, images, networks, providers and jobs by a few letters.
import { signal } from "@preact/signals";
import { useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { jobVerb } from "../lib/format";
import { score } from "../lib/fuzzy";
import { go, href } from "../router";
import { canAdminister, canOperate } from "../state/session";
import { images, jobs, networks, nodes, providers, vms } from "../state/store";
import { Icon, type IconName } from "./icons";

const open = signal(false);

export const openPalette = (): void => {
  if (!document.querySelector("dialog[open]")) open.value = true;
};

interface Item {
  id: string;
  text: string;
  what: string;
  icon: IconName;
  to: string;
}

const MAX_ITEMS = 9;

function items(): Item[] {
  const list: Item[] = [
    { id: "overview", text: "Overview", what: "Page", icon: "overview", to: href("overview") },
    { id: "vms", text: "VMs", what: "Page", icon: "vms", to: href("vms") },
    { id: "images", text: "Images", what: "Page", icon: "images", to: href("images") },
    { id: "networks", text: "Networks", what: "Page", icon: "networks", to: href("networks") },
    { id: "nodes", text: "Nodes", what: "Page", icon: "nodes", to: href("nodes") },
    { id: "providers", text: "Providers", what: "Page", icon: "providers", to: href("providers") },
    { id: "jobs", text: "Jobs", what: "Page", icon: "jobs", to: href("jobs") },
    { id: "account", text: "Account", what: "Page", icon: "key", to: href("account") },
  ];
  if (canOperate.value)
    list.push(
      { id: "new-vm", text: "Create a VM", what: "Action", icon: "plus", to: href("vms", null, "new=1") },
      { id: "new-image", text: "Upload an image", what: "Action", icon: "upload", to: href("images", null, "new=1") },
      { id: "new-net", text: "Create a network", what: "Action", icon: "plus", to: href("networks", null, "new=1") },
    );
  if (canAdminister.value)
    list.push(
      { id: "new-node", text: "Add a node", what: "Action", icon: "plus", to: href("nodes", null, "new=1") },
      { id: "new-provider", text: "Add a provider", what: "Action", icon: "plus", to: href("providers", null, "new=1") },
    );
  for (const v of vms.value) {
    list.push({ id: `vm-${v.id}`, text: v.name, what: `VM · ${v.region ?? v.state}`, icon: "vms", to: href("vms", v.id) });
    list.push({ id: `con-${v.id}`, text: `${v.name} console`, what: "Serial console", icon: "terminal", to: href("vms", v.id, "tab=console") });
  }
  for (const n of nodes.value)
    list.push({ id: `node-${n.id}`, text: n.name, what: `Node · ${n.region}`, icon: "nodes", to: href("nodes", n.id) });
  for (const p of providers.value) {
    list.push({ id: `prov-${p.id}`, text: p.name, what: "Provider", icon: "providers", to: href("providers", p.id) });
    if (canAdminister.value)
      list.push({ id: `launch-${p.id}`, text: `Launch nodes at ${p.name}`, what: "Action", icon: "play", to: href("providers", p.id, "tab=instances&do=launch") });
  }
  for (const i of images.value)
    list.push({ id: `img-${i.id}`, text: i.name, what: "Image", icon: "images", to: href("images", null, `q=${encodeURIComponent(i.name)}`) });
  for (const w of networks.value)
    list.push({ id: `net-${w.id}`, text: w.name, what: "Network", icon: "networks", to: href("networks", null, `q=${encodeURIComponent(w.name)}`) });
  for (const j of jobs.value.slice(0, 20))
    list.push({ id: `job-${j.id}`, text: `${jobVerb(j.kind)} ${j.object_name ?? ""}`, what: `Job · ${j.state}`, icon: "jobs", to: href("jobs", j.id) });
  return list;
}

export function Palette() {
  return open.value ? <Box onClose={() => (open.value = false)} /> : null;
}

function Box({ onClose }: { onClose: () => void }) {
  const ref = useRef<HTMLDialogElement>(null);
  const gone = useRef(false);
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const listId = useId();
  const all = useMemo(items, []);
  const found = all
    .map((item) => ({ item, s: score(query, item.text) }))
    .filter((x): x is { item: Item; s: number } => x.s !== null)
    .sort((a, b) => b.s - a.s)
    .slice(0, MAX_ITEMS)
    .map((x) => x.item);

  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    const dialog = ref.current!;
    dialog.showModal();
    dialog.querySelector("input")?.focus();
    return () => {
      gone.current = true;
      dialog.close();
      if (before?.isConnected) before.focus();
    };
  }, []);

  const pick = (item: Item | undefined) => {
    if (!item) return;
    onClose();
    go(item.to);
  };
  const onKey = (e: KeyboardEvent) => {
    if (e.key === "ArrowDown") setAt((i) => (i + 1) % Math.max(1, found.length));
    else if (e.key === "ArrowUp")
      setAt((i) => (i + found.length - 1) % Math.max(1, found.length));
    else if (e.key === "Enter") pick(found[at]);
    else return;
    e.preventDefault();
  };
  return (
    <dialog
      ref={ref}
      class="dialog palette"
      aria-label="Go to"
      onCancel={(e) => {
        e.preventDefault();
        onClose();
      }}
      onClose={() => gone.current || onClose()}
      onMouseDown={(e) => e.target === e.currentTarget && onClose()}
    >
      <div class="dialog-box">
        <div class="palette-input">
          <Icon name="search" />
          <input
            type="text"
            role="combobox"
            aria-label="Go to a page, VM, node, image, network or job"
            aria-expanded="true"
            aria-controls={listId}
            aria-activedescendant={found[at] ? `${listId}-${at}` : undefined}
            placeholder="Go to a page, a VM, a node…"
            autocomplete="off"
            spellcheck={false}
            value={query}
            onInput={(e) => {
              setQuery(e.currentTarget.value);
              setAt(0);
            }}
            onKeyDown={onKey}
          />
          <kbd aria-hidden="true">Esc</kbd>
        </div>
        <ul id={listId} role="listbox" aria-label="Found" class="palette-list">
          {found.map((item, i) => (
            <li
              key={item.id}
              id={`${listId}-${i}`}
              role="option"
              aria-selected={i === at}
              onMouseMove={() => setAt(i)}
              onClick={() => pick(item)}
            >
              <Icon name={item.icon} size={16} />
              <span>{item.text}</span>{" "}
              <small>{item.what}</small>
            </li>
          ))}
        </ul>
        {found.length === 0 && <p class="palette-none">Nothing is called that.</p>}
      </div>
    </dialog>
  );
}
