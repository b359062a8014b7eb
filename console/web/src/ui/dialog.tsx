// Modal dialogs on the browser's own <dialog>: it keeps the focus inside and
// makes the page behind inert; Esc, the cross and a click outside close it.
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Alert, Button, IconButton } from "./basic";

export function Dialog({
  title,
  onClose,
  children,
  wide,
  huge,
  locked,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
  huge?: boolean;
  locked?: boolean; // While a request is under way.
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const gone = useRef(false);
  const heading = useId();
  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    const dialog = ref.current!;
    dialog.showModal();
    const first =
      dialog.querySelector<HTMLElement>("[data-first]") ??
      dialog.querySelector<HTMLElement>("input, select, textarea, .dialog-foot button");
    first?.focus();
    return () => {
      gone.current = true;
      dialog.close();
      const back = before && before.isConnected ? before : document.querySelector<HTMLElement>("h1");
      back?.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={`dialog${huge ? " huge" : wide ? " wide" : ""}`}
      aria-labelledby={heading}
      onCancel={(e) => {
        e.preventDefault();
        if (!locked) onClose();
      }}
      onClose={() => {
        // A second Esc closes it whatever 'cancel' said.
        if (gone.current) return;
        if (locked) ref.current?.showModal();
        else onClose();
      }}
      onMouseDown={(e) => {
        if (e.target === e.currentTarget && !locked) onClose();
      }}
    >
      <div class="dialog-box">
        <header class="dialog-head">
          <h2 id={heading}>{title}</h2>
          <IconButton icon="close" label="Close" disabled={locked} onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** A form in a dialog: its errors, its busy state, its two buttons; 'dismiss'
 * is the one that does nothing.
 * 'onSubmit' may throw; the message is shown above the buttons. */
export function FormDialog({
  title,
  submit,
  dismiss = "Cancel",
  tone = "primary",
  onSubmit,
  onClose,
  children,
  disabled,
  wide,
  huge,
}: {
  title: string;
  submit: string;
  dismiss?: string;
  tone?: "primary" | "danger";
  onSubmit: () => Promise<void>;
  onClose: () => void;
  children: ComponentChildren;
  disabled?: boolean;
  wide?: boolean;
  huge?: boolean;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const run = async (e: Event) => {
    e.preventDefault();
    const wrong = form.current?.querySelectorAll<HTMLElement>("[aria-invalid=true]");
    if (wrong?.length) {
      // Fields show their error from now on, and the first has the focus.
      for (const w of wrong) w.dispatchEvent(new Event("invalid"));
      wrong[0]!.focus();
      return;
    }
    setBusy(true);
    setError(null);
    try {
      await onSubmit();
    } catch (x) {
      setError(x instanceof Error ? x.message : String(x));
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose} locked={busy} {...(wide ? { wide } : {})} {...(huge ? { huge } : {})}>
      <form ref={form} onSubmit={run} noValidate>
        <div class="dialog-body">
          {children}
          {error && <Alert>{error}</Alert>}
        </div>
        <footer class="dialog-foot">
          <Button onClick={onClose} disabled={busy}>
            {dismiss}
          </Button>
          <Button type="submit" tone={tone} busy={busy} disabled={!!disabled}>
            {submit}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

export function Confirm({
  title,
  submit,
  children,
  onSubmit,
  onClose,
}: {
  title: string;
  submit: string;
  children: ComponentChildren;
  onSubmit: () => Promise<void>;
  onClose: () => void;
}) {
  return (
    <FormDialog title={title} submit={submit} tone="danger" onSubmit={onSubmit} onClose={onClose}>
      <div class="confirm-text">{children}</div>
    </FormDialog>
  );
}
