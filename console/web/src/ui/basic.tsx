// Small pieces that every page uses.
import type { ButtonHTMLAttributes, ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { dateTime, relative, words } from "../lib/format";
import { now } from "../state/store";
import { Icon, type IconName } from "./icons";

type ButtonProps = {
  icon?: IconName;
  tone?: "primary" | "danger" | "plain" | "ghost";
  busy?: boolean;
  small?: boolean;
} & ButtonHTMLAttributes;

export function Button({ icon, tone = "plain", busy, small, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      class={`button ${tone}${small ? " small" : ""}`}
      disabled={rest.disabled || busy}
      aria-busy={busy ? "true" : undefined}
    >
      {busy ? <span class="spinner" aria-hidden="true" /> : icon && <Icon name={icon} size={16} />}
      {children}
    </button>
  );
}

/** A button that is an icon only; 'label' is its name and its tip. */
export function IconButton({
  icon,
  label,
  tone = "",
  ...rest
}: { icon: IconName; label: string; tone?: string } & ButtonHTMLAttributes & {
    disabled?: boolean;
  }) {
  return (
    <button type="button" {...rest} class={`icon-button ${tone}`} aria-label={label} title={label}>
      <Icon name={icon} size={17} />
    </button>
  );
}

const tones: Record<string, string> = {
  running: "good",
  up: "good",
  active: "good",
  done: "good",
  ok: "good",
  pending: "busy",
  starting: "busy",
  stopping: "busy",
  joining: "busy",
  queued: "busy",
  uploading: "busy",
  publishing: "busy",
  deleting: "busy",
  "rolling-back": "busy",
  cancelling: "busy",
  cancelled: "off",
  migrating: "move",
  failed: "bad",
  down: "bad",
  stopped: "off",
  unknown: "off",
  terminated: "off",
  undone: "off",
  waiting: "off",
};

export const toneOf = (state: string): string => tones[state] ?? "off";

/** A state in words with its dot.  'running' jobs are busy, VMs are good. */
export function State({ state, tone }: { state: string; tone?: string }) {
  return (
    <span class={`state ${tone ?? toneOf(state)}`}>
      <span class="dot" aria-hidden="true" />
      {state === "ok" ? "OK" : words(state)}
    </span>
  );
}

/** The server's clock may be ahead of ours by so much, ms. */
const SKEW_MS = 15000;

export function Time({ at }: { at: number | null | undefined }) {
  if (!at) return <span class="dim">–</span>;
  const ahead = at - now.value;
  return (
    <time dateTime={new Date(at).toISOString()} title={dateTime(at)}>
      {relative(at, ahead > 0 && ahead < SKEW_MS ? at : now.value)}
    </time>
  );
}

/** A bar with its value in words beside or above it. */
export function Bar({
  value,
  max,
  label,
  tone = "",
}: {
  value: number;
  max: number;
  label: string;
  tone?: string;
}) {
  const share = max > 0 ? Math.min(1, Math.max(0, value / max)) : 0;
  return (
    <div
      class={`bar ${tone}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(share * 100)}
    >
      <div class="bar-fill" style={{ width: `${share * 100}%` }} />
    </div>
  );
}

export function Alert({
  tone = "bad",
  children,
  action,
}: {
  tone?: "bad" | "warn" | "info";
  children: ComponentChildren;
  action?: ComponentChildren;
}) {
  return (
    <div class={`alert ${tone}`} role={tone === "bad" ? "alert" : "note"}>
      <Icon name={tone === "info" ? "info" : "warn"} />
      <div class="alert-text">{children}</div>
      {action}
    </div>
  );
}

/** What an empty page says: what this is, and what to do next. */
export function Empty({
  icon,
  title,
  children,
  action,
}: {
  icon: IconName;
  title: string;
  children: ComponentChildren;
  action?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <div class="empty-icon">
        <Icon name={icon} size={26} />
      </div>
      <h2>{title}</h2>
      <p>{children}</p>
      {action && <div class="empty-action">{action}</div>}
    </div>
  );
}

export function PageHead({
  title,
  lead,
  children,
  back,
}: {
  title: ComponentChildren;
  lead?: ComponentChildren;
  children?: ComponentChildren;
  back?: { href: string; text: string };
}) {
  return (
    <header class="page-head">
      <div class="page-title">
        {back && (
          <a class="back" href={back.href}>
            <Icon name="chevron" size={14} />
            {back.text}
          </a>
        )}
        <h1 tabIndex={-1}>{title}</h1>
        {lead && <p class="lead">{lead}</p>}
      </div>
      {children && <div class="page-actions">{children}</div>}
    </header>
  );
}

export function Panel({
  title,
  aside,
  children,
  class: extra = "",
}: {
  title?: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
}) {
  return (
    <section class={`panel ${extra}`} aria-label={title}>
      {title && (
        <div class="panel-head">
          <h2>{title}</h2>
          {aside}
        </div>
      )}
      {children}
    </section>
  );
}

/** Copies 'text'.  Where the page may not use the clipboard (an older browser,
 * no permission), the old way by a selection is tried. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement as HTMLElement | null;
    const box = document.createElement("textarea");
    box.value = text;
    box.className = "hidden";
    // Inside an open dialog: what is behind it cannot be selected.
    (document.querySelector("dialog[open]") ?? document.body).append(box);
    box.select();
    const ok = document.execCommand("copy");
    box.remove();
    before?.focus();
    return ok;
  }
}

/** Copies 'text'; says so in the button for a moment. */
export function CopyButton({
  text,
  label = "Copy",
  tone = "plain",
  onCopied,
}: {
  text: string;
  label?: string;
  tone?: "plain" | "primary";
  onCopied?: () => void;
}) {
  const [done, setDone] = useState<"" | "yes" | "no">("");
  const timer = useRef(0);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const copy = async () => {
    const ok = await copyText(text);
    setDone(ok ? "yes" : "no");
    if (ok) onCopied?.();
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setDone(""), 2500);
  };
  return (
    <Button tone={tone} icon={done === "yes" ? "check" : "copy"} onClick={copy}>
      <span aria-live="polite">
        {done === "yes" ? "Copied" : done === "no" ? "Select the text and copy it" : label}
      </span>
    </Button>
  );
}

/** A list of names and values. */
export function Facts({ items }: { items: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {items.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value || <span class="dim">–</span>}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Mono({ children }: { children: ComponentChildren }) {
  return <span class="mono">{children}</span>;
}
