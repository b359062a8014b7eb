// The keyboard alone, the rules of axe-core in both themes, and narrow screens.
import { readFileSync } from "node:fs";
import { api, goTo, need, until, vmNamed } from "../lib/browser.mjs";
import { row } from "../lib/steps.mjs";
import { assert, equal } from "../lib/tap.mjs";

const axeSource = readFileSync(need.resolve("axe-core/axe.min.js"), "utf8");

async function axe(page, what) {
  await page.evaluate(axeSource);
  // Things that move in are judged when they have arrived.
  await page.evaluate(() =>
    Promise.all(document.getAnimations().filter((a) => a.effect?.getComputedTiming().iterations !== Infinity).map((a) => a.finished.catch(() => {}))),
  );
  const bad = await page.evaluate(async () => {
    const r = await globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return r.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 4).map((n) => `${n.target.join(" ")} (${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? ""})`).join("; ")}`);
  });
  assert(bad.length === 0, `${what}:\n${bad.join("\n")}`);
}

const pages = ["overview", "vms", "images", "networks", "nodes", "providers", "jobs", "account"];
const dialogs = [
  ["vms?new=1", "Create a VM"],
  ["images?new=1", "Upload an image"],
  ["networks?new=1", "Create a network"],
  ["nodes?new=1", "Add a node"],
  ["providers?new=1", "Add a provider"],
];

/** The pages of one provider and one node, and their dialogs. */
async function deeper(page) {
  const ask = async (path, key, name) => (await api(page, path)).body[key].find((x) => x.name === name).id;
  const provider = await ask("/providers", "providers", "aws-main");
  const node = await ask("/nodes", "nodes", "jp-1");
  const tab = (t) => `providers/${provider}?tab=${t}`;
  return {
    pages: [`providers/${provider}`, tab("instances"), tab("leftovers"), tab("settings"), `nodes/${node}`],
    dialogs: [
      [`providers/${provider}?do=publish`, "Publish an image at aws-main"],
      [`${tab("instances")}&do=launch`, "Launch nodes at aws-main"],
      [`providers/${provider}?do=edit`, "Edit aws-main"],
      [`providers/${provider}?do=remove`, "Remove aws-main?"],
    ],
  };
}

export async function accessCases({ tap, page }) {
  await tap.test("the first Tab stop skips to the content", async () => {
    await goTo(page, "vms");
    await page.reload();
    await row(page, "hello").waitFor();
    await page.keyboard.press("Tab");
    equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content", "first stop");
    await page.keyboard.press("Enter");
    equal(await page.evaluate(() => document.activeElement.id), "main", "focus");
  });

  await tap.test("a VM is created with the keyboard alone", async () => {
    const focused = () =>
      page.evaluate(() => {
        const e = document.activeElement;
        return `${e.tagName} ${e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent}`;
      });
    const tabTo = async (wanted) => {
      for (let i = 0; i < 40; i++) {
        await page.keyboard.press("Tab");
        if ((await focused()).startsWith(wanted)) return;
      }
      throw new Error(`Tab never reached '${wanted}'; at '${await focused()}'`);
    };
    await tabTo("BUTTON Create a VM");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    assert((await focused()).startsWith("INPUT Name"), `focus is at '${await focused()}'`);
    await page.keyboard.type("keys-1");
    await tabTo("INPUT Memory");
    await page.keyboard.press("Control+a");
    await page.keyboard.type("128");
    await tabTo("SELECT Where");
    await tabTo("BUTTON Create");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await until("the focus to come back", async () => (await focused()).startsWith("BUTTON Create a VM"), 5000);
    await until("it runs", async () => (await vmNamed(page, "keys-1"))?.state === "running");
    await tabTo("A keys-1");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: /^keys-1/ }).waitFor();
    await page.waitForFunction(() => document.activeElement.tagName === "H1");
    await tabTo("BUTTON Delete");
    await page.keyboard.press("Enter");
    await tabTo("BUTTON Delete keys-1");
    await page.keyboard.press("Enter");
    await until("it is gone", async () => (await vmNamed(page, "keys-1")) === null);
  });

  await tap.test("a dialog keeps the focus, and Esc gives it back", async () => {
    await goTo(page, "networks");
    await page.getByRole("button", { name: "Create a network" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    for (let i = 0; i < 25; i++) {
      await page.keyboard.press(i % 7 === 6 ? "Shift+Tab" : "Tab");
      const inside = await page.evaluate(() => document.activeElement === document.body || !!document.activeElement.closest("dialog"));
      assert(inside, `after ${i + 1} Tabs the focus is outside`);
    }
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    equal(await page.evaluate(() => document.activeElement.textContent), "Create a network", "focus");
  });

  await tap.test("tabs follow the arrow keys", async () => {
    await goTo(page, "vms/hello");
    // The page may still be drawn anew with the VM's data, which takes the focus:
    // the key goes to the tab, not to whatever has the focus by then.
    const console_ = page.getByRole("tab", { name: "Serial console", selected: true });
    for (let i = 0; i < 5 && !(await console_.isVisible()); i++) {
      await page.getByRole("tab", { name: "Overview" }).press("ArrowRight");
      await console_.waitFor({ timeout: 3000 }).catch(() => {});
    }
    await console_.waitFor();
    await page.locator(".serial .connection.live").waitFor();
  });

  await tap.test("job changes are put into a live region", async () => {
    await goTo(page, "vms");
    await row(page, "spare").getByRole("button", { name: "Start spare" }).click();
    const region = page.locator('[aria-live="polite"]', { hasText: "spare started" });
    await region.waitFor();
    await row(page, "spare").getByRole("button", { name: "Stop spare" }).click();
    await row(page, "spare").getByText("Stopped").waitFor();
  });

  for (const theme of ["light", "dark"])
    await tap.test(`axe-core finds nothing on any page in the ${theme} theme`, async () => {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      const more = await deeper(page);
      for (const where of [...pages, ...more.pages]) {
        await goTo(page, where);
        await page.waitForTimeout(120);
        await axe(page, where);
      }
      await goTo(page, "vms/hello");
      await axe(page, "the page of a VM");
      await goTo(page, "vms/hello?tab=console");
      await page.locator(".serial .connection.live").waitFor();
      await axe(page, "the serial console");
      await goTo(page, "jobs");
      await page.locator("tbody .name").first().click();
      await page.locator(".step").first().waitFor();
      await axe(page, "the page of a job");
      for (const [where, title] of [...dialogs, ...more.dialogs]) {
        await goTo(page, where);
        const dialog = page.getByRole("dialog", { name: title });
        await dialog.waitFor();
        await page.waitForTimeout(120);
        await axe(page, `the dialog ${title}`);
        await page.keyboard.press("Escape");
        await dialog.waitFor({ state: "hidden" });
      }
      await goTo(page, "nodes?new=1");
      await page.getByRole("dialog").getByLabel("Region").fill("eu-central");
      await page.getByRole("dialog").getByRole("button", { name: "Make the user-data" }).click();
      await page.getByRole("tab", { name: "Terraform" }).waitFor();
      await axe(page, "the dialog with the user-data");
      await page.getByRole("button", { name: "Done" }).click();
      for (const token of (await api(page, "/tokens")).body.tokens) {
        await page.getByRole("button", { name: `Revoke token ${token.id}` }).click();
        await page.getByRole("button", { name: `Revoke token ${token.id}` }).waitFor({ state: "detached" });
      }
      await goTo(page, "vms");
      await row(page, "hello").getByRole("button", { name: "Migrate hello" }).click();
      await axe(page, "the dialog Migrate");
      await page.keyboard.press("Escape");
      await page.keyboard.press("Control+k");
      await axe(page, "the box Go to");
      await page.keyboard.press("Escape");
      await page.emulateMedia({ colorScheme: null, reducedMotion: null });
    });

  await tap.test("axe-core finds nothing on the login page in both themes", async () => {
    const other = await page.context().browser()?.newContext?.({ ignoreHTTPSErrors: true });
    const p = other ? await other.newPage() : null;
    assert(p, "a second context");
    for (const theme of ["light", "dark"]) {
      await p.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await p.goto(new URL(page.url()).origin);
      await p.getByRole("button", { name: "Log in" }).waitFor();
      await axe(p, `login, ${theme}`);
    }
    await other.close();
  });

  await tap.test("no page needs sideways scrolling at 360 pixels", async () => {
    const size = page.viewportSize();
    await page.setViewportSize({ width: 360, height: 740 });
    try {
      const more = await deeper(page);
      for (const where of [...pages, ...more.pages, "vms/hello", "vms/hello?tab=console", ...dialogs.map((d) => d[0]), ...more.dialogs.map((d) => d[0])]) {
        await goTo(page, where);
        await page.waitForTimeout(200);
        const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
        assert(wide <= 360, `${where} is ${wide} pixels wide`);
        const cut = await page.evaluate(() =>
          [...document.querySelectorAll("main button, main a, dialog button, dialog input, dialog select")]
            .filter((e) => !e.closest(".matrix, .xterm") && e.getClientRects().length > 0)
            .filter((e) => {
              const r = e.getBoundingClientRect();
              return r.width > 1 && (r.left < -1 || r.right > 361);
            })
            .map((e) => e.textContent || e.getAttribute("aria-label")),
        );
        assert(cut.length === 0, `${where}: outside the screen: ${cut.join(", ")}`);
        if (!/new=1|do=/.test(where)) continue;
        await page.keyboard.press("Escape");
        await page.getByRole("dialog").waitFor({ state: "hidden" });
      }
    } finally {
      await page.setViewportSize(size);
    }
  });
}
