// The dashboard of a running system; see run.
import { join } from "node:path";
import { mkdirSync } from "node:fs";
import { logIn, open } from "./lib/browser.mjs";
import { createVm, deleteVm, migrateVm } from "./lib/steps.mjs";
import { assert, equal, Tap } from "./lib/tap.mjs";

const { SC_URL, SC_USER = "admin", SC_PASSWORD, SC_IMAGE, SC_NETWORK, SC_MEMORY, SC_BUILD } = process.env;
for (const name of ["SC_URL", "SC_PASSWORD", "SC_IMAGE", "SC_NETWORK"])
  if (!process.env[name]) {
    console.error(`run --real: ${name} is not set; see run`);
    process.exit(2);
  }
const JOB_MS = 240000; // Emulated machines take minutes.
const vm = `web-${Date.now().toString(36)}`;
const tap = new Tap();
const browser = await open();
const { page } = browser;
const shots = join(SC_BUILD, "screenshots");
mkdirSync(shots, { recursive: true });
tap.onFailure = (n) => page.screenshot({ path: join(shots, `real-failed-${n}.png`) });
try {
  await tap.test("a user logs in to the running system", () => logIn(page, SC_URL, SC_USER, SC_PASSWORD));
  if (tap.failed) throw new Error("without a login there is nothing to test");
  await tap.test("the dialog creates a VM that runs", () =>
    createVm(page, { name: vm, image: SC_IMAGE, network: SC_NETWORK, memory: SC_MEMORY }, JOB_MS),
  );
  await tap.test("the dialog migrates it; the job ends well and the map shows it in the other place", async () => {
    const { before, after, job } = await migrateVm(page, vm, JOB_MS);
    console.log(`# ${before.node_name} -> ${after.node_name}, job took ${job.ended_at - job.started_at} ms`);
    equal(after.epoch > before.epoch, true, "a newer epoch");
    await page.screenshot({ path: join(shots, "real-overview.png") });
  });
  await tap.test("the VM is deleted and goes from the list", () => deleteVm(page, vm, JOB_MS));
  await tap.test("the pages complained about nothing", () => {
    assert(browser.complaints.length === 0, browser.complaints.join("\n"));
  });
} catch (e) {
  console.log(`# ${e.message}`);
} finally {
  await browser.close();
}
process.exit(tap.end());
