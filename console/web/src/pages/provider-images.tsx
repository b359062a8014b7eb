// Our images at one provider: upload with its manifest.json, state, delete.
import { useState } from "preact/hooks";
import type { Provider, Published } from "../api/types";
import { bytes, plural } from "../lib/format";
import { ownRegion } from "../lib/clouds";
import { createParams, fileError, type Manifest, parseManifest } from "../lib/manifest";
import { nameError } from "../lib/placement";
import { go, href, route } from "../router";
import { deletePublished, driverOf, providerPath, useRemote } from "../state/providers";
import { get } from "../api/client";
import { canAdminister } from "../state/session";
import { cluster, published } from "../state/store";
import { uploadPublished, uploads } from "../state/uploads";
import { Alert, Bar, Button, Empty, Facts, IconButton, Mono, State, Time } from "../ui/basic";
import { Confirm, FormDialog } from "../ui/dialog";
import { FileDrop, SelectField, TextField } from "../ui/field";
import { type Column, Table } from "../ui/table";
import { currentStep } from "./job-list";
import { Uploads } from "./uploads";

export function PublishedImages({ provider }: { provider: Provider }) {
  const [gone, setGone] = useState<Published | null>(null);
  const list = published.value.filter((i) => i.provider === provider.id);
  const adding = route.value.query.get("do") === "publish" && canAdminister.value;
  const format = driverOf(provider.driver)?.image_format ?? "";
  const add = canAdminister.value && (
    <Button icon="upload" onClick={() => go(href("providers", provider.id, "do=publish"))}>
      Publish an image
    </Button>
  );
  const columns: Column<Published>[] = [
    {
      key: "name",
      title: "Name",
      sort: (i) => i.name,
      cell: (i) => (
        <span class="two">
          <span class="name">{i.name}</span>
          <small>{i.image_id ? <Mono>{i.image_id}</Mono> : i.file}</small>
        </span>
      ),
      class: "main-cell",
    },
    { key: "region", title: "Region", sort: (i) => i.region, cell: (i) => i.region },
    { key: "state", title: "State", sort: (i) => i.state, cell: (i) => <PublishedState image={i} /> },
    {
      key: "size",
      title: "Size",
      sort: (i) => i.size,
      cell: (i) => (
        <span class="num" title={`${bytes(i.virtual_size)} as a disk`}>
          {bytes(i.size)} <span class="dim">{i.format}</span>
        </span>
      ),
    },
    { key: "created", title: "Added", sort: (i) => i.created_at, cell: (i) => <Time at={i.created_at} /> },
  ];
  if (canAdminister.value)
    columns.push({
      key: "actions",
      title: "",
      cell: (i) => (
        <div class="row-actions">
          <IconButton
            icon="play"
            label={`Launch nodes from ${i.name}`}
            disabled={i.state !== "active"}
            onClick={() => go(href("providers", provider.id, `do=launch&image=${encodeURIComponent(i.id)}`))}
          />
          <IconButton
            icon="trash"
            tone="danger"
            label={`Delete ${i.name}`}
            disabled={i.state === "deleting" || i.state === "publishing" || uploads.value.some((u) => u.image === i.id)}
            onClick={() => setGone(i)}
          />
        </div>
      ),
      class: "actions-cell",
    });
  return (
    <div class="stack">
      <Uploads provider={provider.id} />
      {list.length === 0 ? (
        <Empty icon="images" title="No image here yet" action={add}>
          A node is launched from our image. Build it with <Mono>make image PROVIDER={provider.driver}</Mono>
          {format && <> (a {format} file)</>}, then publish it here with its manifest.json.
        </Empty>
      ) : (
        <>
          <div class="toolbar">
            <span class="dim" role="status">
              {plural(list.length, "image")}, {bytes(list.reduce((n, i) => n + i.size, 0))}
            </span>
            {add}
          </div>
          <Table label={`Images at ${provider.name}`} columns={columns} rows={list} initial={{ key: "name", down: false }} />
        </>
      )}
      {adding && <Publish provider={provider} format={format} taken={list.map((i) => i.name)} onClose={() => go(href("providers", provider.id))} />}
      {gone && (
        <Confirm
          title={`Delete ${gone.name}?`}
          submit={`Delete ${gone.name}`}
          onClose={() => setGone(null)}
          onSubmit={async () => {
            await deletePublished(gone);
            setGone(null);
          }}
        >
          <p>
            The image and its snapshot are removed at {provider.name}. Instances that run from it go on. <strong>This cannot be undone.</strong>
          </p>
        </Confirm>
      )}
    </div>
  );
}

