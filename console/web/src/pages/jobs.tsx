import { useState } from "preact/hooks";
import type { Job } from "../api/types";
import { duration, jobVerb, plural } from "../lib/format";
import { matches } from "../lib/sort";
import { href } from "../router";
import { jobs, now } from "../state/store";
import { Bar, Time } from "../ui/basic";
import { Segmented } from "../ui/field";
import { ListPage } from "../ui/list-page";
import { type Column, Table } from "../ui/table";
import { CancelJob } from "./job-cancel";
import { currentStep, isRunning, JobState } from "./job-list";

const columns: Column<Job>[] = [
  {
    key: "what",
    title: "Job",
    sort: (j) => jobVerb(j.kind),
    cell: (j) => (
      <>
        <a class="name" href={href("jobs", j.id)}>
          {jobVerb(j.kind)} {j.object_name}
        </a>
        {j.error && <p class={j.state === "cancelled" ? "row-note" : "row-error"}>{j.error}</p>}
      </>
    ),
    class: "main-cell",
  },
  { key: "state", title: "State", sort: (j) => j.state, cell: (j) => <JobState job={j} /> },
  {
    key: "progress",
    title: "Progress",
    cell: (j) =>
      isRunning(j) ? (
        <div class="vm-job">
          <Bar value={j.progress} max={100} label={`Progress of ${jobVerb(j.kind)} ${j.object_name ?? ""}`} tone="live" />
          <span class="clip">{currentStep(j)}</span>
        </div>
      ) : (
        <span class="dim">{plural((j.steps ?? []).filter((s) => s.state === "done").length, "step")} done</span>
      ),
  },
  { key: "started", title: "Started", sort: (j) => j.started_at, cell: (j) => <Time at={j.started_at} /> },
  {
    key: "took",
    title: "Took",
    sort: (j) => (j.ended_at || now.peek()) - j.started_at,
    cell: (j) => <span class="num">{duration(Math.max(0, (j.ended_at || now.value) - j.started_at))}</span>,
  },
  { key: "actions", title: "", cell: (j) => <CancelJob job={j} />, class: "actions-cell" },
];

type Filter = "all" | "running" | "failed" | "cancelled" | "done";
const filters: { value: Filter; text: string }[] = [
  { value: "all", text: "All" },
  { value: "running", text: "Running" },
  { value: "failed", text: "Failed" },
  { value: "cancelled", text: "Cancelled" },
  { value: "done", text: "Done" },
];

export function JobsPage() {
  const [query, setQuery] = useState("");
  const [filter, setFilter] = useState<Filter>("all");
  const found = jobs.value.filter(
    (j) =>
      (filter === "all" || (filter === "running" ? isRunning(j) : j.state === filter)) &&
      matches(query, [j.kind, jobVerb(j.kind), j.object_name, j.state, j.error, j.id]),
  );
  return (
    <ListPage
      title="Jobs"
      lead="Everything that takes a while, step by step."
      icon="jobs"
      what="job"
      none="Creating, starting, stopping and migrating a VM are jobs. You can watch each step here."
      noneAction={<a class="button primary" href={href("vms")}>Go to the VMs</a>}
      n={jobs.value.length}
      nFound={found.length}
      query={query}
      onQuery={setQuery}
      searched="Kinds, names, states and errors"
      onAll={() => {
        setQuery("");
        setFilter("all");
      }}
      side={<Segmented label="Which jobs" hidden value={filter} onValue={setFilter} options={filters} />}
    >
      <Table label="Jobs" columns={columns} rows={found} href={(j) => href("jobs", j.id)} />
    </ListPage>
  );
}
