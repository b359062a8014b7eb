// Nodes by region, the tokens they join with, and the way to add one.
import { useEffect, useState } from "preact/hooks";
import { del, get } from "../api/client";
import type { Node, Token } from "../api/types";
import { dateTime, mib, plural, rtt } from "../lib/format";
import { orderRegions, rttFrom } from "../lib/map";
import { probeTitle, standingNotice } from "../lib/probes";
import { matches } from "../lib/sort";
import { go, href, route } from "../router";
import { canAdminister } from "../state/session";
import { forget, loaded, nodes, overview, vms } from "../state/store";
import { Alert, Bar, Button, IconButton, Mono, Panel, State, Time, toneOf } from "../ui/basic";
import { Confirm } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { ListPage } from "../ui/list-page";
import { AddNode } from "./add-node";
import { NoticeBanner } from "./node-notice";

export const bootModes: Record<string, string> = {
  xen: "Xen",
  plain: "Without Xen",
  fallback: "Fell back to the plain kernel",
};

export function NodesPage() {
  const [query, setQuery] = useState(route.value.query.get("q") ?? "");
  const [gone, setGone] = useState<Node | null>(null);
  const adding = route.value.query.get("new") === "1" && canAdminister.value && loaded.value;
  const wanted = route.value.query.get("q");
  useEffect(() => {
    if (wanted !== null) setQuery(wanted);
  }, [wanted]);
  const add = canAdminister.value && (
    <Button tone="primary" icon="plus" onClick={() => go(href("nodes", null, "new=1"))}>
      Add a node
    </Button>
  );
  const order = orderRegions([...new Set(nodes.value.map((n) => n.region))]);
  const found = nodes.value
    .filter((n) => matches(query, [n.name, n.region, n.provider, n.address, n.state, n.hypervisor, n.id]))
    .sort((a, b) => order.indexOf(a.region) - order.indexOf(b.region));
  return (
    <>
      <ListPage
        title="Nodes"
        lead="The machines at your providers that carry the VMs."
        icon="nodes"
        what="node"
        add={add}
        none={
          canAdminister.value
            ? "Start an instance of our image at a provider with the user-data you get here; it joins by itself."
            : "An administrator adds nodes."
        }
        n={nodes.value.length}
        nFound={found.length}
        query={query}
        onQuery={setQuery}
        searched="Names, regions, providers, addresses and states"
        side={
          <span class="dim" role="status">
            {plural(nodes.value.filter((n) => n.state === "up").length, "node")} up of {nodes.value.length}
          </span>
        }
      >
        <div class="cards">
          {found.map((n) => (
            <NodeCard key={n.id} node={n} onDelete={() => setGone(n)} />
          ))}
        </div>
      </ListPage>
      {canAdminister.value && loaded.value && <Tokens />}
      {adding && <AddNode onClose={() => go(href("nodes"))} />}
      {gone && (
        <Confirm
          title={`Remove ${gone.name}?`}
          submit={`Remove ${gone.name}`}
          onClose={() => setGone(null)}
          onSubmit={async () => {
            await del(`/nodes/${encodeURIComponent(gone.id)}`);
            forget("node", gone.id);
            setGone(null);
          }}
        >
          <p>
            Its certificate is no longer accepted; to come back, the machine has to join again. The instance
            at the provider is not touched.
          </p>
        </Confirm>
      )}
    </>
  );
}

