import { useState } from "preact/hooks";
import type { Vm } from "../api/types";
import { mib, plural } from "../lib/format";
import { ipValue, matches } from "../lib/sort";
import { go, href, route } from "../router";
import { vmErrors } from "../state/actions";
import { canOperate } from "../state/session";
import { cluster, loaded, vms } from "../state/store";
import { Bar, Button, Mono, State, Time } from "../ui/basic";
import { ListPage } from "../ui/list-page";
import { type Column, Table } from "../ui/table";
import { VmActions } from "./vm-actions";
import { CreateVm } from "./vm-dialogs";

/** The progress of what is being done to a VM, if anything is. */
export function VmState({ vm }: { vm: Vm }) {
  const job = vm.job ? cluster.value.job[vm.job] : undefined;
  const running = job && (job.state === "running" || job.state === "rolling-back");
  return (
    <div class="vm-state">
      <State state={vm.state} />
      {running && (
        <a class="vm-job" href={href("jobs", job.id)}>
          <Bar value={job.progress} max={100} label={`Progress of ${vm.name}`} tone="live" />
          <span>{Math.round(job.progress)} %</span>
        </a>
      )}
    </div>
  );
}

const columns: Column<Vm>[] = [
  {
    key: "name",
    title: "Name",
    sort: (v) => v.name,
    cell: (v) => (
      <>
        <a class="name" href={href("vms", v.id)}>
          {v.name}
        </a>
        {vmErrors.value[v.id] && (
          <p class="row-error" role="alert">
            {vmErrors.value[v.id]}
          </p>
        )}
        {!vmErrors.value[v.id] && v.error && v.state === "failed" && <p class="row-error">{v.error}</p>}
      </>
    ),
    class: "main-cell",
  },
  { key: "state", title: "State", sort: (v) => v.state, cell: (v) => <VmState vm={v} /> },
  {
    key: "place",
    title: "Where",
    sort: (v) => `${v.region ?? ""} ${v.node_name ?? ""}`.trim() || null,
    cell: (v) =>
      v.node_name ? (
        <span class="two">
          <span>{v.node_name}</span>
          <small>{v.region}</small>
        </span>
      ) : (
        <span class="dim">Nowhere</span>
      ),
  },
  {
    key: "ip",
    title: "Address",
    sort: (v) => ipValue(v.ports?.[0]?.ip),
    cell: (v) =>
      v.ports?.[0]?.ip ? (
        <span class="two">
          <Mono>{v.ports[0].ip}</Mono>
          <small>{v.ports[0].network_name}</small>
        </span>
      ) : (
        <span class="dim">–</span>
      ),
  },
  {
    key: "size",
    title: "Size",
    sort: (v) => v.memory_mib,
    cell: (v) => (
      <span class="two">
        <span>{mib(v.memory_mib)}</span>
        <small>{plural(v.vcpus, "vCPU")}</small>
      </span>
    ),
  },
  { key: "created", title: "Created", sort: (v) => v.created_at, cell: (v) => <Time at={v.created_at} />, class: "wide-only" },
  { key: "actions", title: "", cell: (v) => <VmActions vm={v} />, class: "actions-cell" },
];

export function VmsPage() {
  const [query, setQuery] = useState(route.value.query.get("q") ?? "");
  const creating = route.value.query.get("new") === "1" && canOperate.value && loaded.value;
  const create = canOperate.value && (
    <Button tone="primary" icon="plus" onClick={() => go(href("vms", null, "new=1"))}>
      Create a VM
    </Button>
  );
  const found = vms.value.filter((v) =>
    matches(query, [v.name, v.state, v.node_name, v.region, v.image_name, v.id, ...(v.ports ?? []).map((p) => p.ip)]),
  );
  return (
    <>
      <ListPage
        title="VMs"
        lead="Virtual machines, wherever they run just now."
        icon="vms"
        what="VM"
        add={create}
        none="A VM starts from an image, gets an address on a network, and can move between regions while it runs."
        n={vms.value.length}
        nFound={found.length}
        query={query}
        onQuery={setQuery}
        searched="Names, addresses, nodes, regions and states"
      >
        <Table label="VMs" columns={columns} rows={found} initial={{ key: "name", down: false }} href={(v) => href("vms", v.id)} />
      </ListPage>
      {creating && <CreateVm onClose={() => go(href("vms"))} />}
    </>
  );
}
