// A picture of each page, for the documentation and for whoever reviews it.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { goTo, open, until, vmNamed } from "../lib/browser.mjs";
import { writeSmall } from "../lib/png.mjs";
import { row } from "../lib/steps.mjs";
import { assert } from "../lib/tap.mjs";
import { prepareProviders, providerPages } from "./provider_shots.mjs";

const MAX_BYTES = 150 * 1024; // Of a picture in docs/images.
/** All pages are pictured in the light theme, the Overview in both; of the many
 * of providers, these. */
const inDocs = (name) => name === "overview-dark" || !name.endsWith("-dark");
const providersInDocs = ["providers", "launch", "node", "add-node"];

export async function takeShots({ tap, page, url, shots, top }, updateDocs) {
  const docs = join(top, "docs/images");
  if (updateDocs) mkdirSync(docs, { recursive: true });
  const save = async (p, name, wanted = true) => {
    // Messages in the corner come and go; the pictures are the same each time.
    await p.evaluate(() => document.querySelectorAll(".notice button").forEach((b) => b.click()));
    await p.mouse.move(0, 0);
    await p.waitForTimeout(250);
    const data = await p.screenshot();
    writeFileSync(join(shots, `${name}.png`), data);
    if (!updateDocs || !wanted || !inDocs(name)) return;
    const size = writeSmall(data, join(docs, `${name}.png`));
    assert(size < MAX_BYTES, `${name}.png has ${size} bytes`);
  };

  await tap.test("each page has its picture, in both themes", async () => {
    for (const theme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: theme });
      const end = theme === "dark" ? "-dark" : "";
      // The Overview in the middle of a migration.
      await goTo(page, "vms");
      await row(page, "hello").getByRole("button", { name: "Migrate hello" }).click();
      await save(page, `migrate-dialog${end}`);
      await page.getByRole("dialog").getByRole("button", { name: /^Migrate to/ }).click();
      await goTo(page, "overview");
      await page.waitForFunction(
        () => Number(/(\d+) %/.exec(document.querySelector(".traveller")?.textContent ?? "")?.[1] ?? 0) >= 30,
      );
      await save(page, `overview${end}`);
      await until("it arrived", async () => (await vmNamed(page, "hello")).state === "running");
      for (const where of ["vms", "images", "networks", "nodes", "jobs"]) {
        await goTo(page, where);
        await save(page, `${where}${end}`);
      }
      await goTo(page, "vms/hello");
      await save(page, `vm${end}`);
      await goTo(page, "vms/hello?tab=console");
      await page.locator(".serial .connection.live").waitFor();
      await save(page, `console${end}`);
      await goTo(page, "jobs");
      await page.locator("tbody .name").first().click();
      await page.locator(".step").first().waitFor();
      await save(page, `job${end}`);
      await goTo(page, "vms?new=1");
      await page.getByRole("dialog").waitFor();
      await save(page, `create-vm${end}`);
      await page.keyboard.press("Escape");
    }
    await page.emulateMedia({ colorScheme: null });
    const other = await open();
    try {
      await other.page.goto(url);
      await other.page.getByRole("button", { name: "Log in" }).waitFor();
      await save(other.page, "login");
    } finally {
      await other.close();
    }
  });
  await tap.test("the pages of providers have theirs", async () => {
    const ids = await prepareProviders(page);
    for (const theme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: theme });
      const end = theme === "dark" ? "-dark" : "";
      await providerPages(page, ids, (name) => save(page, `${name}${end}`, providersInDocs.includes(name)));
    }
    await page.emulateMedia({ colorScheme: null });
  });
}
