// Jobs as a short list, and one running job as a bar.
import type { Job } from "../api/types";
import { duration, jobDoing, jobVerb, stepTitle } from "../lib/format";
import { href } from "../router";
import { now } from "../state/store";
import { Bar, State, Time } from "../ui/basic";

export const isRunning = (j: Job): boolean => j.state === "running" || j.state === "rolling-back";

/** Jobs that run are not "good" yet, unlike VMs. */
export function JobState({ job }: { job: Job }) {
  const cancelling = isRunning(job) && !!job.cancel_at;
  return <State state={cancelling ? "cancelling" : job.state} tone={job.state === "running" ? "busy" : undefined} />;
}

/** "precopy · 412 MiB sent", or the state in words. */
export function currentStep(job: Job): string {
  const s = (job.steps ?? []).find((x) => x.state === "running");
  if (!s) return job.state === "rolling-back" ? "Undoing what was done" : "Waiting";
  return s.detail ? `${stepTitle(s.name)}: ${s.detail}` : stepTitle(s.name);
}

export function JobProgress({ job }: { job: Job }) {
  const steps = job.steps ?? [];
  const done = steps.filter((s) => s.state === "done").length;
  return (
    <a class="job-progress" href={href("jobs", job.id)}>
      <div class="job-progress-head">
        <strong>
          {jobDoing(job.kind)} {job.object_name}
        </strong>
        <span class="num">{Math.round(job.progress)} %</span>
      </div>
      <Bar value={job.progress} max={100} label={`${jobDoing(job.kind)} ${job.object_name ?? ""}`} tone="live" />
      <div class="job-progress-foot">
        <span>{currentStep(job)}</span>
        <span>
          {steps.length > 0 && `step ${Math.min(done + 1, steps.length)} of ${steps.length} · `}
          {duration(Math.max(0, now.value - job.started_at))}
        </span>
      </div>
    </a>
  );
}

export function JobList({ jobs, named }: { jobs: Job[]; named?: boolean }) {
  return (
    <ul class="items links">
      {jobs.map((j) => (
        <li key={j.id}>
          <a href={href("jobs", j.id)}>
            <span class="two">
              <span>
                {jobVerb(j.kind)}
                {named && j.object_name ? ` ${j.object_name}` : ""}
              </span>
              <small class={j.error && j.state !== "cancelled" ? "bad-text" : ""}>
                {j.error || (j.ended_at ? `took ${duration(j.ended_at - j.started_at)}` : currentStep(j))}
              </small>
            </span>
            <span class="two right">
              <JobState job={j} />
              <small>
                <Time at={j.ended_at || j.started_at} />
              </small>
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}
