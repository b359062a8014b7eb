// One node: what it tried about its machine, how it booted, what is announced.
import { useEffect, useState } from "preact/hooks";
import { del } from "../api/client";
import type { Node, Probe } from "../api/types";
import { mib, rtt } from "../lib/format";
import { orderProbes, probeAbout, probeTitle } from "../lib/probes";
import { rttFrom } from "../lib/map";
import { go, href } from "../router";
import { canAdminister } from "../state/session";
import { cluster, forget, loaded, nodes, overview, vms } from "../state/store";
import { Alert, Bar, Button, Empty, Facts, Mono, PageHead, Panel, State, Time } from "../ui/basic";
import { Confirm } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { LoadingRows } from "../ui/table";
import { NoticeBanner } from "./node-notice";
import { bootModes, Programs } from "./nodes";

const back = { href: href("nodes"), text: "Nodes" };

export function NodePage({ id }: { id: string }) {
  const node = cluster.value.node[id] ?? nodes.value.find((n) => n.name === id);
  const [removing, setRemoving] = useState(false);
  useEffect(() => {
    if (node) document.title = `${node.name} · Nodes · Supercloud`;
  }, [node?.name]);
  if (!node)
    return (
      <>
        <PageHead title={loaded.value ? "No such node" : "Node"} back={back} />
        {loaded.value ? (
          <Empty icon="nodes" title="This node is gone" action={<a class="button primary" href={href("nodes")}>See all nodes</a>}>
            It was removed, or the address is wrong.
          </Empty>
        ) : (
          <LoadingRows />
        )}
      </>
    );
  const here = vms.value.filter((v) => v.node === node.id);
  return (
    <>
      <PageHead
        back={back}
        title={
          <>
            {node.name} <State state={node.state} />
          </>
        }
        lead={`${node.region}, at ${node.provider}`}
      >
        {canAdminister.value && node.state === "down" && here.length === 0 && (
          <Button icon="trash" onClick={() => setRemoving(true)}>
            Remove
          </Button>
        )}
      </PageHead>
      <NoticeBanner node={node} />
      {node.state === "down" && (
        <Alert tone="warn">
          Not heard of since <Time at={node.last_seen_at} />. {here.length > 0 && "VMs may still run on it."}
        </Alert>
      )}
      <div class="columns">
        <div class="stack">
          <Probes node={node} />
          <Panel title="VMs here">
            {here.length === 0 ? (
              <p class="panel-empty">No VM is on this node.</p>
            ) : (
              <ul class="items links">
                {here.map((v) => (
                  <li key={v.id}>
                    <a href={href("vms", v.id)}>
                      <span>{v.name}</span>
                      <span class="two right">
                        <State state={v.state} />
                        <small>{mib(v.memory_mib)}</small>
                      </span>
                    </a>
                  </li>
                ))}
              </ul>
            )}
          </Panel>
        </div>
        <div class="stack">
          <About node={node} />
        </div>
      </div>
      {removing && (
        <Confirm
          title={`Remove ${node.name}?`}
          submit={`Remove ${node.name}`}
          onClose={() => setRemoving(false)}
          onSubmit={async () => {
            await del(`/nodes/${encodeURIComponent(node.id)}`);
            forget("node", node.id);
            go(href("nodes"));
          }}
        >
          <p>
            Its certificate is no longer accepted; to come back, the machine has to join again. The instance at the provider is not
            touched.
          </p>
        </Confirm>
      )}
    </>
  );
}

function Probes({ node }: { node: Node }) {
  const list = orderProbes(node.probes ?? []);
  const failed = list.filter((p) => !p.ok).length;
  return (
    <Panel
      title="What was tried"
      aside={
        node.probed_at ? (
          <span class="dim">
            <Time at={node.probed_at} />
          </span>
        ) : undefined
      }
    >
      {list.length === 0 ? (
        <p class="panel-empty">
          Nothing yet. A node tries its machine when it starts, and every hour.
        </p>
      ) : (
        <>
          <p class="panel-lead">{failed === 0 ? "Everything works." : `${failed} of ${list.length} ${failed === 1 ? "restricts" : "restrict"} what it can do.`}</p>
          <ul class="probes" aria-label="Probes">
            {list.map((p) => (
              <ProbeRow key={p.name} probe={p} />
            ))}
          </ul>
        </>
      )}
    </Panel>
  );
}

function ProbeRow({ probe }: { probe: Probe }) {
  return (
    <li class={probe.ok ? "ok" : "not"}>
      <span class="probe-mark">
        <Icon name={probe.ok ? "check" : "warn"} size={15} />
        <span class="hidden">{probe.ok ? "Works: " : "Does not: "}</span>
      </span>
      <div class="probe-name">
        <strong>{probeTitle(probe.name)}</strong>
        <small>{probeAbout(probe.name)}</small>
      </div>
      <div class="probe-value">
        <span>{probe.value || "–"}</span>
        {!probe.ok && probe.why && <p>So: {probe.why}</p>}
      </div>
    </li>
  );
}

function About({ node }: { node: Node }) {
  const used = node.memory_mib - node.memory_free_mib;
  const rtts = [...rttFrom(overview.value?.latency ?? [], node.name)].sort((a, b) => a[1] - b[1]);
  const boot = node.boot?.mode ?? "";
  return (
    <>
      <Panel title="Facts" class="aside">
        <div class="meter panel-meter">
          <div class="meter-head">
            <span>Memory</span>
            <span class="num">
              <strong>{mib(used)}</strong> of {mib(node.memory_mib)}
            </span>
          </div>
          <Bar value={used} max={node.memory_mib} label={`Memory of ${node.name}`} tone={used / Math.max(1, node.memory_mib) > 0.9 ? "full" : ""} />
        </div>
        <Facts
          items={[
            ["Boot", bootModes[boot] ?? boot],
            ...(node.boot?.reason ? ([["Why", node.boot.reason]] as [string, string][]) : []),
            ["Hypervisor", node.hypervisor],
            ["Processors", String(node.cpus)],
            ["Address", <Mono>{node.address}</Mono>],
            ["Version", node.version],
            ["Joined", <Time at={node.joined_at} />],
            ["Last heard", <Time at={node.last_seen_at} />],
            ["Number", String(node.nid)],
            ["Id", <Mono>{node.id}</Mono>],
          ]}
        />
        <div class="panel-foot">
          <Programs node={node} />
        </div>
      </Panel>
      {rtts.length > 0 && (
        <Panel title="Round trips" class="aside">
          <Facts items={rtts.slice(0, 12).map(([to, ms]) => [to, <span class="num">{rtt(ms)}</span>])} />
        </Panel>
      )}
    </>
  );
}
