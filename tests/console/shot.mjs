// See shot.
import { logIn, goTo, open, until } from "./lib/browser.mjs";
import { writeSmall } from "./lib/png.mjs";

const [file, theme = "light", where = "overview"] = process.argv.slice(2);
const { SC_URL, SC_USER = "admin", SC_PASSWORD, SC_SHOT_WAIT_VM, SC_SHOT_SIZE = "1440x900" } = process.env;
if (!file || !SC_URL || !SC_PASSWORD) {
  console.error("usage: SC_URL= SC_USER= SC_PASSWORD= shot FILE.png [light|dark] [PAGE]");
  process.exit(2);
}
const [width, height] = SC_SHOT_SIZE.split("x").map(Number);
const browser = await open({ width, height, theme });
let status = 0;
try {
  const { page } = browser;
  await logIn(page, SC_URL, SC_USER, SC_PASSWORD);
  await goTo(page, where);
  // Two samples of the traffic counters make the first rate.
  await page.waitForTimeout(where === "overview" ? 7000 : 1500);
  if (SC_SHOT_WAIT_VM) {
    console.log("ready");
    const share = () =>
      page.evaluate((vm) => {
        const t = document.querySelector(`.traveller`);
        return t?.textContent.includes(vm) ? Number(/(\d+) %/.exec(t.textContent)?.[1] ?? 0) : null;
      }, SC_SHOT_WAIT_VM);
    await until(`${SC_SHOT_WAIT_VM} on its way`, async () => (await share()) !== null, 120000);
    // A third of the way makes the better picture, if it takes that long.
    await until("", async () => ((await share()) ?? 100) >= 30, 30000).catch(() => {});
    await page.evaluate(() => document.querySelectorAll(".notice button").forEach((b) => b.click()));
  }
  const size = writeSmall(await page.screenshot(), file);
  console.log(`${file}: ${Math.ceil(size / 1024)} KiB`);
} catch (e) {
  console.error(String(e.message ?? e));
  status = 1;
} finally {
  await browser.close();
}
process.exit(status);
