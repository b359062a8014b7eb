// Starts and ends sc-fake-console.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const PASSWORD = "tests-password";

/** Resolves with {url, stop}; stop() waits until it has gone. */
export async function startFake(stepMs) {
  const program = join(process.env.SC_BUILD, "bin/sc-fake-console");
  if (!existsSync(program)) throw new Error(`${program}: build it first (make)`);
  const dir = mkdtempSync(join(tmpdir(), "sc-fake-console."));
  const child = spawn(
    program,
    ["--listen", "127.0.0.1:0", "--dir", dir, "--password", PASSWORD, "--step-ms", String(stepMs)],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const gone = new Promise((f) => child.on("exit", f));
  let said = "";
  const url = await new Promise((found, failed) => {
    const timer = setTimeout(() => failed(new Error(`sc-fake-console did not start: ${said}`)), 20000);
    const hear = (data) => {
      said += data;
      const m = /https:\/\/[\w.]+:\d+/.exec(said);
      if (!m) return;
      clearTimeout(timer);
      found(m[0]);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    gone.then((code) => failed(new Error(`sc-fake-console ended with ${code}: ${said}`)));
  });
  const stop = async () => {
    if (child.exitCode === null) {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
      await gone;
      clearTimeout(timer);
    }
    rmSync(dir, { recursive: true, force: true });
  };
  return { url, stop, said: () => said };
}
