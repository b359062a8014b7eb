// Dialogs that create, migrate and delete VMs.
import { useState } from "preact/hooks";
import type { Vm } from "../api/types";
import { bytes, mib, plural, rtt } from "../lib/format";
import { migrationTargets, nameError, numberError, refusalOf } from "../lib/placement";
import { go, href } from "../router";
import { createVm, deleteVm, migrateVm } from "../state/actions";
import { images, networks, nodes, overview, vms } from "../state/store";
import { Alert, Button } from "../ui/basic";
import { Confirm, Dialog, FormDialog } from "../ui/dialog";
import { type Option, SelectField, TextField } from "../ui/field";

const memoryChoices = [128, 256, 512, 1024, 2048, 4096];

export function CreateVm({ onClose }: { onClose: () => void }) {
  const disks = images.value.filter((i) => i.kind === "disk" && i.state === "active");
  const [name, setName] = useState("");
  const [image, setImage] = useState(disks[0]?.id ?? "");
  const [network, setNetwork] = useState(networks.value[0]?.id ?? "");
  const [memory, setMemory] = useState(String(Math.max(disks[0]?.min_memory_mib ?? 0, 256)));
  const [vcpus, setVcpus] = useState("1");
  const [disk, setDisk] = useState("");
  const [place, setPlace] = useState("");
  const [cmdline, setCmdline] = useState("");

  const missing =
    nodes.value.length === 0
      ? { text: "A VM needs a node to run on.", to: href("nodes", null, "new=1"), go: "Add a node" }
      : disks.length === 0
        ? { text: "A VM starts from a disk image, and there is none yet.", to: href("images", null, "new=1"), go: "Upload an image" }
        : networks.value.length === 0
          ? { text: "A VM needs a network, and there is none yet.", to: href("networks", null, "new=1"), go: "Create a network" }
          : null;
  if (missing)
    return (
      <Dialog title="Create a VM" onClose={onClose}>
        <div class="dialog-body">
          <Alert tone="info">{missing.text}</Alert>
        </div>
        <footer class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button
            tone="primary"
            onClick={() => {
              onClose();
              go(missing.to);
            }}
          >
            {missing.go}
          </Button>
        </footer>
      </Dialog>
    );

  const chosen = disks.find((i) => i.id === image);
  const least = chosen?.min_memory_mib ?? 64;
  const memoryMib = Number(memory) || 0;
  const regions = [...new Set(nodes.value.map((n) => n.region))].sort();
  const places: Option[] = [
    { value: "", text: "Anywhere with room" },
    ...regions.map((r) => ({ value: `region:${r}`, text: `Any node in ${r}`, group: "Region" })),
    ...nodes.value.map((n) => {
      const no = refusalOf(n, memoryMib);
      return {
        value: `node:${n.id}`,
        text: `${n.name} (${n.region}): ${no ?? `${mib(n.memory_free_mib)} free`}`,
        group: "Node",
        disabled: no !== null,
      };
    }),
  ];
  const pickImage = (id: string) => {
    setImage(id);
    const min = disks.find((i) => i.id === id)?.min_memory_mib ?? 0;
    if (memoryMib < min) setMemory(String(min));
  };
  const submit = async () => {
    const [what, where] = place === "" ? [] : [place.slice(0, place.indexOf(":")), place.slice(place.indexOf(":") + 1)];
    await createVm({
      name,
      image,
      network,
      memory_mib: memoryMib,
      vcpus: Number(vcpus),
      ...(disk === "" ? {} : { disk_gib: Number(disk) }),
      ...(what ? { [what]: where } : {}),
      ...(cmdline.trim() === "" ? {} : { cmdline: cmdline.trim() }),
    });
    onClose();
  };
  return (
    <FormDialog title="Create a VM" submit="Create" onSubmit={submit} onClose={onClose}>
      <TextField
        label="Name"
        value={name}
        onValue={setName}
        maxLength={63}
        autocapitalize="none"
        error={nameError(name, vms.value.map((v) => v.name))}
        data-first=""
      />
      <div class="fields-2">
        <SelectField
          label="Image"
          value={image}
          onValue={pickImage}
          options={disks.map((i) => ({ value: i.id, text: `${i.name} (${bytes(i.size)})` }))}
        />
        <SelectField
          label="Network"
          value={network}
          onValue={setNetwork}
          options={networks.value.map((n) => ({ value: n.id, text: `${n.name} (${n.cidr})` }))}
        />
      </div>
      <div class="fields-3">
        <TextField
          label="Memory"
          suffix="MiB"
          inputMode="numeric"
          value={memory}
          onValue={setMemory}
          suggestions={memoryChoices.filter((m) => m >= least).map(String)}
          error={numberError(memory, least, 1048576, "MiB")}
        />
        <TextField
          label="Processors"
          inputMode="numeric"
          value={vcpus}
          onValue={setVcpus}
          error={numberError(vcpus, 1, 128, "")}
        />
        <TextField
          label="Disk"
          suffix="GiB"
          optional
          inputMode="numeric"
          value={disk}
          onValue={setDisk}
          placeholder={chosen ? "As the image" : ""}
          error={
            disk === ""
              ? null
              : numberError(disk, Math.max(1, Math.ceil((chosen?.size ?? 0) / 1024 ** 3)), 65536, "GiB")
          }
        />
      </div>
      <SelectField
        label="Where"
        value={place}
        onValue={setPlace}
        options={places}
        hint="It can be moved to any other node later, while it runs."
      />
      <details class="more">
        <summary>Kernel command line</summary>
        <TextField
          label="Added to the kernel’s command line"
          optional
          value={cmdline}
          onValue={setCmdline}
          placeholder={chosen?.cmdline ?? ""}
        />
      </details>
    </FormDialog>
  );
}

