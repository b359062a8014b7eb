// The corner with short messages; screen readers hear them as they come.
import { href } from "../router";
import { dismiss, notices } from "../state/notices";
import { IconButton } from "./basic";
import { Icon } from "./icons";

export function Notices() {
  return (
    <div class="notices" role="log" aria-live="polite" aria-relevant="additions" aria-label="Messages">
      {notices.value.map((n) => (
        <div key={n.id} class={`notice ${n.tone}`}>
          {n.tone === "info" ? (
            <span class="spinner" aria-hidden="true" />
          ) : (
            <Icon name={n.tone === "good" ? "check" : "warn"} />
          )}
          <div class="notice-text">
            {n.text}
            {n.job !== "" && (
              <a href={href("jobs", n.job)}>
                See the job<span class="hidden"> of: {n.text}</span>
              </a>
            )}
          </div>
          <IconButton icon="close" label={`Dismiss: ${n.text}`} onClick={() => dismiss(n.id)} />
        </div>
      ))}
    </div>
  );
}
