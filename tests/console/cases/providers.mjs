// Providers, launching, "Add a node", what nodes report.
import { readFileSync } from "node:fs";
import { createHash, randomBytes } from "node:crypto";
import { api, goTo, open, logIn, until, vmNamed } from "../lib/browser.mjs";
import { PASSWORD } from "../lib/fake_console.mjs";
import { createVm, deleteVm } from "../lib/steps.mjs";
import { assert, equal } from "../lib/tap.mjs";

const line = (page, name) => page.locator("tbody tr").filter({ has: page.locator(".name", { hasText: new RegExp(`^${name}$`) }) });

/** A small image and the manifest.json that images/build would write. */
export function imageFiles(name, size, over = {}) {
  const content = randomBytes(size);
  const manifest = {
    file: name,
    format: "raw",
    virtual_size: 8 * 2 ** 30,
    sha256: createHash("sha256").update(content).digest("hex"),
    boot: "bios",
    provider: "ec2",
    distro: "debian",
    kernel: "6.1.0-41-amd64",
    xen: "4.17.5",
    packages: [{ name: "xen-utils-4.17", version: "4.17.5" }],
    ...over,
  };
  return {
    image: { name, mimeType: "application/octet-stream", buffer: content },
    manifest: { name: "manifest.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify(manifest)) },
  };
}

export async function addProvider(page, { kind, name, fields, secrets }) {
  await goTo(page, "providers?new=1");
  const dialog = page.getByRole("dialog", { name: "Add a provider" });
  await dialog.getByLabel("Kind").selectOption(kind);
  await dialog.getByLabel("Name", { exact: true }).fill(name);
  for (const [label, value] of Object.entries({ ...fields, ...secrets })) await dialog.getByLabel(label, { exact: false }).fill(value);
  await dialog.getByRole("button", { name: "Try and add" }).click();
  return dialog;
}

export async function publish(page, provider, files, name) {
  await goTo(page, `providers/${provider}?do=publish`);
  const dialog = page.getByRole("dialog");
  const inputs = dialog.locator("input[type=file]");
  await inputs.first().setInputFiles(files.manifest);
  await inputs.nth(1).setInputFiles(files.image);
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByRole("button", { name: "Upload and publish" }).click();
  return dialog;
}

const idOf = async (page, name) => (await api(page, "/providers")).body.providers.find((p) => p.name === name)?.id;

export async function launch(page, provider, name, change = async () => {}) {
  await goTo(page, `providers/${provider}?tab=instances&do=launch`);
  const dialog = page.getByRole("dialog");
  await dialog.locator(".types tbody tr").first().waitFor();
  await dialog.getByLabel("Name", { exact: true }).fill(name);
  await change(dialog);
  await dialog.getByRole("button", { name: /^Launch (it|\d)/ }).click();
  return dialog;
}

const nodeNamed = async (page, name) => (await api(page, "/nodes")).body.nodes.find((n) => n.name === name);

export async function providerCases({ tap, page, url, shots }) {
  let ec2;

  await tap.test("without a provider the page says what one is for", async () => {
    await goTo(page, "providers");
    await page.getByText("No providers yet").waitFor();
  });

  await tap.test("a provider's form is made of its driver's fields, and secrets are dots", async () => {
    await page.getByRole("button", { name: "Add a provider" }).first().click();
    const dialog = page.getByRole("dialog");
    const { body } = await api(page, "/provider-drivers");
    for (const d of body.drivers) {
      await dialog.getByLabel("Kind").selectOption(d.name);
      await dialog.locator("details").evaluateAll((l) => l.forEach((e) => (e.open = true)));
      for (const f of d.fields) {
        const field = dialog.getByLabel(new RegExp(`^${f.name.replace(/_/g, " ")}`, "i")).first();
        await field.waitFor();
        if (!f.secret) continue;
        const dots = await field.evaluate((e) => e.type === "password" || (e.tagName === "TEXTAREA" && getComputedStyle(e).webkitTextSecurity === "disc"));
        assert(dots, `${d.name}.${f.name} can be read`);
      }
    }
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });

  await tap.test("a wrong secret is refused in the provider's words and nothing is kept; the right one is taken", async () => {
    const dialog = await addProvider(page, {
      kind: "ec2",
      name: "aws-main",
      fields: { "Access key id": "AKIAFAKE", Regions: "eu-central-1" },
      secrets: { "Secret access key": "wrong-one" },
    });
    await dialog.getByRole("alert").getByText("AuthFailure").waitFor();
    equal((await api(page, "/providers")).body.providers.length, 0, "providers after a wrong secret");
    await dialog.getByLabel("Secret access key").fill("the-right-one");
    await dialog.getByRole("button", { name: "Try and add" }).click();
    await page.getByRole("heading", { level: 1, name: /^aws-main/ }).waitFor();
    ec2 = await idOf(page, "aws-main");
    const text = JSON.stringify((await api(page, "/providers")).body) + (await page.content());
    assert(!text.includes("the-right-one"), "the secret is shown again");
  });

  await tap.test("editing keeps the secret unless a new one is given, and tries it first", async () => {
    await page.getByRole("button", { name: "Edit" }).click();
    const dialog = page.getByRole("dialog");
    equal(await dialog.getByLabel("Secret access key").inputValue(), "", "the secret's field");
    equal(await dialog.getByLabel("Access key id").inputValue(), "AKIAFAKE", "the key's id");
    await dialog.getByLabel("Secret access key").fill("wrong-again");
    await dialog.getByRole("button", { name: "Try and save" }).click();
    await dialog.getByRole("alert").waitFor();
    await dialog.getByLabel("Secret access key").fill("");
    await dialog.getByLabel("Regions").fill("us-east-1, eu-central-1");
    await dialog.getByRole("button", { name: "Try and save" }).click();
    await dialog.waitFor({ state: "hidden" });
    equal((await api(page, `/providers/${ec2}`)).body.config.regions, "us-east-1, eu-central-1", "regions");
  });

  await tap.test("a manifest that is none, or of another image, is refused before the upload", async () => {
    const files = imageFiles("supercloud-debian-ec2.raw", 4096);
    await goTo(page, `providers/${ec2}?do=publish`);
    const dialog = page.getByRole("dialog");
    const inputs = dialog.locator("input[type=file]");
    await inputs.first().setInputFiles({ name: "x.json", mimeType: "application/json", buffer: Buffer.from("[1]") });
    await dialog.getByText("This is not a manifest").waitFor();
    await inputs.first().setInputFiles(imageFiles("supercloud-debian-azure.vhd", 16, { format: "vhd", provider: "azure" }).manifest);
    await inputs.nth(1).setInputFiles(files.image);
    await dialog.getByText("This provider takes raw images").waitFor();
    await dialog.getByRole("button", { name: "Upload and publish" }).click();
    equal((await api(page, `/providers/${ec2}/images`)).body.images.length, 0, "images");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });

  await tap.test("an image is uploaded and published with progress, and links to its job", async () => {
    const dialog = await publish(page, ec2, imageFiles("supercloud-debian-ec2.raw", 2 << 20), "sc-debian");
    await dialog.waitFor({ state: "hidden" });
    const bar = line(page, "sc-debian").getByRole("progressbar", { name: "Publishing sc-debian" });
    await bar.waitFor();
    await until("progress", async () => Number(await bar.getAttribute("aria-valuenow").catch(() => 0)) > 20);
    const to = await line(page, "sc-debian").locator("a.vm-job").getAttribute("href");
    assert(/^#\/jobs\//.test(to), `the job's link is ${to}`);
    await line(page, "sc-debian").getByText("Active").waitFor();
    const image = (await api(page, `/providers/${ec2}/images`)).body.images[0];
    equal(image.virtual_size, 8 * 2 ** 30, "virtual size, from the manifest");
    await line(page, "sc-debian").getByText(image.image_id).waitFor();
  });

  await tap.test("a cancelled upload to a provider leaves no image", async () => {
    const cdp = await page.context().newCDPSession(page);
    await cdp.send("Network.enable");
    const limit = (n) => cdp.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: n });
    await limit(300 * 1024);
    try {
      const dialog = await publish(page, ec2, imageFiles("supercloud-debian-ec2.raw", 3 << 20), "slow-1");
      await dialog.waitFor({ state: "hidden" });
      const bar = page.getByRole("progressbar", { name: "Upload of slow-1" });
      await until("progress", async () => Number(await bar.getAttribute("aria-valuenow").catch(() => 0)) > 0);
      await page.locator(".upload").getByRole("button", { name: "Cancel" }).click();
      await page.locator(".upload").waitFor({ state: "detached" });
    } finally {
      await limit(-1);
      await cdp.detach();
    }
    await line(page, "slow-1").waitFor({ state: "detached" });
    equal((await api(page, `/providers/${ec2}/images`)).body.images.length, 1, "images");
  });

  await tap.test("a publication that fails says why, and what it left is listed and cleaned", async () => {
    await publish(page, ec2, imageFiles("supercloud-debian-ec2.raw", 4096), "fail-1").then((d) => d.waitFor({ state: "hidden" }));
    await line(page, "fail-1").getByText("the snapshot was not completed", { exact: false }).waitFor();
    await line(page, "fail-1").getByRole("button", { name: "Delete fail-1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete fail-1" }).click();
    await line(page, "fail-1").waitFor({ state: "detached" });
    await page.getByRole("tab", { name: "Leftovers" }).click();
    await line(page, "fail-1").getByText("the job that made it has ended").waitFor();
    await page.getByRole("button", { name: "Clean up" }).click();
    await page.getByRole("dialog").getByText("snapshot fail-1").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Clean up" }).click();
    await page.getByText("Nothing is left over").waitFor();
    equal((await page.evaluate(async (id) => {
      const csrf = (await (await fetch("/api/v1/session")).json()).csrf;
      const r = await fetch(`/api/v1/providers/${id}/gc`, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf }, body: '{"dry_run":true}' });
      return (await r.json()).resources.length;
    }, ec2)), 0, "leftovers");
  });

  await tap.test("the launch dialog shows each type's prices, and which can run Xen", async () => {
    await goTo(page, `providers/${ec2}?tab=instances&do=launch`);
    const dialog = page.getByRole("dialog");
    const rows = dialog.locator(".types tbody tr");
    await rows.first().waitFor();
    const { types } = (await api(page, `/providers/${ec2}/types?region=us-east-1`)).body;
    equal(await rows.count(), types.filter((t) => t.xen).length, "types where Xen can run");
    await dialog.getByLabel("Where Xen can run only").uncheck();
    equal(await rows.count(), types.length, "all types");
    await dialog.getByRole("button", { name: "Memory" }).click();
    await dialog.getByRole("button", { name: "Memory" }).click();
    const first = await rows.first().locator("strong").textContent();
    equal(types.find((t) => t.name === first).memory_mib, Math.max(...types.map((t) => t.memory_mib)), "memory of the first");
    await dialog.getByRole("radio", { name: "Spot" }).check();
    await dialog.getByRole("radio", { name: "m7i.large" }).check();
    const { prices } = (await api(page, `/providers/${ec2}/prices?region=us-east-1&type=m7i.large`)).body;
    const spot = Math.min(...prices.filter((p) => p.what === "spot").map((p) => p.amount));
    await dialog.getByRole("button", { name: `$${spot.toFixed(4)} an hour` }).waitFor();
    await dialog.getByLabel("Maximum price").fill("0.0001");
    await dialog.getByLabel("Name", { exact: true }).fill("too-cheap");
    await dialog.getByRole("button", { name: /^Launch it/ }).click();
    await dialog.getByText("Below the present spot price").waitFor();
    await dialog.getByText("of 16 KiB that the provider takes").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });

  await tap.test("the firewall is preset to the ports a node needs, and says what is missing", async () => {
    await goTo(page, `providers/${ec2}?tab=instances&do=launch`);
    const dialog = page.getByRole("dialog");
    await dialog.locator(".firewall li").first().waitFor();
    const ports = await dialog.locator(".firewall .ports").evaluateAll((l) => l.map((e) => e.value));
    equal(ports.join(" "), "7480 7482 7481 4789", "ports");
    await dialog.getByRole("button", { name: /^Remove the rule: Migrations/ }).click();
    await dialog.getByText("A node needs 7482/tcp").waitFor();
    await dialog.getByRole("button", { name: "As a node needs it" }).click();
    await dialog.getByRole("button", { name: "Only from the present nodes" }).click();
    const from = await dialog.locator(".firewall .sources").first().inputValue();
    assert(from.includes("10.200.0.1/32"), `from ${from}`);
    await dialog.locator(".firewall .sources").first().fill("nonsense");
    await dialog.getByText("Networks such as").waitFor();
    assert(await dialog.getByRole("button", { name: /^Launch it/ }).isDisabled(), "a wrong rule can be sent");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });

  await tap.test("a launch becomes a job, an instance, and a node with a link to it", async () => {
    const dialog = await launch(page, ec2, "us-w1", async (d) => {
      await d.getByRole("radio", { name: "m7i.xlarge" }).check();
    });
    await dialog.waitFor({ state: "hidden" });
    await page.locator(".job-progress", { hasText: "Launching us-w1" }).waitFor();
    await line(page, "us-w1").getByText("Running").waitFor();
    await line(page, "us-w1").getByRole("link", { name: "us-w1", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: /^us-w1/ }).waitFor();
    const node = await nodeNamed(page, "us-w1");
    equal(node.provider, "ec2", "the node's provider");
  });

  await tap.test("a launch for which the cloud has no capacity says so and can be cleaned up", async () => {
    const dialog = await launch(page, ec2, "fail-w2");
    await dialog.waitFor({ state: "hidden" });
    await page.locator(".notice.bad", { hasText: "InsufficientInstanceCapacity" }).waitFor();
    await page.getByRole("tab", { name: "Leftovers" }).click();
    await line(page, "fail-w2").getByText("security-group").waitFor();
    await page.getByRole("button", { name: "Clean up" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Clean up" }).click();
    await page.getByText("Nothing is left over").waitFor();
    await page.evaluate(() => document.querySelectorAll(".notice button").forEach((b) => b.click()));
  });

  await tap.test("a node's page lists what was tried, with values and consequences", async () => {
    const node = await nodeNamed(page, "jp-1");
    await goTo(page, `nodes/${node.id}`);
    const list = page.getByRole("list", { name: "Probes" });
    equal(await list.locator("li").count(), node.probes.length, "probes");
    for (const p of node.probes) {
      await list.getByText(p.value).first().waitFor();
      if (!p.ok) await list.getByText(p.why, { exact: false }).waitFor();
    }
    const order = await list.locator("li strong").allTextContents();
    equal(order[0], "CPUID faulting", "the first");
    await page.getByText(`${node.probes.filter((p) => !p.ok).length} of ${node.probes.length} restrict`).waitFor();
    await page.getByText("Boot", { exact: true }).waitFor();
  });

  await tap.test("a revocation shows at once on the node, the list and the Overview, and its clock runs", async () => {
    const dialog = await launch(page, ec2, "evict-w3", async (d) => {
      await d.getByRole("radio", { name: "Spot" }).check();
    });
    await dialog.waitFor({ state: "hidden" });
    await goTo(page, "overview");
    const banner = page.getByLabel("Notice for evict-w3");
    await banner.getByText("The provider takes it back").waitFor();
    const clock = banner.getByRole("timer");
    const seconds = async () => {
      const m = /^(\d+):(\d\d)$/.exec((await clock.textContent()).trim());
      assert(m, `the clock says ${await clock.textContent()}`);
      return Number(m[1]) * 60 + Number(m[2]);
    };
    const a = await seconds();
    const at = (await nodeNamed(page, "evict-w3")).notice.at;
    const left = (at - Date.now()) / 1000;
    assert(Math.abs(a - left) < 4, `${a} s shown, ${left} s left`);
    await until("the clock runs", async () => (await seconds()) < a);
    await banner.getByRole("link", { name: "evict-w3" }).click();
    await page.getByRole("heading", { level: 1, name: /^evict-w3/ }).waitFor();
    await page.getByLabel("Notice for evict-w3").getByText("gets no new VMs", { exact: false }).waitFor();
    await goTo(page, "nodes");
    await page.getByRole("article", { name: "Node evict-w3" }).getByRole("timer").waitFor();
  });

  await tap.test("an instance with a VM on it is not terminated unless that is said", async () => {
    const node = await nodeNamed(page, "us-w1");
    await createVm(page, { name: "on-w1", memory: 128, where: node.id }, 45000);
    equal((await vmNamed(page, "on-w1")).node, node.id, "where the VM is");
    await goTo(page, `providers/${ec2}?tab=instances`);
    await line(page, "us-w1").getByRole("button", { name: "Terminate us-w1" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("1 VM runs on it (on-w1)", { exact: false }).waitFor();
    await dialog.getByRole("button", { name: "Terminate us-w1" }).click();
    await dialog.getByRole("alert").getByText("vm 'on-w1' is on it", { exact: false }).waitFor();
    await dialog.getByLabel("Terminate it with the VMs that are on it").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    await deleteVm(page, "on-w1", 45000);
  });

  await tap.test("an instance's serial log is read, without what only a terminal understands", async () => {
    await goTo(page, `providers/${ec2}?tab=instances`);
    await line(page, "us-w1").getByRole("button", { name: "Serial log of us-w1" }).click();
    const dialog = page.getByRole("dialog", { name: "Serial log of us-w1" });
    const said = await dialog.getByLabel("Serial log", { exact: true }).innerText();
    equal(/^\(XEN\) booting$/m.test(said) && said.includes("[SC-B01] us-w1:"), true, `it reads: ${said}`);
    await page.screenshot({ path: `${shots}/instance-log.png` });
    await dialog.getByRole("button", { name: "Close", exact: true }).last().click();
    await dialog.waitFor({ state: "hidden" });
  });

  await tap.test("an instance is powered off, and its node is down", async () => {
    await goTo(page, `providers/${ec2}?tab=instances`);
    await line(page, "us-w1").getByRole("button", { name: "Power off us-w1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Power off us-w1" }).click();
    await line(page, "us-w1").getByText("Stopped").waitFor();
    equal((await nodeNamed(page, "us-w1")).state, "down", "state of the node");
  });

  await tap.test("instances are terminated, and their nodes are forgotten", async () => {
    await goTo(page, `providers/${ec2}?tab=instances`);
    for (const name of ["us-w1", "evict-w3"]) {
      await line(page, name).getByRole("button", { name: `Terminate ${name}` }).click();
      await page.getByRole("dialog").getByRole("button", { name: `Terminate ${name}` }).click();
      await line(page, name).waitFor({ state: "detached" });
      await until("the node is forgotten", async () => !(await nodeNamed(page, name)));
    }
    await page.getByText("No instances here").waitFor();
  });

  await tap.test("a node is launched with the keyboard alone", async () => {
    await goTo(page, `providers/${ec2}?tab=instances`);
    const focused = () =>
      page.evaluate(() => {
        const e = document.activeElement;
        return `${e.tagName} ${e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent}`;
      });
    const tabTo = async (wanted) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        if ((await focused()).startsWith(wanted)) return;
      }
      throw new Error(`Tab never reached '${wanted}'; at '${await focused()}'`);
    };
    await tabTo("BUTTON Launch nodes");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").locator(".types tbody tr").first().waitFor();
    assert((await focused()).startsWith("INPUT Name"), `focus is at '${await focused()}'`);
    await page.keyboard.type("keys-w4");
    await tabTo("INPUT On demand");
    await page.keyboard.press("ArrowRight"); // Spot
    await tabTo("INPUT t3.medium");
    await page.keyboard.press("ArrowDown");
    const type = await page.locator(".types tr.on strong").textContent();
    assert(type !== "t3.medium", "the arrow chose nothing");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await line(page, "keys-w4").getByText("Running").waitFor();
    await line(page, "keys-w4").getByText(type).waitFor();
    await line(page, "keys-w4").getByText("spot", { exact: true }).waitFor();
    await line(page, "keys-w4").getByRole("button", { name: "Terminate keys-w4" }).press("Enter");
    await page.getByRole("dialog").waitFor();
    await tabTo("BUTTON Terminate keys-w4");
    await page.keyboard.press("Enter");
    await line(page, "keys-w4").waitFor({ state: "detached" });
    await until("the node is forgotten", async () => !(await nodeNamed(page, "keys-w4")));
  });

  await tap.test("a cloud that is not reached is an error with a way to try again, on every tab, and long texts fit", async () => {
    const name = `broken-${"x".repeat(56)}`;
    const dialog = await addProvider(page, { kind: "gce", name, secrets: { "Service account": '{"a": 1}' } });
    await dialog.waitFor({ state: "hidden" });
    const id = await idOf(page, name);
    const size = page.viewportSize();
    await page.setViewportSize({ width: 360, height: 740 });
    for (const tab of ["instances", "leftovers"]) {
      await goTo(page, `providers/${id}?tab=${tab}`);
      await page.getByText("connection timed out", { exact: false }).waitFor();
      await page.getByRole("button", { name: "Try again" }).click();
      await page.getByText("connection timed out", { exact: false }).waitFor();
    }
    await goTo(page, `providers/${id}?tab=instances&do=launch`);
    await page.getByRole("dialog").getByText("connection timed out", { exact: false }).first().waitFor();
    const wide = await page.evaluate(() => Math.max(document.scrollingElement.scrollWidth, document.querySelector("dialog").scrollWidth));
    assert(wide <= 360, `${wide} pixels wide`);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await goTo(page, "providers");
    assert((await page.evaluate(() => document.scrollingElement.scrollWidth)) <= 360, "the list is too wide");
    await page.setViewportSize(size);
    await goTo(page, `providers/${id}?do=remove`);
    await page.getByRole("dialog").getByRole("button", { name: `Remove ${name}` }).click();
    await page.getByRole("heading", { level: 1, name: "Providers" }).waitFor();
    equal(await idOf(page, name), undefined, "the removed provider");
  });

  await tap.test("a viewer sees providers and can change nothing there", async () => {
    const other = await open();
    try {
      const p = other.page;
      await logIn(p, url, "operator", PASSWORD);
      for (const where of ["providers", `providers/${ec2}`, `providers/${ec2}?tab=instances`, `providers/${ec2}?tab=leftovers`, `providers/${ec2}?tab=settings`]) {
        await goTo(p, where);
        await p.waitForTimeout(200);
        equal(await p.getByRole("button", { name: /^(add|publish|launch|edit|remove|delete|terminate|power|clean)\b/i }).count(), 0, `buttons that change things on ${where}`);
      }
      assert(other.complaints.length === 0, other.complaints.join("\n"));
    } finally {
      await other.close();
    }
  });

  await tap.test("a provider that has images is only removed when that is said", async () => {
    await goTo(page, `providers/${ec2}`);
    await page.getByRole("button", { name: "Remove" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Remove aws-main" }).click();
    await dialog.getByRole("alert").getByText("sc-debian").waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    equal((await api(page, "/providers")).body.providers.length, 1, "providers");
  });

  await addNodeCases({ tap, page });
}

async function addNodeCases({ tap, page }) {
  const tokens = async () => (await api(page, "/tokens")).body.tokens;
  const begin = async (provider, region) => {
    await goTo(page, "nodes?new=1");
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Provider", { exact: true }).selectOption(provider);
    await dialog.getByLabel("Region").fill(region);
    return dialog;
  };

  await tap.test("Add a node: user-data is copied, with its size against the provider's limit", async () => {
    const dialog = await begin("ec2", "eu-central");
    await dialog.getByRole("radio", { name: "Any number of nodes" }).check();
    await dialog.getByRole("button", { name: "Make the user-data" }).click();
    const box = page.getByRole("dialog").getByLabel("User-data", { exact: true });
    const text = await box.inputValue();
    assert(text.startsWith("#cloud-config") && text.includes("region: eu-central") && /sct1\./.test(text), `it is '${text.slice(0, 80)}'`);
    await page.getByRole("dialog").getByText("of 16 KiB that the provider takes").waitFor();
    const bar = page.getByRole("progressbar", { name: "Size of the user-data" });
    equal(Number(await bar.getAttribute("aria-valuenow")), Math.round((text.length / 16384) * 100), "the bar");
    await page.getByText("Advanced details → User data", { exact: false }).waitFor();
    await page.getByRole("button", { name: "Copy the user-data" }).click();
    await page.getByText("Copied").waitFor();
    equal(await page.evaluate(() => navigator.clipboard.readText()), text, "the clipboard");
  });

  await tap.test("Add a node: Terraform has a text and a token of its own, and is downloaded", async () => {
    await page.getByRole("tab", { name: "Terraform" }).click();
    const box = page.getByRole("dialog").getByLabel("User-data", { exact: true });
    await until("the Terraform text", async () => (await box.inputValue().catch(() => "")).includes("EOT"));
    equal((await tokens()).length, 2, "tokens");
    const waiting = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download" }).click();
    const download = await waiting;
    equal(download.suggestedFilename(), "supercloud-node.tf", "the file's name");
    equal(readFileSync(await download.path(), "utf8"), await box.inputValue(), "the file");
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    equal((await tokens()).length, 2, "tokens of texts that were taken");
  });

  await tap.test("Add a node: the token of a text that nobody took is revoked", async () => {
    const before = (await tokens()).length;
    const dialog = await begin("gce", "eu-west");
    await dialog.getByRole("button", { name: "Make the user-data" }).click();
    await page.getByRole("tab", { name: "Terraform" }).click();
    await until("two tokens", async () => (await tokens()).length === before + 2);
    await page.getByRole("button", { name: "Copy the user-data" }).click();
    await page.getByText("Copied").waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    await until("one token", async () => (await tokens()).length === before + 1);
  });

  await tap.test("Add a node: copying works without the clipboard's permission, too", async () => {
    const dialog = await begin("local", "lab");
    await dialog.getByRole("button", { name: "Make the user-data" }).click();
    const text = await page.getByRole("dialog").getByLabel("User-data", { exact: true }).inputValue();
    await page.evaluate(() => {
      navigator.clipboard.writeText = () => Promise.reject(new DOMException("not allowed", "NotAllowedError"));
    });
    await page.getByRole("button", { name: "Copy the user-data" }).click();
    await page.getByText("Copied").waitFor();
    equal(await page.evaluate(() => navigator.clipboard.readText()), text, "the clipboard");
    await page.getByRole("button", { name: "Done" }).click();
    await page.reload();
    await page.locator(".connection.live").waitFor();
  });

  await tap.test("Add a node: too large user-data is refused with both numbers", async () => {
    const dialog = await begin("ec2", "huge-region");
    await dialog.getByRole("button", { name: "Make the user-data" }).click();
    const text = await dialog.getByRole("alert").textContent();
    assert(/\d{7} bytes/.test(text) && text.includes("16384"), text);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  });

  await tap.test("Add a node: on Azure it says that only KVM is possible, and asks for it", async () => {
    const dialog = await begin("azure", "germany-west");
    await dialog.getByText("Xen cannot run on Azure", { exact: false }).waitFor();
    await dialog.getByRole("button", { name: "Make the user-data" }).click();
    const text = await page.getByRole("dialog").getByLabel("User-data", { exact: true }).inputValue();
    assert(text.includes("hypervisor: qemu"), text);
    await page.getByRole("button", { name: "Copy the user-data" }).click();
    await page.getByText("Copied").waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  });

  await tap.test("Add a node: a controller's public name, e-mail and issuer come into its user-data", async () => {
    const dialog = await begin("other", "lab");
    await dialog.getByLabel("Its name").fill("mycloud");
    await dialog.getByLabel("Role").selectOption("controller");
    await dialog.getByLabel("Public name").fill("Cloud");
    const make = dialog.getByRole("button", { name: "Make the user-data" });
    await make.click();
    await dialog.getByText("like cloud.example.org", { exact: false }).waitFor();
    await dialog.getByLabel("Public name").fill("cloud.example.org");
    await dialog.getByLabel("E-mail").fill("you@example.org");
    await dialog.getByLabel("ACME directory").fill("https://acme.example.org/dir");
    await make.click();
    const text = await page.getByRole("dialog").getByLabel("User-data", { exact: true }).inputValue();
    for (const line of ["role: controller", "provider: mycloud", "console_name: cloud.example.org", "acme_email: you@example.org", "acme_directory: https://acme.example.org/dir"])
      assert(text.includes(line), `no '${line}' in ${text}`);
    assert(!text.includes("sct1."), "a controller's user-data has no join token");
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  });

  await tap.test("Add a node: 'launch it for me' leads to the launch dialog of an account", async () => {
    await goTo(page, "nodes?new=1");
    await page.getByRole("radio", { name: "Launch it for me" }).check();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("radio", { name: /aws-main/ }).check();
    await dialog.getByRole("button", { name: "Choose type and price" }).click();
    const next = page.getByRole("dialog", { name: "Launch nodes at aws-main" });
    await next.waitFor();
    await page.keyboard.press("Escape");
    await next.waitFor({ state: "hidden" });
  });

  await tap.test("join tokens are revoked", async () => {
    await goTo(page, "nodes");
    for (;;) {
      const n = (await tokens()).length;
      if (n === 0) break;
      await page.getByRole("button", { name: /^Revoke token/ }).first().click();
      await until("one less", async () => (await tokens()).length === n - 1);
    }
    await page.getByRole("heading", { name: "Join tokens" }).waitFor({ state: "detached" });
  });
}
