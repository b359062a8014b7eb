// The dashboard before sc-fake-console; see run.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { logIn, open } from "./lib/browser.mjs";
import { PASSWORD, startFake } from "./lib/fake_console.mjs";
import { assert, Tap } from "./lib/tap.mjs";
import { accessCases } from "./cases/access.mjs";
import { eventCases } from "./cases/events.mjs";
import { providerCases } from "./cases/providers.mjs";
import { restCases } from "./cases/rest.mjs";
import { sessionCases } from "./cases/session.mjs";
import { takeShots } from "./cases/shots.mjs";
import { vmCases } from "./cases/vms.mjs";

const { SC_TOP, SC_BUILD } = process.env;
const args = process.argv.slice(2);
const only = args.includes("--only") ? args[args.indexOf("--only") + 1] : "";
const tap = new Tap(only);
const shots = join(SC_BUILD, "screenshots");
mkdirSync(shots, { recursive: true });

/** The unit tests of the front end's logic, one line each. */
function unitTests() {
  const file = join(SC_BUILD, "web-unit.json");
  rmSync(file, { force: true });
  const r = spawnSync(
    join(SC_TOP, "console/web/build"),
    [join(SC_BUILD, "web-unit"), "test", "--reporter=json", `--outputFile=${file}`],
    { encoding: "utf8" },
  );
  let suites = [];
  try {
    suites = JSON.parse(readFileSync(file, "utf8")).testResults;
  } catch {
    tap.report(false, "the unit tests of the front end run", `${r.stdout}\n${r.stderr}`);
    return;
  }
  for (const suite of suites) {
    if (suite.message) tap.report(false, suite.name, suite.message);
    for (const t of suite.assertionResults)
      tap.report(t.status === "passed", `logic: ${t.fullName}`, (t.failureMessages ?? []).join("\n"));
  }
}

if (!only) unitTests();

const STEP_MS = 600; // A migration has five: long enough to be seen by a busy machine.
const fake = await startFake(STEP_MS);
const browser = await open();
const ctx = { tap, url: fake.url, page: browser.page, browser, shots, top: SC_TOP };
tap.onFailure = (n) => browser.page.screenshot({ path: join(shots, `failed-${n}.png`) });
const end = async () => {
  await browser.close();
  await fake.stop();
};
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => void end().finally(() => process.exit(1)));
try {
  // One test alone finds the admin logged in, as the others left it.
  if (only) await logIn(browser.page, fake.url, "admin", PASSWORD);
  await sessionCases(ctx);
  await vmCases(ctx);
  await restCases(ctx);
  await providerCases(ctx);
  await accessCases(ctx);
  await eventCases(ctx);
  await takeShots(ctx, args.includes("--update-docs"));
  await tap.test("no page wrote an error or broke the content security policy", () => {
    assert(browser.complaints.length === 0, browser.complaints.join("\n"));
  });
} finally {
  await end();
}
process.exit(tap.end());