/** The state, and how far it is: bytes received, then the job's own progress. */
function PublishedState({ image }: { image: Published }) {
  const job = image.job ? cluster.value.job[image.job] : undefined;
  const uploading = image.state === "uploading" && !!image.received;
  return (
    <div class="vm-state">
      <State state={image.state} />
      {uploading && (
        <span class="vm-job">
          <Bar value={image.received!} max={image.size} label={`Received of ${image.name}`} tone="live" />
          {Math.floor((image.received! / image.size) * 100)} %
        </span>
      )}
      {job && (job.state === "running" || job.state === "rolling-back") && (
        <a class="vm-job" href={href("jobs", job.id)}>
          <Bar value={job.progress} max={100} label={`Publishing ${image.name}`} tone="live" />
          <span>
            {Math.round(job.progress)} % · {currentStep(job)}
          </span>
        </a>
      )}
      {image.error && <p class="row-error">{image.error}</p>}
    </div>
  );
}

function Publish({ provider, format, taken, onClose }: { provider: Provider; format: string; taken: string[]; onClose: () => void }) {
  const [file, setFile] = useState<File | null>(null);
  const [source, setSource] = useState<File | null>(null);
  const [manifest, setManifest] = useState<Manifest | null>(null);
  const [wrong, setWrong] = useState<string | null>(null);
  const [missing, setMissing] = useState<"" | "manifest" | "file">("");
  const [name, setName] = useState("");
  const [picked, setRegion] = useState("");
  const regions = useRemote((s) => get<{ regions: string[] }>(`${providerPath(provider)}/regions`, s), provider.id);
  const names = regions.data?.regions ?? [];
  const own = ownRegion(provider.config);
  const region = picked || (names.includes(own) ? own : (names[0] ?? ""));

  const readManifest = async (f: File) => {
    setSource(f);
    setManifest(null);
    setMissing("");
    if (f.size > 16 << 20) return setWrong("This is too large for a manifest. Is it the image?");
    const m = parseManifest(await f.text());
    if (typeof m === "string") return setWrong(m);
    setWrong(null);
    setManifest(m);
  };
  const mismatch = manifest && file ? fileError(manifest, file, format || manifest.format) : null;
  return (
    <FormDialog
      title={`Publish an image at ${provider.name}`}
      submit="Upload and publish"
      onClose={onClose}
      onSubmit={async () => {
        if (!manifest || !file) {
          setMissing(manifest ? "file" : "manifest");
          throw new Error(wrong ?? (manifest ? "Choose the image file." : "Choose the image’s manifest.json."));
        }
        if (mismatch) throw new Error(mismatch);
        if (!region) throw new Error("Which region?");
        await uploadPublished(provider, createParams(manifest, name, region, file.size), file);
        onClose();
      }}
    >
      <p class="dialog-lead">
        <Mono>make image PROVIDER={provider.driver}</Mono> makes both files and prints their paths last.
      </p>
      <FileDrop file={source} onFile={(f) => void readManifest(f)} missing={missing === "manifest"} lead="manifest.json" note="What the image is, and its digest" accept=".json,application/json" first />
      {wrong && <Alert>{wrong}</Alert>}
      {manifest && (
        <div class="manifest">
          <Facts
            items={[
              ["File", <Mono>{manifest.file}</Mono>],
              ["Made of", [manifest.distro, manifest.kernel && `kernel ${manifest.kernel}`, manifest.xen && `Xen ${manifest.xen}`].filter(Boolean).join(", ")],
              ["As a disk", `${bytes(manifest.virtual_size)}${manifest.boot ? `, boots by ${manifest.boot.toUpperCase()}` : ""}`],
              ["SHA-256", <span class="mono clip-sha" title={manifest.sha256}>{manifest.sha256.slice(0, 16)}…</span>],
            ]}
          />
        </div>
      )}
      <FileDrop file={file} onFile={(f) => { setFile(f); setMissing(""); }} missing={missing === "file"} lead={manifest ? manifest.file : "The image file"} note={format ? `A ${format} file, as ${provider.driver} wants it` : "As the provider wants it"} />
      {mismatch && <Alert>{mismatch}</Alert>}
      <div class="fields-2">
        {regions.error ? (
          <TextField label="Region" value={picked} onValue={setRegion} autocapitalize="none" error={picked ? null : "Which region?"} hint={regions.error} />
        ) : (
          <SelectField
            label="Region"
            value={region}
            onValue={setRegion}
            options={names.length ? names.map((r) => ({ value: r, text: r })) : [{ value: "", text: "Asking the provider…" }]}
          />
        )}
        <TextField
          label="Name"
          optional
          value={name}
          onValue={setName}
          autocapitalize="none"
          maxLength={63}
          placeholder="Made from the manifest"
          error={name === "" ? null : nameError(name, taken)}
        />
      </div>
    </FormDialog>
  );
}
