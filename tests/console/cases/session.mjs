// Logging in and out, and what each role sees.
import { api, goTo, logIn, open } from "../lib/browser.mjs";
import { PASSWORD } from "../lib/fake_console.mjs";
import { assert, equal } from "../lib/tap.mjs";

export async function sessionCases({ tap, page, url, browser }) {
  await tap.test("the content security policy allows nothing inline and nothing from elsewhere", async () => {
    const response = await page.goto(url);
    const policy = response.headers()["content-security-policy"] ?? "";
    assert(/default-src '(none|self)'/.test(policy), policy);
    assert(!/unsafe|data:|https?:|\*/.test(policy), policy);
  });

  await tap.test("a wrong password is refused in words, and the page stays", async () => {
    await page.goto(url);
    await page.getByLabel("User", { exact: true }).fill("admin");
    await page.getByLabel("Password").fill("wrong");
    await page.keyboard.press("Enter");
    const text = await page.getByRole("alert").textContent();
    assert(/password|user/i.test(text), `the alert says '${text}'`);
    equal(await page.locator(".shell").count(), 0, "dashboards shown");
    equal(await page.evaluate(() => document.activeElement.name), "password", "field with the focus");
  });

  await tap.test("an empty form asks for what is missing", async () => {
    await page.goto(url);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").waitFor();
    equal(await page.evaluate(() => document.activeElement.name), "username", "field with the focus");
  });

  await tap.test("the right password opens the Overview, live", async () => {
    await logIn(page, url, "admin", PASSWORD);
    equal(await page.locator("h1").textContent(), "Overview", "heading");
    equal(await page.title(), "Overview · Supercloud", "title");
  });

  await tap.test("the session's cookie cannot be read by scripts", async () => {
    equal(await page.evaluate(() => document.cookie), "", "document.cookie");
    const cookie = (await browser.context.cookies(url)).find((c) => c.name === "sc_session");
    assert(cookie?.httpOnly && cookie.secure && cookie.sameSite === "Strict", JSON.stringify(cookie));
  });

  await tap.test("a request without the CSRF token is refused", async () => {
    const status = await page.evaluate(
      async () =>
        (await fetch("/api/v1/networks", { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"name":"x","cidr":"10.3.0.0/24"}' })).status,
    );
    equal(status, 403, "status");
  });

  await tap.test("loading the page again keeps the session and the place", async () => {
    await goTo(page, "networks");
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "Networks" }).waitFor();
  });

  await tap.test("an unknown address says so and leads back", async () => {
    await goTo(page, "nowhere");
    await page.getByText("There is no such page").waitFor();
    await page.getByRole("link", { name: "Go to the Overview" }).click();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  });

  await tap.test("the theme can be chosen and is kept", async () => {
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme ?? "");
    await page.getByRole("button", { name: "Dark" }).click();
    equal(await theme(), "dark", "theme");
    await page.reload();
    await page.locator(".shell").waitFor();
    equal(await theme(), "dark", "theme after loading again");
    await page.getByRole("button", { name: "As the system" }).click();
    equal(await theme(), "", "theme");
  });

  await tap.test("logging out ends the session at the server, too", async () => {
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("button", { name: "Log in" }).waitFor();
    equal((await api(page, "/vms")).status, 401, "status of /vms");
  });

  await tap.test("a viewer sees everything and has no button that would be refused", async () => {
    const other = await open();
    try {
      const p = other.page;
      await logIn(p, url, "viewer", PASSWORD);
      for (const where of ["overview", "vms", "images", "networks", "nodes", "providers", "jobs"]) {
        await goTo(p, where);
        await p.waitForTimeout(150);
        const found = await p
          .getByRole("button", { name: /^(create|upload|add|delete|start|stop|migrate|remove|revoke)\b/i })
          .count();
        equal(found, 0, `buttons that change things on ${where}`);
      }
      await goTo(p, "vms");
      await p.getByRole("link", { name: "hello", exact: true }).click();
      await p.getByRole("tab", { name: "Serial console" }).click();
      await p.getByText("Read only").waitFor();
      assert(other.complaints.length === 0, other.complaints.join("\n"));
    } finally {
      await other.close();
    }
  });

  await tap.test("the admin logs in again", () => logIn(page, url, "admin", PASSWORD));
}
