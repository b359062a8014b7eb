// Addresses are "#/page/id?query", so that any web server can serve the page.
import { signal } from "@preact/signals";

export interface Route {
  page: string;
  id: string | null;
  query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter((p) => p !== "");
  let id: string | null = null;
  if (parts[1] !== undefined) {
    try {
      id = decodeURIComponent(parts[1]);
    } catch {
      id = parts[1];
    }
  }
  return { page: parts[0] ?? "overview", id, query: new URLSearchParams(query) };
}

export const route = signal<Route>(parseRoute(location.hash));

window.addEventListener("hashchange", () => {
  route.value = parseRoute(location.hash);
});

export const href = (page: string, id?: string | null, query = ""): string =>
  `#/${page}${id ? `/${encodeURIComponent(id)}` : ""}${query ? `?${query}` : ""}`;

export function go(to: string): void {
  location.hash = to;
}
