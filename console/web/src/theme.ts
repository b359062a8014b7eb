// Light, dark, or as the system says.  public/theme.js applies the choice
// before the first paint.
import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const stored = document.documentElement.dataset.theme;
const systemDark = signal(dark.matches);
dark.addEventListener("change", () => (systemDark.value = dark.matches));

export const theme = signal<Theme>(
  stored === "light" || stored === "dark" ? stored : "system",
);

export const isDark = (): boolean =>
  theme.value === "system" ? systemDark.value : theme.value === "dark";

export function setTheme(t: Theme): void {
  theme.value = t;
  try {
    if (t === "system") localStorage.removeItem("sc-theme");
    else localStorage.setItem("sc-theme", t);
  } catch {
    // Not kept then, but applied.
  }
  if (t === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = t;
}
