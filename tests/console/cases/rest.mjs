// Images, networks, nodes and the "Go to…" box.
import { createHash, randomBytes } from "node:crypto";
import { api, goTo, logIn, open, until, vmNamed } from "../lib/browser.mjs";
import { PASSWORD } from "../lib/fake_console.mjs";
import { row } from "../lib/steps.mjs";
import { assert, equal } from "../lib/tap.mjs";

const cell = (page, name) => page.locator("tbody tr").filter({ has: page.locator(".name", { hasText: new RegExp(`^${name}$`) }) });

export async function restCases({ tap, page, url, shots }) {
  const content = randomBytes(3 * 1024 * 1024);

  await tap.test("an image is uploaded whole, with its digest", async () => {
    await goTo(page, "images");
    await page.getByRole("button", { name: "Upload an image" }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.locator("input[type=file]").setInputFiles({ name: "My Disk.raw", mimeType: "application/octet-stream", buffer: content });
    equal(await dialog.getByLabel("Name").inputValue(), "my-disk", "name made from the file's");
    await dialog.getByRole("button", { name: "Upload", exact: true }).click();
    await dialog.waitFor({ state: "hidden" });
    await cell(page, "my-disk").getByText("Active").waitFor();
    const image = (await api(page, "/images/my-disk")).body;
    equal(image.size, content.length, "size");
    equal(image.sha256, createHash("sha256").update(content).digest("hex"), "digest");
    equal(await page.locator(".upload").count(), 0, "uploads still shown");
  });

  await tap.test("an upload without a file asks for one", async () => {
    await page.getByRole("button", { name: "Upload an image" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("nothing");
    await dialog.getByRole("button", { name: "Upload", exact: true }).click();
    await dialog.getByText("Choose the file to upload.").waitFor();
    await page.keyboard.press("Escape");
  });

  await tap.test("an upload shows its progress, and cancelling it leaves no image behind", async () => {
    // Slowed down, so that there is something to see and to cancel.
    const cdp = await page.context().newCDPSession(page);
    await cdp.send("Network.enable");
    await cdp.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 300 * 1024 });
    try {
      await page.getByRole("button", { name: "Upload an image" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.locator("input[type=file]").setInputFiles({ name: "slow.raw", mimeType: "application/octet-stream", buffer: content });
      await dialog.getByRole("button", { name: "Upload", exact: true }).click();
      const bar = page.getByRole("progressbar", { name: "Upload of slow" });
      await bar.waitFor();
      await until("progress", async () => Number(await bar.getAttribute("aria-valuenow").catch(() => 0)) > 0);
      await page.locator(".upload").getByRole("button", { name: "Cancel" }).click();
      await page.locator(".upload").waitFor({ state: "detached" });
    } finally {
      await cdp.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
      await cdp.detach();
    }
    await until("the image is gone", async () => (await api(page, "/images/slow")).status === 404);
    await cell(page, "slow").waitFor({ state: "detached" });
  });

  await tap.test("an image in use is not deleted, and the page says why", async () => {
    await cell(page, "demo").getByRole("button", { name: "Delete demo" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Delete demo" }).click();
    await dialog.getByRole("alert").waitFor();
    await page.keyboard.press("Escape");
    equal((await api(page, "/images/demo")).status, 200, "status of the image");
  });

  await tap.test("an image is deleted", async () => {
    await cell(page, "my-disk").getByRole("button", { name: "Delete my-disk" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete my-disk" }).click();
    await cell(page, "my-disk").waitFor({ state: "detached" });
    equal((await api(page, "/images/my-disk")).status, 404, "status of the image");
  });

  await tap.test("a network is created with checked addresses, and deleted", async () => {
    await goTo(page, "networks");
    await page.getByRole("button", { name: "Create a network" }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("lab");
    await dialog.getByLabel("Addresses").fill("10.7.0.5/24");
    await dialog.getByRole("button", { name: "Create", exact: true }).click();
    await dialog.getByText("The network of /24 here is 10.7.0.0.").waitFor();
    await dialog.getByLabel("Addresses").fill("10.7.0.0/24");
    await dialog.getByText("Room for 254 addresses.").waitFor();
    await dialog.getByRole("button", { name: "Create", exact: true }).click();
    await dialog.waitFor({ state: "hidden" });
    await cell(page, "lab").getByText("10.7.0.0/24").waitFor();
    await cell(page, "lab").getByRole("button", { name: "Delete lab" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete lab" }).click();
    await cell(page, "lab").waitFor({ state: "detached" });
  });

  await tap.test("a network in use is not deleted, and the page says why", async () => {
    await cell(page, "tenant").getByRole("button", { name: "Delete tenant" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Delete tenant" }).click();
    await dialog.getByRole("alert").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });

  await tap.test("nodes show their state, memory, boot and programs", async () => {
    await goTo(page, "nodes");
    const { body } = await api(page, "/nodes");
    for (const n of body.nodes) {
      const card = page.getByRole("article", { name: `Node ${n.name}` });
      await card.getByText(n.address).waitFor();
      await card.getByRole("progressbar", { name: `Memory of ${n.name}` }).waitFor();
      for (const program of Object.keys(n.programs)) await card.getByText(program).waitFor();
    }
  });

  /** Begins a migration of VM 'name' without the dashboard; the job's id. */
  const begin = async (name) => {
    const vm = await vmNamed(page, name);
    const { nodes } = (await api(page, "/nodes")).body;
    const to = nodes.find((n) => n.state === "up" && n.id !== vm.node && n.memory_free_mib > vm.memory_mib);
    const begun = await page.evaluate(
      async ([path, body]) => {
        const { csrf } = await (await fetch("/api/v1/session")).json();
        const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
        return (await fetch(`/api/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) })).json();
      },
      [`/vms/${vm.id}/migrate`, { node: to.id }],
    );
    assert(begun.job, `no migration was begun: ${JSON.stringify(begun)}`);
    return begun.job.id;
  };
  const jobOf = async (id) => (await api(page, `/jobs/${id}`)).body;

  await tap.test("a job is cancelled on its page by keyboard, and ends as cancelled before one's eyes", async () => {
    const soon = { timeout: 2500 };
    const dialog = page.getByRole("dialog");
    const byKeys = async () => {
      await page.getByRole("button", { name: "Cancel job" }).focus(soon);
      await page.keyboard.press("Enter");
      await dialog.getByText("The VM goes on where it is").waitFor(soon);
      await page.screenshot({ path: `${shots}/job-cancel.png` });
      await dialog.getByRole("button", { name: "Cancel job" }).focus(soon);
      await page.keyboard.press("Enter");
      await dialog.waitFor({ state: "hidden", ...soon });
    };
    // On a busy machine the VM may have arrived before all keys are pressed.
    let before;
    for (let tries = 1; ; tries++) {
      before = await vmNamed(page, "hello");
      const id = await begin("hello");
      await page.goto(`${url}/#/jobs/${id}`);
      const why = await byKeys().then(() => "", String);
      const job = await until("the job's end", async () => ((await jobOf(id)).ended_at ? jobOf(id) : null));
      if (job.state === "cancelled") break;
      assert(tries < 6, `it was never cancelled: ${job.state}, ${why}`);
    }
    await page.locator("h1").getByText("Cancelled", { exact: true }).waitFor({ timeout: 15000 });
    await page.locator(".alert.info", { hasText: "Cancelled by admin" }).waitFor();
    await page.screenshot({ path: `${shots}/job-cancelled.png` });
    equal(await page.getByRole("button", { name: /Cancel/ }).count(), 0, "buttons on an ended job");
    const after = await vmNamed(page, "hello");
    equal(`${after.state} ${after.node}`, `running ${before.node}`, "the VM");
  });

  await tap.test("when it is too late an open dialog and the button say so, with the reason", async () => {
    const late = "The VM runs at its destination already";
    await goTo(page, "jobs");
    let id;
    // A busy machine may be too late to open the dialog.
    for (let tries = 0; tries < 5; tries++) {
      id = await begin("hello");
      const line = page.locator("tbody tr").filter({ has: page.locator(`a[href$="${id}"]`) });
      const opened = await line.getByRole("button", { name: "Cancel Migrate hello" }).click({ timeout: 1500 }).then(() => true, () => false);
      const seen = opened && (await page.waitForFunction((text) => {
        const d = document.querySelector("dialog");
        return d && d.textContent.includes(text) && d.querySelector(".button.danger").disabled;
      }, late, { timeout: 8000 }).then(() => true, () => false));
      await until("the job's end", async () => (await jobOf(id)).state === "done", 30000);
      if (seen) break;
      assert(tries < 4, "it was never said");
    }
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    const line = page.locator("tbody tr").filter({ has: page.locator(`a[href$="${id}"]`) });
    await line.getByText("Done", { exact: true }).waitFor();
    equal(await line.getByRole("button").count(), 0, "buttons on an ended job");
    // A stop cannot be cancelled from its beginning.
    await goTo(page, "vms");
    await page.getByRole("button", { name: "Stop hello" }).click();
    await goTo(page, "jobs");
    const off = page.getByRole("button", { name: /^Cannot cancel Stop hello: the guest has been told to stop/ });
    const told = await off.waitFor({ timeout: 3000 }).then(() => true, () => false);
    if (told) equal(await off.isDisabled().catch(() => true), true, "the button is disabled");
    await until("hello to be stopped", async () => (await vmNamed(page, "hello")).state === "stopped");
    await goTo(page, "vms");
    await page.getByRole("button", { name: "Start hello" }).click();
    await until("hello to run", async () => (await vmNamed(page, "hello")).state === "running");
  });

  await tap.test("a job is cancelled in the list, and found there as cancelled", async () => {
    const soon = { timeout: 2500 };
    await goTo(page, "jobs");
    let line;
    for (let tries = 1; ; tries++) {
      const id = await begin("hello");
      line = page.locator("tbody tr").filter({ has: page.locator(`a[href$="${id}"]`) });
      await line.getByRole("button", { name: "Cancel Migrate hello" }).click(soon).catch(() => {});
      await page.getByRole("dialog").getByRole("button", { name: "Cancel job" }).click(soon).catch(() => {});
      const job = await until("the job's end", async () => ((await jobOf(id)).ended_at ? jobOf(id) : null));
      if (job.state === "cancelled") break;
      assert(tries < 6, `it was never cancelled: ${job.state}`);
    }
    await line.getByText("Cancelled", { exact: true }).waitFor({ timeout: 15000 });
    await line.getByText("cancelled by admin").waitFor();
    await page.screenshot({ path: `${shots}/jobs-cancel.png` });
    await page.locator(".segmented label", { hasText: "Cancelled" }).click();
    const states = await page.locator("tbody .state").allTextContents();
    assert(states.length > 0 && states.every((t) => t === "Cancelled"), `the filter shows ${states}`);
  });

  await tap.test("jobs are filtered and searched", async () => {
    await goTo(page, "jobs");
    await page.getByRole("radio", { name: "Failed" }).check();
    await row(page, "Create fail-1").waitFor();
    equal(await page.locator("tbody tr").count(), 1, "failed jobs");
    await page.getByRole("radio", { name: "All" }).check();
    await page.getByRole("searchbox").fill("migrate web-1");
    equal(await page.locator("tbody tr").count(), 1, "found jobs");
  });

  await tap.test("an admin adds a user, who logs in, and deletes it", async () => {
    await goTo(page, "account");
    await page.getByRole("button", { name: "Add a user" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("guest-1");
    await dialog.getByLabel("Password").fill("short");
    await dialog.getByRole("button", { name: "Add", exact: true }).click();
    await dialog.locator(".field-error").waitFor();
    await dialog.getByLabel("Password").fill("long enough 1");
    await dialog.getByRole("button", { name: "Add", exact: true }).click();
    await dialog.waitFor({ state: "hidden" });
    const other = await open();
    try {
      await logIn(other.page, url, "guest-1", "long enough 1");
    } finally {
      await other.close();
    }
    await page.getByRole("button", { name: "Delete guest-1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete guest-1" }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await page.getByRole("button", { name: "Delete guest-1" }).waitFor({ state: "detached" });
  });

  await tap.test("a user changes the password, and a wrong present one is refused in words", async () => {
    const other = await open();
    try {
      const p = other.page;
      await logIn(p, url, "viewer", PASSWORD);
      await goTo(p, "account");
      await p.getByRole("button", { name: "Change the password" }).click();
      const dialog = p.getByRole("dialog");
      const fill = async (old) => {
        await dialog.getByLabel("Present password").fill(old);
        await dialog.getByLabel("New password", { exact: true }).fill("another one 2");
        await dialog.getByLabel("New password again").fill("another one 2");
        await dialog.getByRole("button", { name: "Change", exact: true }).click();
      };
      await fill("not this");
      await dialog.getByRole("alert").waitFor();
      await fill(PASSWORD);
      await dialog.waitFor({ state: "hidden" });
      await p.getByRole("button", { name: "Log out" }).click();
      await logIn(p, url, "viewer", "another one 2");
    } finally {
      await other.close();
    }
  });

  await tap.test("Ctrl+K goes anywhere by a few letters", async () => {
    await page.keyboard.press("Control+k");
    await page.keyboard.type("hello");
    await page.getByRole("option", { name: /^hello VM/ }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: /^hello/ }).waitFor();
  });
}
