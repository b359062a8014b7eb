// Cancelling a job: a button in words on its page, an icon in the list; it asks
// first, for what was done is lost.  Why it cannot be (any more) comes with the
// job's events, so the button and an open dialog say so by themselves.
import { useState } from "preact/hooks";
import type { Job } from "../api/types";
import { jobVerb, sentence } from "../lib/format";
import { cancelJob } from "../state/actions";
import { canAdminister, canOperate } from "../state/session";
import { Alert, Button, IconButton } from "../ui/basic";
import { FormDialog } from "../ui/dialog";
import { isRunning } from "./job-list";

/** Why it cannot be cancelled; "": it can. */
export function noCancel(job: Job): string {
  if (!job.may_cancel) return job.cancel_note ?? "";
  return job.kind.startsWith("provider.") && !canAdminister.value ? "only an admin may cancel it" : "";
}

export function CancelJob({ job, words }: { job: Job; words?: boolean }) {
  const [asking, setAsking] = useState(false);
  if (!isRunning(job) || !canOperate.value) return null;
  const name = `${jobVerb(job.kind)} ${job.object_name ?? ""}`.trim();
  const why = noCancel(job);
  return (
    <>
      {words ? (
        <Button icon="close" busy={!!job.cancel_at} disabled={!!why} title={sentence(why)} onClick={() => setAsking(true)}>
          {job.cancel_at ? "Cancelling" : "Cancel job"}
        </Button>
      ) : (
        <div class="row-actions">
          <IconButton
            icon="close"
            tone="danger"
            label={why ? `Cannot cancel ${name}: ${why}` : `Cancel ${name}`}
            disabled={!!why}
            onClick={() => setAsking(true)}
          />
        </div>
      )}
      {asking && <AskCancel job={job} name={name} why={why} onClose={() => setAsking(false)} />}
    </>
  );
}

function AskCancel({ job, name, why, onClose }: { job: Job; name: string; why: string; onClose: () => void }) {
  return (
    <FormDialog
      title="Cancel this job?"
      submit="Cancel job"
      dismiss="Let it run"
      tone="danger"
      disabled={!!why}
      onSubmit={async () => {
        await cancelJob(job.id);
        onClose();
      }}
      onClose={onClose}
    >
      <div class="confirm-text">
        <p>
          <strong>{name}</strong> is at {Math.round(job.progress)} %. What it has done is undone, and lost.
        </p>
        {why ? <Alert tone="warn">{sentence(why)}</Alert> : job.cancel_note && <p>{sentence(job.cancel_note)}.</p>}
      </div>
    </FormDialog>
  );
}
