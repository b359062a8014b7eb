// One VM: facts, ports, volumes, what was done to it, its serial console.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Vm } from "../api/types";
import { bytes, mib, plural } from "../lib/format";
import { go, href, route } from "../router";
import { setVmError, vmErrors } from "../state/actions";
import { cluster, jobs, loaded, vms } from "../state/store";
import { Alert, Empty, Facts, IconButton, Mono, PageHead, Panel, State, Time } from "../ui/basic";
import { LoadingRows } from "../ui/table";
import { Tabs } from "../ui/tabs";
import { JobList, JobProgress } from "./job-list";
import { VmActions } from "./vm-actions";

const back = { href: href("vms"), text: "VMs" };

export function VmPage({ id }: { id: string }) {
  const vm = cluster.value.vm[id] ?? vms.value.find((v) => v.name === id);
  const tab = route.value.query.get("tab") ?? "overview";
  useEffect(() => {
    if (vm) document.title = `${vm.name} · VMs · Supercloud`;
  }, [vm?.name]);
  if (!vm)
    return (
      <>
        <PageHead title={loaded.value ? "No such VM" : "VM"} back={back} />
        {loaded.value ? (
          <Empty icon="vms" title="This VM is gone" action={<a class="button primary" href={href("vms")}>See all VMs</a>}>
            It was deleted, or the address is wrong.
          </Empty>
        ) : (
          <LoadingRows />
        )}
      </>
    );
  const job = vm.job ? cluster.value.job[vm.job] : undefined;
  const running = job && (job.state === "running" || job.state === "rolling-back") ? job : null;
  const error = vmErrors.value[vm.id];
  return (
    <>
      <PageHead
        back={back}
        title={
          <>
            {vm.name} <State state={vm.state} />
          </>
        }
        lead={
          vm.node_name ? (
            <>
              On {vm.node_name} in {vm.region}
            </>
          ) : (
            "Not placed on a node"
          )
        }
      >
        <VmActions vm={vm} words />
      </PageHead>
      {error && (
        <Alert action={<IconButton icon="close" label="Dismiss" onClick={() => setVmError(vm.id, null)} />}>{error}</Alert>
      )}
      {vm.error && <Alert tone={vm.state === "failed" ? "bad" : "warn"}>{vm.error}</Alert>}
      {running && <JobProgress job={running} />}
      <Tabs
        label={`About ${vm.name}`}
        tabs={[
          { value: "overview", text: "Overview" },
          { value: "console", text: "Serial console" },
        ]}
        value={tab}
        onValue={(t) => go(href("vms", id, t === "overview" ? "" : `tab=${t}`))}
      >
        {tab === "console" ? <LazySerial vm={vm} /> : <About vm={vm} />}
      </Tabs>
    </>
  );
}

/** The terminal is half of all code: it is loaded when it is wanted. */
function LazySerial({ vm }: { vm: Vm }) {
  const [Serial, set] = useState<ComponentType<{ vm: Vm }> | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    import("./serial").then(
      (m) => set(() => m.default),
      () => setError("The terminal could not be loaded. Load the page again."),
    );
  }, []);
  if (error) return <Alert>{error}</Alert>;
  return Serial ? <Serial vm={vm} /> : <LoadingRows n={1} />;
}

function About({ vm }: { vm: Vm }) {
  const ports = vm.ports ?? [];
  const volumes = vm.volumes ?? [];
  const mine = jobs.value.filter((j) => j.object_id === vm.id).slice(0, 8);
  return (
    <div class="columns">
      <div class="stack">
        <Panel title="Ports">
          {ports.length === 0 ? (
            <p class="panel-empty">This VM is on no network.</p>
          ) : (
            <ul class="items">
              {ports.map((p) => (
                <li key={p.id}>
                  <div class="two">
                    <Mono>{p.ip}</Mono>
                    <small>
                      on <a href={href("networks", null, `q=${encodeURIComponent(p.network_name)}`)}>{p.network_name}</a>
                    </small>
                  </div>
                  <div class="two right">
                    <Mono>{p.mac}</Mono>
                    <small>
                      interface <Mono>{p.iface}</Mono>
                    </small>
                  </div>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel title="Volumes">
          {volumes.length === 0 ? (
            <p class="panel-empty">This VM has no disk.</p>
          ) : (
            <ul class="items">
              {volumes.map((v) => (
                <li key={v.id}>
                  <div class="two">
                    <Mono>{v.dev}</Mono>
                    <small class="mono">{v.id}</small>
                  </div>
                  <strong>{bytes(v.size)}</strong>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel title="What was done to it">
          {mine.length === 0 ? (
            <p class="panel-empty">Nothing that is still remembered.</p>
          ) : (
            <JobList jobs={mine} />
          )}
        </Panel>
      </div>
      <Panel title="Facts" class="aside">
        <Facts
          items={[
            ["Node", vm.node_name ? <a href={href("nodes", vm.node ?? vm.node_name)}>{vm.node_name}</a> : null],
            ["Region", vm.region],
            ["Image", vm.image_name || vm.image],
            ["Memory", mib(vm.memory_mib)],
            ["Processors", plural(vm.vcpus, "vCPU")],
            [
              "Epoch",
              <span title="Counts the places it has run at. Only the newest epoch may run it and write to its disk.">
                {vm.epoch}
              </span>,
            ],
            ["Created", <Time at={vm.created_at} />],
            ["Id", <Mono>{vm.id}</Mono>],
          ]}
        />
      </Panel>
    </div>
  );
}
