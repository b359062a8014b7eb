// What both drivers do in the dashboard, as a user would.
import { assert, equal } from "./tap.mjs";
import { goTo, until, vmNamed } from "./browser.mjs";

export const row = (page, name) => page.locator("tbody tr").filter({ has: page.getByRole("link", { name, exact: true }) });

/** Creates a VM by the dialog and waits until it runs; 'where': a node's id. */
export async function createVm(page, { name, image, network, memory, where }, ms) {
  await goTo(page, "vms");
  await page.getByRole("button", { name: "Create a VM" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill(name);
  if (image) await choose(dialog.getByLabel("Image"), image);
  if (network) await choose(dialog.getByLabel("Network"), network);
  if (memory) await dialog.getByLabel("Memory").fill(String(memory));
  if (where) await dialog.getByLabel("Where").selectOption(`node:${where}`);
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await dialog.waitFor({ state: "hidden" });
  await row(page, name).getByText("Running", { exact: true }).waitFor({ timeout: ms });
  const vm = await vmNamed(page, name);
  equal(vm?.state, "running", `state of ${name}`);
  return vm;
}

/** Picks the option whose text begins with 'text'. */
async function choose(select, text) {
  const value = await select.evaluate(
    (s, t) => [...s.options].find((o) => o.text === t || o.text.startsWith(`${t} (`))?.value ?? null,
    text,
  );
  assert(value !== null, `'${text}' is not offered`);
  await select.selectOption(value);
}

/** Migrates to the best other node by the dialog; resolves when the job is
 * done with {from, to, job}.  Looks at what the Overview shows meanwhile. */
export async function migrateVm(page, name, ms) {
  const before = await vmNamed(page, name);
  await goTo(page, "vms");
  await row(page, name).getByRole("button", { name: `Migrate ${name}` }).click();
  const dialog = page.getByRole("dialog");
  const picked = dialog.locator(".choice.on");
  await picked.waitFor();
  const to = await picked.locator("strong").first().textContent();
  await dialog.getByRole("button", { name: `Migrate to ${to}` }).click();
  await dialog.waitFor({ state: "hidden" });
  await goTo(page, "overview");
  const token = page.locator(".traveller", { hasText: name });
  const seen = await token.waitFor({ timeout: 8000 }).then(
    () => true,
    () => false,
  );
  const job = await until(
    `${name} migrated to ${to}`,
    async () => {
      const r = await page.evaluate(async () => (await fetch("/api/v1/jobs?limit=20")).json());
      const j = r.jobs.find((x) => x.kind === "vm.migrate" && x.object_id === before.id);
      return j && j.state !== "running" && j.state !== "rolling-back" ? j : null;
    },
    ms,
  );
  equal(job.state, "done", `state of the job (${job.error ?? "no error"})`);
  const after = await until(`${name} runs at ${to}`, async () => {
    const v = await vmNamed(page, name);
    return v.state === "running" && v.node_name === to ? v : null;
  });
  assert(after.region !== before.region || after.node !== before.node, "it is where it was");
  equal(after.ports?.[0]?.ip, before.ports?.[0]?.ip, "its address after the migration");
  // The map shows it in its new region, without a reload.
  await page
    .locator(`[data-region="${after.region}"]`)
    .getByRole("link", { name: new RegExp(`^${name}\\b`) })
    .waitFor();
  return { before, after, job, seen };
}

/** Deletes a VM by its page's dialog. */
export async function deleteVm(page, name, ms) {
  await goTo(page, "vms");
  await row(page, name).getByRole("button", { name: `Delete ${name}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: `Delete ${name}` }).click();
  await dialog.waitFor({ state: "hidden" });
  await row(page, name).waitFor({ state: "detached", timeout: ms });
  equal(await vmNamed(page, name), null, "the deleted VM");
}
