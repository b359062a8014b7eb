// Chromium as the tests want it: alone, fresh, without the network's noise;
// and whatever a page complains about is kept.
import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const need = createRequire(join(process.env.SC_CONSOLE_MODULES, "tests.js"));
const { chromium } = need("playwright-core");

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Opens a browser; close() ends it and removes its profile. */
export async function open({ width = 1440, height = 900, theme = "light" } = {}) {
  const profile = mkdtempSync(join(tmpdir(), "sc-chromium."));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.SC_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: flags,
    ignoreHTTPSErrors: true, // The cluster's own authority signed it.
    viewport: { width, height },
    colorScheme: theme,
    timeout: 60000,
  });
  context.setDefaultTimeout(45000);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = context.pages()[0] ?? (await context.newPage());
  const complaints = [];
  watch(page, complaints);
  return {
    context,
    page,
    complaints,
    async close() {
      await context.close().catch(() => {});
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

function watch(page, complaints) {
  page.on("console", (m) => {
    if (m.type() !== "error" && m.type() !== "warning") return;
    // Chromium reports every answer of 400 and more; refused requests are
    // part of the tests, so only what the pages themselves say counts.
    if (/^Failed to load resource: the server responded with a status of (400|401|403|404|409|413|429|503|507)/.test(m.text())) return;
    complaints.push(`${m.type()}: ${m.text()}`);
  });
  page.on("pageerror", (e) => complaints.push(`exception: ${e.message}`));
  page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (e) =>
      console.error(`policy violation: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile ?? ""}`),
    );
  });
}

export async function logIn(page, url, user, password) {
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await page.getByLabel("User", { exact: true }).fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  const refused = page.locator(".login").getByRole("alert");
  await page.locator(".shell").or(refused).first().waitFor();
  if (await refused.count()) throw new Error(`login: ${await refused.textContent()}`);
  await page.locator(".connection.live").waitFor();
}

/** Goes to a page of the dashboard by its address. */
export async function goTo(page, hash) {
  await page.evaluate((h) => {
    location.hash = h;
  }, `#/${hash}`);
  await page.locator("main h1").waitFor();
}

/** Asks the API with the page's own session. */
export const api = (page, path) =>
  page.evaluate(async (p) => {
    const r = await fetch(`/api/v1${p}`);
    return { status: r.status, body: await r.json().catch(() => null) };
  }, path);

export async function vmNamed(page, name) {
  const { body } = await api(page, "/vms");
  return body.vms.find((v) => v.name === name) ?? null;
}

/** Waits until 'probe' gives something true; 'what' is for the message. */
export async function until(what, probe, ms = 45000) {
  const end = Date.now() + ms;
  for (;;) {
    const r = await probe();
    if (r) return r;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((f) => setTimeout(f, 150));
  }
}
