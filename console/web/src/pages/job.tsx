// One job: its steps on a line of time, its log, its result; live.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get } from "../api/client";
import type { Job, Step } from "../api/types";
import { bytes, clockTime, duration, jobVerb, rtt, sentence, stepTitle, words } from "../lib/format";
import { href } from "../router";
import { cluster, now, remember } from "../state/store";
import { Alert, Bar, Empty, Facts, Mono, PageHead, Panel, Time } from "../ui/basic";
import { Icon } from "../ui/icons";
import { LoadingRows } from "../ui/table";
import { canOperate } from "../state/session";
import { CancelJob, noCancel } from "./job-cancel";
import { isRunning, JobState } from "./job-list";

const back = { href: href("jobs"), text: "Jobs" };

export function JobPage({ id }: { id: string }) {
  const known = cluster.value.job[id];
  const [fetched, setFetched] = useState<Job | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const state = known?.state;
  useEffect(() => {
    // Lists and events may leave the log out; this has all of it.
    const stop = new AbortController();
    get<Job>(`/jobs/${encodeURIComponent(id)}`, stop.signal).then(
      (j) => {
        setFetched(j);
        if (!cluster.peek().job[id]) remember("job", j);
      },
      (e: unknown) => e instanceof ApiError && setError(e),
    );
    return () => stop.abort();
  }, [id, state]);

  const job: Job | null = known
    ? { ...known, steps: known.steps ?? fetched?.steps ?? null, log: longer(known.log, fetched?.log), result: known.result ?? fetched?.result ?? null }
    : fetched;
  useEffect(() => {
    if (job) document.title = `${jobVerb(job.kind)} ${job.object_name ?? ""} · Jobs · Supercloud`;
  }, [job?.kind, job?.object_name]);

  if (!job)
    return (
      <>
        <PageHead title="Job" back={back} />
        {error?.status === 404 ? (
          <Empty icon="jobs" title="This job is forgotten" action={<a class="button primary" href={href("jobs")}>See all jobs</a>}>
            Old jobs are dropped after a while, or the address is wrong.
          </Empty>
        ) : error ? (
          <Alert>{error.message}</Alert>
        ) : (
          <LoadingRows />
        )}
      </>
    );
  const running = isRunning(job);
  const why = noCancel(job);
  const end = job.ended_at || Math.max(now.value, job.started_at);
  const vm = job.object_id ? cluster.value.vm[job.object_id] : undefined;
  return (
    <>
      <PageHead
        back={back}
        title={
          <>
            {jobVerb(job.kind)} {job.object_name} <JobState job={job} />
          </>
        }
        lead={
          <>
            Started <Time at={job.started_at} />
            {running && canOperate.value && !job.cancel_at && why && <> · cannot be cancelled: {why}</>}
          </>
        }
      >
        <CancelJob job={job} words />
      </PageHead>
      {job.error && <Alert tone={job.state === "cancelled" ? "info" : "bad"}>{sentence(job.error)}</Alert>}
      {running && (
        <div class="job-bar">
          <Bar value={job.progress} max={100} label="Progress" tone="live" />
          <span class="num">{Math.round(job.progress)} %</span>
        </div>
      )}
      <div class="columns">
        <div class="stack">
          <Panel title="Steps">
            {(job.steps ?? []).length === 0 ? (
              <p class="panel-empty">No step has begun.</p>
            ) : (
              <ol class="steps">
                {job.steps!.map((s) => (
                  <StepRow key={s.name} step={s} start={job.started_at} end={end} />
                ))}
              </ol>
            )}
          </Panel>
          <Panel title="Log">
            <Log lines={job.log ?? []} />
          </Panel>
        </div>
        <div class="stack">
          <Panel title="Facts" class="aside">
            <Facts
              items={[
                ["Object", vm ? <a href={href("vms", vm.id)}>{vm.name}</a> : job.object_name],
                ["Took", <span class="num">{duration(end - job.started_at)}</span>],
                ["Ended", job.ended_at ? <Time at={job.ended_at} /> : "Still running"],
                ["Kind", <Mono>{job.kind}</Mono>],
                ["Id", <Mono>{job.id}</Mono>],
              ]}
            />
          </Panel>
          {job.result && Object.keys(job.result).length > 0 && (
            <Panel title={running ? "So far" : "Result"} class="aside">
              <Facts items={Object.entries(job.result).map(([k, v]) => [resultName(k), resultValue(k, v)])} />
            </Panel>
          )}
        </div>
      </div>
    </>
  );
}

