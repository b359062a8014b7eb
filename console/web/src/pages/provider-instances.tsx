// The instances of one account, as the provider lists them, and the nodes
// that they are.
import { useState } from "preact/hooks";
import { get } from "../api/client";
import type { Instance, Job, Provider } from "../api/types";
import { plural } from "../lib/format";
import { matches } from "../lib/sort";
import { go, href } from "../router";
import { fenceInstance, providerMark, providerPath, terminateInstance, useRemote } from "../state/providers";
import { canAdminister } from "../state/session";
import { cluster, jobs, vms } from "../state/store";
import { Alert, Bar, Button, Empty, IconButton, Mono, State, Time } from "../ui/basic";
import { Confirm } from "../ui/dialog";
import { type Column, LoadingRows, Search, Table } from "../ui/table";
import { InstanceLog } from "./instance-log";
import { currentStep, isRunning, JobProgress } from "./job-list";

/** The job that is at work on an instance: its launch, or what ends it, which is
 * a job of the account by the instance's name. */
function jobOn(provider: Provider, i: Instance): Job | undefined {
  const own = i.job ? cluster.value.job[i.job] : undefined;
  if (own && isRunning(own)) return own;
  return jobs.value.find(
    (j) =>
      isRunning(j) &&
      (j.kind === "provider.terminate" || j.kind === "provider.fence") &&
      j.object_id === provider.id &&
      (j.object_name === i.name || j.object_name === i.id),
  );
}

export function Instances({ provider }: { provider: Provider }) {
  const [query, setQuery] = useState("");
  const [act, setAct] = useState<{ what: "terminate" | "fence"; instance: Instance } | null>(null);
  const [read, setRead] = useState<Instance | null>(null);
  const remote = useRemote(
    (s) => get<{ instances: Instance[] }>(`${providerPath(provider)}/instances`, s),
    `${provider.id} ${providerMark()}`,
  );
  const launching = jobs.value.filter((j) => j.kind === "provider.launch" && isRunning(j) && j.object_id === provider.id);
  const list = remote.data?.instances ?? [];
  const found = list.filter((i) => matches(query, [i.name, i.id, i.region, i.zone, i.type, i.state, i.address, i.node_name]));
  const launch = canAdminister.value && (
    <Button icon="play" onClick={() => go(href("providers", provider.id, "tab=instances&do=launch"))}>
      Launch nodes
    </Button>
  );
  const columns: Column<Instance>[] = [
    {
      key: "name",
      title: "Name",
      sort: (i) => i.name,
      cell: (i) => (
        <span class="two">
          <span class="name">{i.name || i.id}</span>
          <small>
            <Mono>{i.id}</Mono>
          </small>
        </span>
      ),
      class: "main-cell",
    },
    { key: "state", title: "State", sort: (i) => i.state, cell: (i) => <InstanceState i={i} job={jobOn(provider, i)} /> },
    {
      key: "region",
      title: "Region",
      sort: (i) => i.zone || i.region,
      cell: (i) => i.zone || i.region,
    },
    {
      key: "type",
      title: "Type",
      sort: (i) => i.type,
      cell: (i) => (
        <span class="inline">
          {i.type} {i.spot && <span class="spot-tag">spot</span>}
        </span>
      ),
    },
    { key: "address", title: "Address", cell: (i) => (i.address ? <Mono>{i.address}</Mono> : <span class="dim">–</span>), class: "wide-only" },
    {
      key: "node",
      title: "Node",
      sort: (i) => i.node_name,
      cell: (i) => (i.node ? <a href={href("nodes", i.node)}>{i.node_name}</a> : <span class="dim">{i.state === "running" ? "not joined" : "–"}</span>),
    },
    { key: "created", title: "Launched", sort: (i) => i.created_at, cell: (i) => <Time at={i.created_at} />, class: "wide-only" },
  ];
  if (canAdminister.value)
    columns.push({
      key: "actions",
      title: "",
      cell: (i) => (
        <div class="row-actions">
          <IconButton icon="terminal" label={`Serial log of ${i.name || i.id}`} onClick={() => setRead(i)} />
          <IconButton
            icon="power"
            label={`Power off ${i.name || i.id}`}
            disabled={i.state === "stopped" || i.state === "terminated" || !!jobOn(provider, i)}
            onClick={() => setAct({ what: "fence", instance: i })}
          />
          <IconButton
            icon="trash"
            tone="danger"
            label={`Terminate ${i.name || i.id}`}
            disabled={i.state === "terminated" || !!jobOn(provider, i)}
            onClick={() => setAct({ what: "terminate", instance: i })}
          />
        </div>
      ),
      class: "actions-cell",
    });
  return (
    <div class="stack">
      {launching.length > 0 && (
        <div class="job-progress-list card">
          {launching.map((j) => (
            <JobProgress key={j.id} job={j} />
          ))}
        </div>
      )}
      {remote.error && (
        <Alert action={<Button small onClick={remote.again}>Try again</Button>}>
          {remote.error}
          {remote.data && " What you see may be out of date."}
        </Alert>
      )}
      {!remote.data && !remote.error && <LoadingRows n={3} />}
      {remote.data && list.length === 0 && (
        <Empty icon="nodes" title="No instances here" action={launch}>
          Nodes that are launched from here appear as instances of the provider, and as nodes once they have joined.
        </Empty>
      )}
      {list.length > 0 && (
        <>
          <div class="toolbar">
            <Search value={query} onValue={setQuery} label="Search instances" />
            <span class="inline">
              <span class="dim" role="status">
                {plural(list.length, "instance")}, {list.filter((i) => i.state === "running").length} running
              </span>
              <IconButton icon="refresh" label="Ask the provider again" disabled={remote.loading} onClick={remote.again} />
            </span>
          </div>
          {found.length === 0 ? (
            <Empty icon="search" title="No instance matches" action={<Button onClick={() => setQuery("")}>Clear the search</Button>}>
              Names, ids, regions, types, states, addresses and nodes are searched.
            </Empty>
          ) : (
            <Table label={`Instances at ${provider.name}`} columns={columns} rows={found} initial={{ key: "name", down: false }} />
          )}
        </>
      )}
      {read && <InstanceLog provider={provider} instance={read} onClose={() => setRead(null)} />}
      {act && <EndInstance provider={provider} {...act} onClose={() => setAct(null)} />}
    </div>
  );
}

