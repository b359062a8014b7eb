import { useState } from "preact/hooks";
import { del } from "../api/client";
import type { Image, ImageKind, Job } from "../api/types";
import { bytes, mib, plural } from "../lib/format";
import { nameError, numberError } from "../lib/placement";
import { matches } from "../lib/sort";
import { go, href, route } from "../router";
import { canOperate } from "../state/session";
import { cluster, images, loaded, remember, vms } from "../state/store";
import { upload, uploads } from "../state/uploads";
import { Bar, Button, IconButton, State, Time } from "../ui/basic";
import { Confirm, FormDialog } from "../ui/dialog";
import { FileDrop, Segmented, SelectField, TextField } from "../ui/field";
import { ListPage } from "../ui/list-page";
import { type Column, Table } from "../ui/table";
import { Uploads } from "./uploads";

const kindNames: Record<ImageKind, string> = { disk: "Disk", kernel: "Kernel", ramdisk: "Ramdisk" };

/** An upload from elsewhere shows how much has come. */
function ImageState({ image }: { image: Image }) {
  const part = image.state === "uploading" && image.received !== undefined && image.size > 0;
  return (
    <div class="vm-state">
      <State state={image.state} />
      {part && (
        <span class="vm-job">
          <Bar value={image.received!} max={image.size} label={`Received of ${image.name}`} tone="live" />
          {Math.floor((image.received! / image.size) * 100)} %
        </span>
      )}
    </div>
  );
}

export function ImagesPage() {
  const [query, setQuery] = useState(route.value.query.get("q") ?? "");
  const [gone, setGone] = useState<Image | null>(null);
  const creating = route.value.query.get("new") === "1" && canOperate.value && loaded.value;
  const name = (id: string | null) => (id ? (cluster.value.image[id]?.name ?? id) : null);
  const add = canOperate.value && (
    <Button tone="primary" icon="upload" onClick={() => go(href("images", null, "new=1"))}>
      Upload an image
    </Button>
  );
  const columns: Column<Image>[] = [
    {
      key: "name",
      title: "Name",
      sort: (i) => i.name,
      cell: (i) => (
        <span class="two">
          <span class="name">{i.name}</span>
          {i.kind === "disk" && (i.kernel || i.ramdisk) && (
            <small>boots {[name(i.kernel), name(i.ramdisk)].filter(Boolean).join(" + ")}</small>
          )}
        </span>
      ),
      class: "main-cell",
    },
    { key: "kind", title: "Kind", sort: (i) => i.kind, cell: (i) => kindNames[i.kind] ?? i.kind },
    { key: "state", title: "State", sort: (i) => i.state, cell: (i) => <ImageState image={i} /> },
    { key: "size", title: "Size", sort: (i) => i.size, cell: (i) => <span class="num">{bytes(i.size)}</span> },
    {
      key: "memory",
      title: "Needs",
      sort: (i) => i.min_memory_mib,
      cell: (i) => (i.min_memory_mib ? mib(i.min_memory_mib) : <span class="dim">–</span>),
      class: "wide-only",
    },
    {
      key: "sha",
      title: "SHA-256",
      cell: (i) =>
        i.sha256 ? (
          <span class="mono clip-sha" title={i.sha256}>
            {i.sha256.slice(0, 12)}…
          </span>
        ) : (
          <span class="dim">–</span>
        ),
      class: "wide-only",
    },
    { key: "created", title: "Added", sort: (i) => i.created_at, cell: (i) => <Time at={i.created_at} /> },
  ];
  if (canOperate.value)
    columns.push({
      key: "actions",
      title: "",
      cell: (i) => (
        <div class="row-actions">
          <IconButton
            icon="trash"
            tone="danger"
            label={`Delete ${i.name}`}
            disabled={i.state === "deleting" || uploads.value.some((u) => u.image === i.id)}
            onClick={() => setGone(i)}
          />
        </div>
      ),
      class: "actions-cell",
    });
  const found = images.value.filter((i) => matches(query, [i.name, i.kind, i.state, i.sha256, i.id]));
  return (
    <>
      <ListPage
        title="Images"
        lead="What VMs start from: disks, and the kernels and ramdisks that boot them."
        icon="images"
        what="image"
        add={add}
        above={<Uploads provider={null} />}
        none="Upload a raw disk image. For paravirtual guests that bring no boot loader, upload their kernel and ramdisk first."
        n={images.value.length}
        nFound={found.length}
        query={query}
        onQuery={setQuery}
        searched="Names, kinds, states and digests"
        side={
          <span class="dim" role="status">
            {plural(found.length, "image")}, {bytes(found.reduce((n, i) => n + i.size, 0))}
          </span>
        }
      >
        <Table label="Images" columns={columns} rows={found} initial={{ key: "name", down: false }} />
      </ListPage>
      {creating && <NewImage onClose={() => go(href("images"))} />}
      {gone && <DeleteImage image={gone} onClose={() => setGone(null)} />}
    </>
  );
}

