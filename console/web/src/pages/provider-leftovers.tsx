// What interrupted work has left at a provider: listed first, then removed.
import { useState } from "preact/hooks";
import { post } from "../api/client";
import type { Job, Provider, Resource } from "../api/types";
import { plural } from "../lib/format";
import { providerMark, providerPath, tookJob, useRemote } from "../state/providers";
import { canAdminister } from "../state/session";
import { jobs } from "../state/store";
import { Alert, Button, Empty, Mono, Time } from "../ui/basic";
import { Confirm } from "../ui/dialog";
import { type Column, LoadingRows, Table } from "../ui/table";
import { isRunning, JobProgress } from "./job-list";

export function Leftovers({ provider }: { provider: Provider }) {
  if (!canAdminister.value) return <Alert tone="info">Leftovers are listed and removed by administrators.</Alert>;
  return <List provider={provider} />;
}

function List({ provider }: { provider: Provider }) {
  const [asking, setAsking] = useState(false);
  const remote = useRemote(
    () => post<{ resources: Resource[] }>(`${providerPath(provider)}/gc`, { dry_run: true }),
    `${provider.id} ${providerMark()}`,
  );
  const list = remote.data?.resources ?? [];
  const running = jobs.value.filter((j) => j.kind === "provider.gc" && isRunning(j) && j.object_id === provider.id);
  const columns: Column<Resource>[] = [
    {
      key: "name",
      title: "What",
      sort: (r) => r.name || r.id,
      cell: (r) => (
        <span class="two">
          <span class="name">{r.name || r.id}</span>
          <small>
            {r.kind} <Mono>{r.id}</Mono>
          </small>
        </span>
      ),
      class: "main-cell",
    },
    { key: "region", title: "Region", sort: (r) => r.region, cell: (r) => r.region || <span class="dim">–</span> },
    { key: "detail", title: "State", cell: (r) => r.detail || <span class="dim">–</span> },
    { key: "why", title: "Why it can go", cell: (r) => r.why || <span class="dim">–</span> },
    { key: "created", title: "Made", sort: (r) => r.created_at, cell: (r) => <Time at={r.created_at} /> },
  ];
  return (
    <div class="stack">
      {running.length > 0 && (
        <div class="job-progress-list card">
          {running.map((j) => (
            <JobProgress key={j.id} job={j} />
          ))}
        </div>
      )}
      {remote.error && (
        <Alert action={<Button small onClick={remote.again}>Try again</Button>}>{remote.error}</Alert>
      )}
      {!remote.data && !remote.error && <LoadingRows n={2} />}
      {remote.data && list.length === 0 && (
        <Empty
          icon="check"
          title="Nothing is left over"
          action={
            <Button icon="refresh" busy={remote.loading} onClick={remote.again}>
              Look again
            </Button>
          }
        >
          Everything of ours at {provider.name} belongs to an image, an instance or a job that is known here.
        </Empty>
      )}
      {list.length > 0 && (
        <>
          <div class="toolbar">
            <span class="dim" role="status">
              {plural(list.length, "thing")} of ours that nothing here uses
            </span>
            <Button icon="refresh" busy={remote.loading} onClick={remote.again}>
              Look again
            </Button>
            <Button icon="trash" disabled={running.length > 0} onClick={() => setAsking(true)}>
              Clean up
            </Button>
          </div>
          <Table label={`Leftovers at ${provider.name}`} columns={columns} rows={list} initial={{ key: "name", down: false }} />
        </>
      )}
      {asking && (
        <Confirm
          title={`Remove ${plural(list.length, "leftover")}?`}
          submit="Clean up"
          onClose={() => setAsking(false)}
          onSubmit={async () => {
            tookJob(await post<{ job?: Job }>(`${providerPath(provider)}/gc`, { dry_run: false }));
            setAsking(false);
          }}
        >
          <p>
            {list
              .slice(0, 6)
              .map((r) => `${r.kind} ${r.name || r.id}`)
              .join(", ")}
            {list.length > 6 ? ` and ${list.length - 6} more` : ""} {list.length === 1 ? "is" : "are"} removed at {provider.name}. What has
            come into use meanwhile is left alone. <strong>This cannot be undone.</strong>
          </p>
        </Confirm>
      )}
    </div>
  );
}