function InstanceState({ i, job }: { i: Instance; job: Job | undefined }) {
  return (
    <div class="vm-state">
      <State state={i.state} />
      {job && (
        <a class="vm-job" href={href("jobs", job.id)}>
          <Bar value={job.progress} max={100} label={`Job on ${i.name}`} tone="live" />
          <span>{currentStep(job)}</span>
        </a>
      )}
    </div>
  );
}

function EndInstance({
  provider,
  what,
  instance,
  onClose,
}: {
  provider: Provider;
  what: "terminate" | "fence";
  instance: Instance;
  onClose: () => void;
}) {
  const name = instance.name || instance.id;
  const here = vms.value.filter((v) => instance.node !== null && v.node === instance.node);
  const [force, setForce] = useState(false);
  const word = what === "terminate" ? "Terminate" : "Power off";
  return (
    <Confirm
      title={`${word} ${name}?`}
      submit={`${word} ${name}`}
      onClose={onClose}
      onSubmit={async () => {
        if (what === "terminate") await terminateInstance(provider, instance, force);
        else await fenceInstance(provider, instance);
        onClose();
      }}
    >
      {here.length > 0 && (
        <p>
          <strong>
            {here.length === 1 ? "1 VM runs" : `${here.length} VMs run`} on it ({here.slice(0, 5).map((v) => v.name).join(", ")}
            {here.length > 5 ? " and more" : ""}) and {here.length === 1 ? "ends" : "end"} with it.
          </strong>{" "}
          {here.length === 1 ? "Migrate it first." : "Migrate them first."}
        </p>
      )}
      {here.length > 0 && what === "terminate" && (
        <label class="check">
          <input type="checkbox" checked={force} onChange={(e) => setForce(e.currentTarget.checked)} />
          <span>Terminate it with the VMs that are on it</span>
        </label>
      )}
      {what === "terminate" ? (
        <p>
          The instance, its disk and its address are given back to {provider.name}, and its node is forgotten. <strong>This cannot be undone.</strong>
        </p>
      ) : (
        <p>
          It is off for certain when the job is done, whatever runs in it, without a shutdown: for a node that no longer answers. It
          may go on costing until it is terminated.
        </p>
      )}
    </Confirm>
  );
}