function DeleteImage({ image, onClose }: { image: Image; onClose: () => void }) {
  const users = vms.value.filter((v) => v.image === image.id);
  return (
    <Confirm
      title={`Delete ${image.name}?`}
      submit={`Delete ${image.name}`}
      onClose={onClose}
      onSubmit={async () => {
        const r = await del<{ job?: Job }>(`/images/${encodeURIComponent(image.id)}`);
        if (r.job) remember("job", r.job);
        onClose();
      }}
    >
      {users.length > 0 && (
        <p>
          {plural(users.length, "VM")} use it ({users.slice(0, 5).map((v) => v.name).join(", ")}
          {users.length > 5 ? " and more" : ""}), so the controller will refuse.
        </p>
      )}
      <p>
        Its {bytes(image.size)} are removed from every node. <strong>This cannot be undone.</strong>
      </p>
    </Confirm>
  );
}

/** "debian-12.raw" -> "debian-12", as a name the controller takes. */
function nameOf(file: string): string {
  return file
    .toLowerCase()
    .replace(/\.(raw|img|qcow2|gz|cpio|bin|elf)+$/g, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 63);
}

function NewImage({ onClose }: { onClose: () => void }) {
  const [file, setFile] = useState<File | null>(null);
  const [missing, setMissing] = useState(false);
  const [name, setName] = useState("");
  const [kind, setKind] = useState<ImageKind>("disk");
  const [kernel, setKernel] = useState("");
  const [ramdisk, setRamdisk] = useState("");
  const [cmdline, setCmdline] = useState("");
  const [memory, setMemory] = useState("");
  const pick = (f: File | undefined) => {
    if (!f) return;
    setFile(f);
    setMissing(false);
    if (name === "") setName(nameOf(f.name));
    if (/vmlinuz|bzimage|kernel/i.test(f.name)) setKind("kernel");
    else if (/initrd|initramfs|ramdisk|\.cpio/i.test(f.name)) setKind("ramdisk");
  };
  const boot = (k: ImageKind) => [
    { value: "", text: k === "kernel" ? "The disk’s own boot loader" : "None" },
    ...images.value.filter((i) => i.kind === k && i.state === "active").map((i) => ({ value: i.id, text: i.name })),
  ];
  return (
    <FormDialog
      title="Upload an image"
      submit="Upload"
      onClose={onClose}
      onSubmit={async () => {
        if (!file) {
          setMissing(true);
          throw new Error("Choose the file to upload.");
        }
        await upload(
          {
            name,
            kind,
            ...(kind === "disk" && kernel ? { kernel } : {}),
            ...(kind === "disk" && ramdisk ? { ramdisk } : {}),
            ...(kind === "disk" && cmdline.trim() ? { cmdline: cmdline.trim() } : {}),
            ...(memory ? { min_memory_mib: Number(memory) } : {}),
          },
          file,
        );
        onClose();
      }}
    >
      <FileDrop file={file} onFile={pick} missing={missing} lead="Choose a file, or drop it here" note="A raw disk image, a kernel or a ramdisk" first />
      <TextField
        label="Name"
        value={name}
        onValue={setName}
        maxLength={63}
        error={nameError(name, images.value.map((i) => i.name))}
      />
      <Segmented
        label="Kind"
        value={kind}
        onValue={setKind}
        options={[
          { value: "disk", text: "Disk" },
          { value: "kernel", text: "Kernel" },
          { value: "ramdisk", text: "Ramdisk" },
        ]}
      />
      {kind === "disk" && (
        <>
          <div class="fields-2">
            <SelectField label="Kernel" optional value={kernel} onValue={setKernel} options={boot("kernel")} />
            <SelectField label="Ramdisk" optional value={ramdisk} onValue={setRamdisk} options={boot("ramdisk")} />
          </div>
          <div class="fields-2">
            <TextField label="Kernel command line" optional value={cmdline} onValue={setCmdline} placeholder="console=hvc0 root=/dev/xvda" />
            <TextField
              label="Least memory"
              optional
              suffix="MiB"
              inputMode="numeric"
              value={memory}
              onValue={setMemory}
              error={memory === "" ? null : numberError(memory, 16, 1048576, "MiB")}
            />
          </div>
        </>
      )}
    </FormDialog>
  );
}