type Line = { at: number; text: string };
const longer = (a: Line[] | null | undefined, b: Line[] | null | undefined): Line[] =>
  (a?.length ?? 0) >= (b?.length ?? 0) ? (a ?? []) : b!;

const stateWords: Record<Step["state"], string> = {
  waiting: "Waiting",
  running: "Running",
  done: "Done",
  failed: "Failed",
  undone: "Undone",
};

function StepRow({ step, start, end }: { step: Step; start: number; end: number }) {
  const from = step.started_at;
  const to = step.ended_at || (step.state === "running" ? end : null);
  const span = Math.max(1, end - start);
  return (
    <li class={`step ${step.state}`}>
      <span class="step-mark" title={stateWords[step.state]}>
        {step.state === "done" ? (
          <Icon name="check" size={14} />
        ) : step.state === "failed" ? (
          <Icon name="close" size={14} />
        ) : step.state === "running" ? (
          <span class="spinner" aria-hidden="true" />
        ) : null}
      </span>
      <div class="step-text">
        <strong>{stepTitle(step.name)}</strong>
        <span class="hidden">: {stateWords[step.state]}</span>
        {step.detail && <p>{step.detail}</p>}
      </div>
      <div class="step-time" aria-hidden="true">
        {from && to && (
          <span
            style={{
              left: `${(Math.max(0, from - start) / span) * 100}%`,
              width: `${Math.max(0.6, ((to - from) / span) * 100)}%`,
            }}
          />
        )}
      </div>
      <span class="step-took num">{from && to ? duration(Math.max(0, to - from)) : step.state === "undone" ? "undone" : ""}</span>
    </li>
  );
}

function Log({ lines }: { lines: Line[] }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // Follows the end, unless the user has scrolled up to read.
    const b = box.current;
    if (b && b.scrollHeight - b.scrollTop - b.clientHeight < 80) b.scrollTop = b.scrollHeight;
  }, [lines.length]);
  if (lines.length === 0) return <p class="panel-empty">Nothing was logged.</p>;
  return (
    <div class="log" ref={box} tabIndex={0} role="log" aria-label="Log of the job">
      {lines.map((l, i) => (
        <div key={i}>
          <time>{clockTime(l.at)}</time>
          <span>{l.text}</span>
        </div>
      ))}
    </div>
  );
}

const resultNames: Record<string, string> = {
  from: "From",
  to: "To",
  total_ms: "Total time",
  pause_ms: "Pause",
  bytes_sent: "Memory sent",
  bytes_wire: "Over the wire",
  rounds: "Rounds",
};

const resultName = (key: string): string => resultNames[key] ?? words(key.replace(/_(ms|mib)$/, ""));

function resultValue(key: string, value: unknown) {
  if (typeof value === "number") {
    if (key === "rtt_ms") return rtt(value);
    if (key.endsWith("_ms")) return duration(value);
    if (key.startsWith("bytes")) return bytes(value);
    return String(value);
  }
  if (key === "from" || key === "to") return cluster.value.node[String(value)]?.name ?? String(value);
  // A launch's instances, by their names.
  if (Array.isArray(value) && value.every((v) => typeof (v as { name?: unknown })?.name === "string"))
    return value.length === 0 ? "none" : value.map((v: { name: string }) => v.name).join(", ");
  return typeof value === "string" ? value : <Mono>{JSON.stringify(value)}</Mono>;
}
