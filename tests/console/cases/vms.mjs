// The life of a VM by mouse, and what goes wrong with it.
import { api, goTo, until, vmNamed } from "../lib/browser.mjs";
import { createVm, deleteVm, migrateVm, row } from "../lib/steps.mjs";
import { assert, equal } from "../lib/tap.mjs";

const JOB_MS = 45000;

export async function vmCases({ tap, page }) {
  await tap.test("the list shows the VMs, searches and sorts them", async () => {
    await goTo(page, "vms");
    await row(page, "hello").waitFor();
    const names = () => page.locator("tbody .name").allTextContents();
    const all = await names();
    equal(all.join(), [...all].sort().join(), "order by name");
    await page.getByRole("button", { name: "Name" }).click();
    equal((await names()).join(), [...all].sort().reverse().join(), "order turned round");
    equal(await page.locator("th[aria-sort=descending]").count(), 1, "columns said to be sorted");
    await page.keyboard.press("Escape");
    await page.locator("h1").click();
    await page.keyboard.press("/");
    await page.keyboard.type("hello run");
    equal((await names()).join(), "hello", "found");
    await page.getByRole("searchbox").fill("no such thing");
    await page.getByText("No VM matches").waitFor();
    await page.getByRole("button", { name: "Clear the search" }).click();
    equal((await names()).length, all.length, "rows");
  });

  await tap.test("a VM is created and runs", async () => {
    const vm = await createVm(page, { name: "web-1", image: "demo", network: "tenant", memory: 128 }, JOB_MS);
    assert(vm.ports[0].ip, "it has an address");
  });

  await tap.test("the dialog refuses a name that is wrong or taken before the server has to", async () => {
    await page.getByRole("button", { name: "Create a VM" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Create", exact: true }).click();
    await dialog.getByText("Give it a name.").waitFor();
    equal(await page.evaluate(() => document.activeElement.getAttribute("aria-invalid")), "true", "focused field is the wrong one");
    await dialog.getByLabel("Name").fill("Web 1");
    await dialog.getByText("Use letters, digits").waitFor();
    await dialog.getByLabel("Name").fill("web-1");
    await dialog.getByText("There is already one called web-1.").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });

  await tap.test("the server's refusal is shown in the dialog, in its words", async () => {
    await page.getByRole("button", { name: "Create a VM" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("huge");
    await dialog.getByLabel("Memory").fill("999999");
    await dialog.getByRole("button", { name: "Create", exact: true }).click();
    const text = await dialog.getByRole("alert").textContent();
    assert(text.length > 10 && !/status \d+/.test(text), `the alert says '${text}'`);
    equal(await vmNamed(page, "huge"), null, "the refused VM");
    await dialog.getByRole("button", { name: "Cancel" }).click();
  });

  await tap.test("a job that fails tells its reason in the corner, the list and the job's page", async () => {
    await page.getByRole("button", { name: "Create a VM" }).click();
    await page.getByRole("dialog").getByLabel("Name").fill("fail-1");
    await page.getByRole("dialog").getByLabel("Memory").fill("128");
    await page.getByRole("dialog").getByRole("button", { name: "Create", exact: true }).click();
    await page.locator(".notice.bad", { hasText: "told to fail" }).waitFor();
    await row(page, "fail-1").getByText("told to fail").waitFor();
    await page.locator(".notice.bad").getByRole("link").click();
    await page.locator("main").getByRole("alert").filter({ hasText: "told to fail" }).waitFor();
    await page.locator(".step.failed").waitFor();
    await page.locator(".notice.bad").getByRole("button").click();
    await deleteVm(page, "fail-1", JOB_MS);
  });

  await tap.test("a VM migrates: it travels over the map and stays at the other region", async () => {
    const { before, after, job, seen } = await migrateVm(page, "web-1", JOB_MS);
    assert(seen, "nothing travelled over the map");
    assert(before.region !== after.region, "the region changed");
    equal(job.result.to, after.node_name, "the job's result");
    await page.locator(".notice.good", { hasText: "web-1 migrated" }).waitFor();
  });

  await tap.test("the job's page shows steps, times, log and result", async () => {
    await page.locator(".notice.good", { hasText: "web-1 migrated" }).getByRole("link").click();
    await page.getByRole("heading", { level: 1, name: /Migrate web-1/ }).waitFor();
    const steps = page.locator(".step");
    assert((await steps.count()) >= 3, "steps");
    equal(await page.locator(".step.done").count(), await steps.count(), "steps done");
    assert((await page.getByRole("log", { name: "Log of the job" }).locator("div").count()) > 0, "log lines");
    await page.getByText("Pause", { exact: true }).waitFor();
  });

  await tap.test("the dialog tells the round trip and the room of each target", async () => {
    await goTo(page, "vms");
    await row(page, "web-1").getByRole("button", { name: "Migrate web-1" }).click();
    const choice = page.getByRole("dialog").locator(".choice").first();
    const text = await choice.textContent();
    assert(/\d+ ms/.test(text) && /MiB|GiB/.test(text), `it says '${text}'`);
    await page.keyboard.press("Escape");
  });

  await tap.test("the VM's page shows its ports, volumes and epoch", async () => {
    const vm = await vmNamed(page, "web-1");
    await row(page, "web-1").getByRole("link", { name: "web-1" }).click();
    const main = page.locator("main");
    await main.getByText(vm.ports[0].mac).waitFor();
    await main.getByText(vm.volumes[0].id).waitFor();
    await main.locator(".facts div", { hasText: "Epoch" }).getByText(String(vm.epoch)).waitFor();
  });

  await tap.test("the serial console shows the log and answers keys", async () => {
    await page.getByRole("tab", { name: "Serial console" }).click();
    await page.locator(".serial .connection.live").waitFor();
    const text = () => page.evaluate(() => document.querySelector(".xterm-rows")?.textContent ?? "");
    await until("the guest's prompt", async () => /guest|~ #/.test(await text()));
    await page.keyboard.type("uname-marker");
    await until("the echo", async () => (await text()).includes("uname-marker"));
    // Its colours work although the policy forbids inline styles.
    const coloured = await page.evaluate(() => getComputedStyle(document.querySelector(".xterm-rows")).color);
    equal(coloured, "rgb(214, 218, 228)", "colour of the terminal's text");
    await page.keyboard.press("Shift+Escape");
    equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Fill the window", "focus after leaving");
    await page.getByRole("tab", { name: "Overview" }).click();
  });

  await tap.test("a VM stops and starts", async () => {
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page.locator("h1").getByText("Stopped").waitFor({ timeout: JOB_MS });
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.locator("h1").getByText("Running").waitFor({ timeout: JOB_MS });
  });

  await tap.test("deleting asks first, and Cancel keeps the VM", async () => {
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("This cannot be undone.").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await dialog.waitFor({ state: "hidden" });
    equal((await vmNamed(page, "web-1"))?.state, "running", "state");
  });

  await tap.test("a VM is deleted", async () => {
    await deleteVm(page, "web-1", JOB_MS);
    equal((await api(page, "/vms/web-1")).status, 404, "status of the VM");
  });

  await tap.test("a VM's page says it when the VM is gone", async () => {
    await goTo(page, "vms/web-1");
    await page.getByText("This VM is gone").waitFor();
  });
}
