// A connection that breaks: the page says so, comes back by itself, and then
// knows what happened meanwhile.
import { connect, createServer } from "node:net";
import { api, goTo, open, logIn } from "../lib/browser.mjs";
import { PASSWORD } from "../lib/fake_console.mjs";
import { row } from "../lib/steps.mjs";
import { assert } from "../lib/tap.mjs";

/** A relay to 'port' that can be cut; bytes pass as they are. */
async function relay(port) {
  const sockets = new Set();
  let up = true;
  const server = createServer((a) => {
    if (!up) return a.destroy();
    const b = connect(port, "127.0.0.1");
    for (const s of [a, b]) {
      sockets.add(s);
      s.on("error", () => {});
      s.on("close", () => {
        sockets.delete(s);
        a.destroy();
        b.destroy();
      });
    }
    a.pipe(b);
    b.pipe(a);
    return undefined;
  });
  await new Promise((f) => server.listen(0, "127.0.0.1", f));
  return {
    url: `https://127.0.0.1:${server.address().port}`,
    cut() {
      up = false;
      for (const s of sockets) s.destroy();
    },
    mend() {
      up = true;
    },
    close() {
      this.cut();
      server.close();
    },
  };
}

export async function eventCases({ tap, page, url }) {
  await tap.test("after a broken connection the page catches up by itself", async () => {
    const wire = await relay(Number(new URL(url).port));
    const other = await open();
    try {
      const p = other.page;
      await logIn(p, wire.url, "operator", PASSWORD);
      await goTo(p, "vms");
      await row(p, "hello").waitFor();
      wire.cut();
      await p.locator(".connection.lost").waitFor({ timeout: 15000 });
      await p.getByText("The connection to the controller is lost.").waitFor();
      // Meanwhile somebody else stops a VM.
      await goTo(page, "vms");
      await row(page, "client").getByRole("button", { name: "Stop client" }).click();
      await row(page, "client").getByText("Stopped").waitFor();
      wire.mend();
      await p.locator(".connection.live").waitFor({ timeout: 15000 });
      await row(p, "client").getByText("Stopped").waitFor({ timeout: 3000 });
      await row(page, "client").getByRole("button", { name: "Start client" }).click();
      await row(p, "client").getByText("Running").waitFor();
      const odd = other.complaints.filter((c) => !/net::ERR_|WebSocket|EventSource/.test(c));
      assert(odd.length === 0, odd.join("\n"));
    } finally {
      wire.close();
      await other.close();
    }
  });

  await tap.test("a session that ended elsewhere leads to the login page, which says why", async () => {
    const other = await open();
    try {
      const p = other.page;
      await logIn(p, url, "operator", PASSWORD);
      await other.context.clearCookies();
      await p.getByRole("link", { name: "Images" }).click();
      await p.getByText("Your session is over. Log in again.").waitFor({ timeout: 10000 });
    } finally {
      await other.close();
    }
    assert((await api(page, "/session")).status === 200, "the first session goes on");
  });
}
