// Line icons, 24 by 24, drawn with the text's colour.
import type { ComponentChildren } from "preact";

const paths: Record<string, ComponentChildren> = {
  overview: (
    <>
      <circle cx="6" cy="7" r="3" />
      <circle cx="18" cy="17" r="3" />
      <path d="M9 7h4a4 4 0 0 1 4 4v3" />
      <path d="M15 17h-4a4 4 0 0 1-4-4v-3" />
    </>
  ),
  vms: (
    <>
      <rect x="3" y="4" width="18" height="12" rx="2" />
      <path d="M8 20h8M12 16v4" />
    </>
  ),
  images: (
    <>
      <path d="m12 3 9 5-9 5-9-5z" />
      <path d="m3 12 9 5 9-5" />
      <path d="m3 16 9 5 9-5" />
    </>
  ),
  networks: (
    <>
      <rect x="9" y="3" width="6" height="6" rx="1.5" />
      <rect x="3" y="15" width="6" height="6" rx="1.5" />
      <rect x="15" y="15" width="6" height="6" rx="1.5" />
      <path d="M12 9v3M6 15v-1.5A1.5 1.5 0 0 1 7.5 12h9a1.5 1.5 0 0 1 1.5 1.5V15" />
    </>
  ),
  nodes: (
    <>
      <rect x="3" y="4" width="18" height="7" rx="2" />
      <rect x="3" y="13" width="18" height="7" rx="2" />
      <path d="M7 7.5h.01M7 16.5h.01M11 7.5h6M11 16.5h6" />
    </>
  ),
  jobs: (
    <>
      <path d="M10 6h11M10 12h11M10 18h11" />
      <path d="m3 6 1.5 1.5L7.5 4.5M3 12l1.5 1.5 3-3M3 18l1.5 1.5 3-3" />
    </>
  ),
  providers: (
    <>
      <path d="M7 18a4 4 0 0 1-.6-7.95 6 6 0 0 1 11.5-1.1A4.6 4.6 0 0 1 17.5 18z" />
      <path d="M12 18v3M9 21h6" />
    </>
  ),
  power: <path d="M12 3v8M6.6 6.6a7.6 7.6 0 1 0 10.8 0" />,
  plus: <path d="M12 5v14M5 12h14" />,
  play: <path d="M7 4.5v15l12-7.5z" />,
  stop: <rect x="6" y="6" width="12" height="12" rx="2" />,
  move: <path d="M4 9h14m-4-4 4 4-4 4M20 17H8" />,
  trash: <path d="M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5" />,
  close: <path d="M6 6l12 12M18 6 6 18" />,
  search: (
    <>
      <circle cx="11" cy="11" r="6.5" />
      <path d="m16 16 4.5 4.5" />
    </>
  ),
  sun: (
    <>
      <circle cx="12" cy="12" r="4" />
      <path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4" />
    </>
  ),
  moon: <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z" />,
  system: (
    <>
      <circle cx="12" cy="12" r="8.5" />
      <path d="M12 3.5v17a8.5 8.5 0 0 0 0-17z" fill="currentColor" />
    </>
  ),
  logout: <path d="M15 4h4v16h-4M10 8l-4 4 4 4M6 12h9" />,
  warn: <path d="M12 4 2.8 19.5h18.4zM12 10v4M12 17h.01" />,
  check: <path d="m5 12.5 4.5 4.5L19 7.5" />,
  info: (
    <>
      <circle cx="12" cy="12" r="8.5" />
      <path d="M12 11v5M12 8h.01" />
    </>
  ),
  copy: (
    <>
      <rect x="8" y="8" width="12" height="12" rx="2" />
      <path d="M16 8V6a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h2" />
    </>
  ),
  upload: <path d="M12 16V5m-4 4 4-4 4 4M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3" />,
  download: <path d="M12 4v11m-4-4 4 4 4-4M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3" />,
  chevron: <path d="m9 6 6 6-6 6" />,
  terminal: <path d="m5 8 4 4-4 4M12 16h7" />,
  expand: <path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5" />,
  refresh: <path d="M20 11a8 8 0 0 0-14.5-3.5L4 9M4 4v5h5M4 13a8 8 0 0 0 14.5 3.5L20 15M20 20v-5h-5" />,
  key: (
    <>
      <circle cx="8" cy="14" r="4" />
      <path d="m11 11 8-8M16 6l3 3" />
    </>
  ),
  up: <path d="M12 19V5m-5 5 5-5 5 5" />,
  down: <path d="M12 5v14m-5-5 5 5 5-5" />,
};

export type IconName =
  | "providers" | "power" | "overview" | "vms" | "images" | "networks" | "nodes" | "jobs" | "plus"
  | "play" | "stop" | "move" | "trash" | "close" | "search" | "sun" | "moon"
  | "system" | "logout" | "warn" | "check" | "info" | "copy" | "upload"
  | "download" | "chevron" | "terminal" | "expand" | "refresh" | "key" | "up"
  | "down";

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {paths[name]}
    </svg>
  );
}

export function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <defs>
        <linearGradient id="logo" x1="0" y1="0" x2="1" y2="1">
          <stop stop-color="#6366f1" />
          <stop offset="1" stop-color="#06b6d4" />
        </linearGradient>
      </defs>
      <rect width="32" height="32" rx="8" fill="url(#logo)" />
      <path
        d="M10.5 21.5a4 4 0 0 1-.4-8 6 6 0 0 1 11.4-1.2 4.7 4.7 0 0 1 .3 9.2z"
        fill="none"
        stroke="#fff"
        stroke-width="2.2"
        stroke-linejoin="round"
      />
      <circle cx="12.6" cy="17.3" r="1.7" fill="#fff" />
      <circle cx="19.6" cy="17.3" r="1.7" fill="#fff" />
    </svg>
  );
}
