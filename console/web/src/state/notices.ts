// Short messages about what happened, shown in a corner and read aloud by
// the live region that holds them.
import { signal } from "@preact/signals";
import type { Notice } from "./reducer";

export interface Shown extends Notice {
  id: number;
}

const SHOW_MS = 6000;
const MAX_SHOWN = 4;

export const notices = signal<Shown[]>([]);
let last = 0;

export function notify(notice: Notice): void {
  const id = ++last;
  // The end of a job replaces the word of its beginning.
  const others = notices.value.filter(
    (n) => notice.job === "" || n.job !== notice.job,
  );
  notices.value = [...others, { ...notice, id }].slice(-MAX_SHOWN);
  if (notice.tone !== "bad") window.setTimeout(() => dismiss(id), SHOW_MS);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((n) => n.id !== id);
}

export const say = (text: string): void =>
  notify({ tone: "good", text, job: "" });