function NodeCard({ node, onDelete }: { node: Node; onDelete: () => void }) {
  const used = node.memory_mib - node.memory_free_mib;
  const here = vms.value.filter((v) => v.node === node.id);
  const fallback = node.boot?.mode === "fallback";
  const failed = (node.probes ?? []).filter((p) => !p.ok);
  const rtts = [...rttFrom(overview.value?.latency ?? [], node.name)].sort((a, b) => a[1] - b[1]);
  return (
    <article class={`card node-card ${standingNotice(node)?.kind === "revocation" ? "bad" : toneOf(node.state)}`} aria-label={`Node ${node.name}`}>
      <header>
        <div class="two">
          <h2>
            <a href={href("nodes", node.id)}>{node.name}</a>
          </h2>
          <small>
            {node.region} · {node.provider} · <Mono>{node.address}</Mono>
          </small>
        </div>
        <State state={node.state} />
      </header>
      {node.state === "down" && (
        <Alert tone="warn">
          Not heard of since <Time at={node.last_seen_at} />.
          {here.length > 0 && ` ${plural(here.length, "VM")} may still run on it.`}
        </Alert>
      )}
      {standingNotice(node) && <NoticeBanner node={node} />}
      {fallback && (
        <Alert tone="warn">
          Xen did not boot, so the node runs the plain kernel
          {node.boot?.reason ? `: ${node.boot.reason}` : "."}
        </Alert>
      )}
      <div class="meter">
        <div class="meter-head">
          <span>Memory</span>
          <span class="num">
            <strong>{mib(used)}</strong> of {mib(node.memory_mib)}
          </span>
        </div>
        <Bar
          value={used}
          max={node.memory_mib}
          label={`Memory of ${node.name}`}
          tone={used / Math.max(1, node.memory_mib) > 0.9 ? "full" : ""}
        />
      </div>
      <dl class="node-facts">
        <div>
          <dt>Boot</dt>
          <dd>{bootModes[node.boot?.mode ?? ""] ?? (node.boot?.mode || "–")}</dd>
        </div>
        <div>
          <dt>Hypervisor</dt>
          <dd>{node.hypervisor}</dd>
        </div>
        <div>
          <dt>Processors</dt>
          <dd>{node.cpus}</dd>
        </div>
        <div>
          <dt>Version</dt>
          <dd class="clip">{node.version}</dd>
        </div>
        <div>
          <dt>Joined</dt>
          <dd>
            <Time at={node.joined_at} />
          </dd>
        </div>
        <div>
          <dt>Number</dt>
          <dd>{node.nid}</dd>
        </div>
      </dl>
      <Programs node={node} />
      {failed.length > 0 && (
        <a class="probe-line" href={href("nodes", node.id)}>
          <Icon name="warn" size={14} />
          <span>
            Restricted: {failed.map((p) => probeTitle(p.name)).join(", ")}
          </span>
        </a>
      )}
      {rtts.length > 0 && (
        <p class="node-rtts">
          {rtts.slice(0, 4).map(([to, ms]) => (
            <span key={to}>
              {to} <strong>{rtt(ms)}</strong>
            </span>
          ))}
        </p>
      )}
      <footer>
        {here.length === 0 ? (
          <span class="dim">No VMs here</span>
        ) : (
          <span class="vm-links">
            {here.slice(0, 6).map((v) => (
              <a key={v.id} href={href("vms", v.id)}>
                {v.name}
              </a>
            ))}
            {here.length > 6 && <span class="dim">+{here.length - 6}</span>}
          </span>
        )}
        {canAdminister.value && node.state === "down" && here.length === 0 && (
          <Button small icon="trash" onClick={onDelete}>
            Remove<span class="hidden"> {node.name}</span>
          </Button>
        )}
      </footer>
    </article>
  );
}

/** Which of the node's programs are connected to the controller. */
export function Programs({ node }: { node: Node }) {
  return (
      <ul class="programs" aria-label="Programs">
        {Object.entries(node.programs ?? {}).map(([name, up]) => (
          <li key={name} class={up ? "good" : "bad"}>
            <Icon name={up ? "check" : "close"} size={13} />
            {name}
            <span class="hidden">{up ? " connected" : " not connected"}</span>
          </li>
        ))}
      </ul>
  );
}

function Tokens() {
  const [tokens, setTokens] = useState<Token[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  // A node that joins or a new user-data text changes the list.
  const mark = `${nodes.value.length} ${route.value.query.get("new") ?? ""}`;
  useEffect(() => {
    const stop = new AbortController();
    get<{ tokens: Token[] }>("/tokens", stop.signal).then(
      (r) => {
        setTokens(r.tokens);
        setError(null);
      },
      (e: Error) => e.name === "ApiError" && setError(e.message),
    );
    return () => stop.abort();
  }, [mark]);
  const revoke = async (t: Token) => {
    try {
      await del(`/tokens/${encodeURIComponent(t.id)}`);
      setTokens((list) => (list ?? []).filter((x) => x.id !== t.id));
    } catch (e) {
      setError((e as Error).message);
    }
  };
  if (error) return <Alert>{error}</Alert>;
  if (!tokens || tokens.length === 0) return null;
  return (
    <Panel title="Join tokens" class="tokens">
      <ul class="items">
        {tokens.map((t) => (
          <li key={t.id}>
            <div class="two">
              <Mono>{t.id}</Mono>
              <small>{[t.region, t.provider].filter(Boolean).join(" · ") || "Any region"}</small>
            </div>
            <div class="two right">
              <span>{usesText(t)}</span>
              <small>{t.expires_at ? <span title={dateTime(t.expires_at)}>{expiry(t.expires_at)}</span> : "Never expires"}</small>
            </div>
            <IconButton icon="trash" tone="danger" label={`Revoke token ${t.id}`} onClick={() => void revoke(t)} />
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function expiry(at: number) {
  return at < Date.now() ? "Expired" : <>Expires <Time at={at} /></>;
}

function usesText(t: Token): string {
  if (typeof t.uses_left === "number") return t.uses_left < 0 || t.uses === 0 ? "Any number of nodes" : `${plural(t.uses_left, "node")} left`;
  if (t.uses === 0) return "Any number of nodes";
  if (typeof t.uses === "number")
    return typeof t.used === "number" ? `Used ${t.used} of ${t.uses}` : plural(t.uses, "node");
  return "";
}
