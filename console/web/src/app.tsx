// The frame around the pages: navigation, connection, theme, user, notices.
import { useEffect, useRef } from "preact/hooks";
import { href, route } from "./router";
import { AccountPage } from "./pages/account";
import { ImagesPage } from "./pages/images";
import { JobPage } from "./pages/job";
import { JobsPage } from "./pages/jobs";
import { LoginPage } from "./pages/login";
import { NetworksPage } from "./pages/networks";
import { NodesPage } from "./pages/nodes";
import { NodePage } from "./pages/node";
import { OverviewPage } from "./pages/overview";
import { ProviderPage } from "./pages/provider";
import { ProvidersPage } from "./pages/providers";
import { VmPage } from "./pages/vm";
import { VmsPage } from "./pages/vms";
import { notify } from "./state/notices";
import { logOut, session } from "./state/session";
import { link, loadError, loaded, nodes, providers, reconnect, runningJobs, vms } from "./state/store";
import { setTheme, theme, type Theme } from "./theme";
import { Alert, Button, Empty, IconButton, PageHead } from "./ui/basic";
import { Icon, type IconName, Logo } from "./ui/icons";
import { Notices } from "./ui/notices";
import { Palette, openPalette } from "./ui/palette";

const pages: { page: string; text: string; icon: IconName }[] = [
  { page: "overview", text: "Overview", icon: "overview" },
  { page: "vms", text: "VMs", icon: "vms" },
  { page: "images", text: "Images", icon: "images" },
  { page: "networks", text: "Networks", icon: "networks" },
  { page: "nodes", text: "Nodes", icon: "nodes" },
  { page: "providers", text: "Providers", icon: "providers" },
  { page: "jobs", text: "Jobs", icon: "jobs" },
];

export function App() {
  if (session.value === undefined)
    return (
      <div class="splash" role="status" aria-label="Loading">
        <Logo size={44} />
      </div>
    );
  if (session.value === null) return <LoginPage />;
  return <Shell />;
}

function Shell() {
  const { page, id } = route.value;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const here = pages.find((p) => p.page === page);

  useEffect(() => {
    // A new page: its title, its top, and the focus on its heading.
    document.title = `${id ? `${id} · ` : ""}${here?.text ?? (page === "account" ? "Account" : "Not found")} · Supercloud`;
    if (first.current) {
      first.current = false;
      return;
    }
    window.scrollTo(0, 0);
    main.current?.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }, [page, id]);

  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const t = e.target as HTMLElement;
      if ((e.ctrlKey || e.metaKey) && e.key === "k") {
        e.preventDefault();
        openPalette();
        return;
      }
      if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey) return;
      if (t.closest("input, textarea, select, dialog, .xterm")) return;
      const search = document.querySelector<HTMLInputElement>("[data-search]");
      if (!search) return;
      e.preventDefault();
      search.focus();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);

  return (
    <div class="shell">
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <aside class="side">
        <a class="brand" href={href("overview")}>
          <Logo />
          <span>Supercloud</span>
        </a>
        <button type="button" class="find" onClick={openPalette}>
          <Icon name="search" size={15} />
          <span>Go to…</span>
          <kbd>Ctrl K</kbd>
        </button>
        <nav class="nav" aria-label="Pages">
          {pages.map((p) => (
            <a
              key={p.page}
              href={href(p.page)}
              aria-current={p.page === page ? "page" : undefined}
            >
              <Icon name={p.icon} />
              <span>{p.text}</span>
              <Count page={p.page} />
            </a>
          ))}
        </nav>
        <div class="side-foot">
          <Link />
          <ThemeChoice />
          <div class="user">
            <a class="me" href={href("account")} aria-current={page === "account" ? "page" : undefined}>
              <span class="avatar" aria-hidden="true">
                {session.value!.user.slice(0, 1).toUpperCase()}
              </span>
              <span class="user-text">
                <strong>{session.value!.user}</strong> <span>{session.value!.role}</span>
              </span>
            </a>
            <IconButton icon="logout" label="Log out" onClick={() =>
                logOut().catch((e: Error) => notify({ tone: "bad", text: `Not logged out: ${e.message}`, job: "" }))
              } />
          </div>
        </div>
      </aside>
      <main class="main" id="main" ref={main} tabIndex={-1}>
        {link.value === "lost" && (
          <Alert tone="warn" action={<Button small onClick={reconnect}>Try now</Button>}>
            The connection to the controller is lost. What you see may be out of date; this page
            keeps trying.
          </Alert>
        )}
        {!loaded.value && loadError.value && <Alert>{loadError.value}</Alert>}
        <Page page={page} id={id} />
      </main>
      <Notices />
      <Palette />
    </div>
  );
}

function Page({ page, id }: { page: string; id: string | null }) {
  switch (page) {
    case "overview":
      return <OverviewPage />;
    case "vms":
      return id ? <VmPage key={id} id={id} /> : <VmsPage />;
    case "images":
      return <ImagesPage />;
    case "networks":
      return <NetworksPage />;
    case "nodes":
      return id ? <NodePage key={id} id={id} /> : <NodesPage />;
    case "providers":
      return id ? <ProviderPage key={id} id={id} /> : <ProvidersPage />;
    case "account":
      return <AccountPage />;
    case "jobs":
      return id ? <JobPage key={id} id={id} /> : <JobsPage />;
    default:
      return (
        <>
          <PageHead title="Not found" />
          <Empty
            icon="search"
            title="There is no such page"
            action={<a class="button primary" href={href("overview")}>Go to the Overview</a>}
          >
            The address may be mistyped, or from another version.
          </Empty>
        </>
      );
  }
}

function Count({ page }: { page: string }) {
  if (!loaded.value) return null;
  if (page === "jobs") {
    const n = runningJobs.value.length;
    return n > 0 ? (
      <span class="count live">
        {n}
        <span class="hidden"> running</span>
      </span>
    ) : null;
  }
  if (page === "vms") return <span class="count">{vms.value.length}</span>;
  if (page === "providers") {
    const failed = providers.value.filter((p) => p.state === "failed").length;
    return failed > 0 ? (
      <span class="count bad">
        {failed}
        <span class="hidden"> failed</span>
      </span>
    ) : (
      <span class="count">{providers.value.length}</span>
    );
  }
  if (page === "nodes") {
    const down = nodes.value.filter((n) => n.state === "down").length;
    return down > 0 ? (
      <span class="count bad">
        {down}
        <span class="hidden"> down</span>
      </span>
    ) : (
      <span class="count">{nodes.value.length}</span>
    );
  }
  return null;
}

const links = {
  live: "Live",
  connecting: "Connecting…",
  lost: "Connection lost",
};

function Link() {
  return (
    <div class={`connection ${link.value}`} role="status">
      <span class="dot" aria-hidden="true" />
      {links[link.value]}
    </div>
  );
}

const themes: { value: Theme; text: string; icon: IconName }[] = [
  { value: "light", text: "Light", icon: "sun" },
  { value: "system", text: "As the system", icon: "system" },
  { value: "dark", text: "Dark", icon: "moon" },
];

export function ThemeChoice() {
  return (
    <div class="themes" role="group" aria-label="Theme">
      {themes.map((t) => (
        <button
          key={t.value}
          type="button"
          aria-pressed={theme.value === t.value}
          aria-label={t.text}
          title={t.text}
          onClick={() => setTheme(t.value)}
        >
          <Icon name={t.icon} size={15} />
        </button>
      ))}
    </div>
  );
}
