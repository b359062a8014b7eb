// What the pictures of providers show: three accounts, images, instances, a
// node whose end is announced.
import { api, goTo, until } from "../lib/browser.mjs";
import { imageFiles, launch, publish } from "./providers.mjs";

/** One request with the page's own session. */
const send = (page, method, path, body) =>
  page.evaluate(
    async ([m, p, b]) => {
      const { csrf } = await (await fetch("/api/v1/session")).json();
      const r = await fetch(`/api/v1${p}`, {
        method: m,
        headers: { "X-CSRF-Token": csrf, ...(b ? { "Content-Type": "application/json" } : {}) },
        ...(b ? { body: JSON.stringify(b) } : {}),
      });
      return r.json();
    },
    [method, path, body ?? null],
  );

const accounts = [
  { name: "aws-main", driver: "ec2", config: { access_key_id: "AKIAIOSFODNN7EXAMPLE", regions: "us-east-1, eu-central-1" }, secret: { secret_access_key: "x" } },
  { name: "gcp-research", driver: "gce", config: { project: "research-4711", bucket: "supercloud-images" }, secret: { service_account: "{}" } },
  {
    name: "azure-eu",
    driver: "azure",
    config: { tenant_id: "contoso", subscription_id: "8d4f", client_id: "supercloud", resource_group: "supercloud" },
    secret: { client_secret: "x" },
  },
];

export async function prepareProviders(page) {
  for (const a of accounts) await send(page, "POST", "/providers", a); // The one of the tests is there already.
  const list = (await api(page, "/providers")).body.providers;
  const ids = Object.fromEntries(list.map((p) => [p.name, p.id]));
  const ec2 = ids["aws-main"];
  const images = () => api(page, `/providers/${ec2}/images`).then((r) => r.body.images);
  if (!(await images()).some((i) => i.name === "sc-debian"))
    await publish(page, ec2, imageFiles("supercloud-debian-ec2.raw", 2 << 20), "sc-debian").then((d) => d.waitFor({ state: "hidden" }));
  await until("an image", async () => (await images()).some((i) => i.name === "sc-debian" && i.state === "active"));
  for (const [name, spot] of [["virginia", false], ["evict-ohio", true]])
    await launch(page, ec2, name, async (d) => {
      if (spot) await d.getByRole("radio", { name: "Spot" }).check();
      else await d.getByLabel("How many").fill("2");
      await d.getByRole("radio", { name: "m7i.large" }).check();
    }).then((d) => d.waitFor({ state: "hidden" }));
  await until("nodes", async () => (await api(page, "/nodes")).body.nodes.filter((n) => /^(virginia|evict)/.test(n.name)).length === 3);
  await publish(page, ec2, imageFiles("supercloud-centos-ec2.raw", 3 << 20, { distro: "centos" }), "sc-centos").then((d) => d.waitFor({ state: "hidden" }));
  await until("a second image", async () => (await images()).every((i) => i.state === "active"));
  await launch(page, ec2, "fail-oregon").then((d) => d.waitFor({ state: "hidden" }));
  await until("its end", async () => (await api(page, "/jobs?limit=5")).body.jobs.some((j) => j.object_name === "fail-oregon" && j.state === "failed"));
  return ids;
}

/** 'save' takes the picture of what is there now. */
export async function providerPages(page, ids, save) {
  const ec2 = ids["aws-main"];
  const close = async () => {
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  };
  const node = (await api(page, "/nodes")).body.nodes.find((n) => n.name === "jp-1");
  const ending = (await api(page, "/nodes")).body.nodes.find((n) => n.name === "evict-ohio");
  await goTo(page, "providers");
  await save("provider-list");
  await goTo(page, `providers/${ec2}`);
  await save("provider-images");
  await goTo(page, `providers/${ec2}?tab=instances`);
  await page.locator("tbody tr").first().waitFor();
  await save("providers");
  await goTo(page, `providers/${ec2}?tab=leftovers`);
  await page.locator("tbody tr").first().waitFor();
  await save("leftovers");
  await goTo(page, `providers/${ec2}?tab=settings`);
  await save("provider-settings");
  await goTo(page, "providers?new=1");
  await page.getByRole("dialog").getByLabel("Kind").selectOption("gce");
  await save("add-provider");
  await close();
  await goTo(page, `providers/${ec2}?do=publish`);
  await page.getByRole("dialog").locator("input[type=file]").first().setInputFiles(imageFiles("supercloud-debian-ec2.raw", 2048).manifest);
  await page.getByRole("dialog").locator(".manifest").waitFor();
  await save("publish");
  await close();
  await goTo(page, `providers/${ec2}?tab=instances&do=launch`);
  await page.getByRole("dialog").getByRole("radio", { name: "Spot" }).check();
  await page.getByRole("dialog").getByLabel("Name", { exact: true }).fill("frankfurt");
  await page.getByRole("dialog").getByRole("radio", { name: "m7i.xlarge" }).check();
  await save("launch");
  await page.getByRole("dialog").locator(".size-bar").scrollIntoViewIfNeeded();
  await save("launch-firewall");
  await close();
  await goTo(page, `nodes/${node.id}`);
  await save("node");
  await goTo(page, `nodes/${ending.id}`);
  await save("node-notice");
  await goTo(page, "nodes");
  await save("nodes-notice");
  await goTo(page, "overview");
  await save("overview-notice");
  await goTo(page, "nodes?new=1");
  await page.getByRole("dialog").getByLabel("Region").fill("eu-central");
  await page.getByRole("dialog").getByLabel("Provider", { exact: true }).selectOption("azure");
  await save("add-node-form");
  await page.getByRole("dialog").getByLabel("Provider", { exact: true }).selectOption("ec2");
  await page.getByRole("dialog").getByRole("button", { name: "Make the user-data" }).click();
  await page.getByRole("dialog").getByLabel("User-data", { exact: true }).waitFor();
  await save("add-node");
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await goTo(page, "nodes?new=1");
  await page.getByRole("radio", { name: "Launch it for me" }).check();
  await save("add-node-launch");
  await close();
}