export function MigrateVm({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const list = migrationTargets(vm, nodes.value, overview.value?.latency ?? []);
  const [picked, setPicked] = useState<string | null>(null);
  const possible = list.filter((t) => t.refusal === null);
  const node = possible.find((t) => t.node.id === picked) ?? possible[0];
  return (
    <FormDialog
      title={`Migrate ${vm.name}`}
      submit={node ? `Migrate to ${node.node.name}` : "Migrate"}
      disabled={!node}
      onClose={onClose}
      onSubmit={async () => {
        await migrateVm(vm.id, node!.node.id);
        onClose();
      }}
    >
      <p class="dialog-lead">
        It runs on <strong>{vm.node_name ?? "no node"}</strong>
        {vm.region ? ` in ${vm.region}` : ""} and keeps running while it moves. Its address, its
        disk and its connections stay.
      </p>
      {list.length === 0 ? (
        <Alert tone="info">There is no other node. Add one on the Nodes page first.</Alert>
      ) : (
        <fieldset class="choices">
          <legend>To which node?</legend>
          {list.map((t) => (
            <label key={t.node.id} class={`choice${t.refusal ? " off" : ""}${t === node ? " on" : ""}`}>
              <input
                type="radio"
                name="target"
                value={t.node.id}
                checked={t === node}
                disabled={t.refusal !== null}
                data-first={t === node ? "" : undefined}
                onChange={() => setPicked(t.node.id)}
              />
              <span class="choice-main">
                <strong>{t.node.name}</strong>
                <span>
                  {t.node.region} · {t.node.provider}
                </span>
              </span>
              <span class="choice-side">
                {t.refusal ? (
                  <span class="refusal">{t.refusal}</span>
                ) : (
                  <>
                    <strong>{t.rtt === null ? "RTT unknown" : rtt(t.rtt)}</strong>
                    <span>{mib(t.free_after)} free after</span>
                  </>
                )}
              </span>
            </label>
          ))}
        </fieldset>
      )}
    </FormDialog>
  );
}

export function DeleteVm({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const volumes = vm.volumes ?? [];
  const size = volumes.reduce((n, v) => n + v.size, 0);
  const lost = nodes.value.find((n) => n.name === vm.node_name && n.state === "down");
  return (
    <Confirm
      title={`Delete ${vm.name}?`}
      submit={`Delete ${vm.name}`}
      onClose={onClose}
      onSubmit={async () => {
        await deleteVm(vm.id, lost !== undefined);
        onClose();
      }}
    >
      <p>
        {vm.state === "running" ? "It is running and will be stopped. " : ""}
        {volumes.length > 0
          ? `Its ${plural(volumes.length, "volume")} (${bytes(size)}) and its addresses go with it.`
          : "Its addresses go with it."}
      </p>
      {lost ? (
        <p>
          Its node {lost.name} is down and may still run it. Deleted now, it is given up: what is left of it there ends when the node
          comes back.
        </p>
      ) : null}
      <p>
        <strong>This cannot be undone.</strong>
      </p>
    </Confirm>
  );
}
