// Tests in order, as TAP.  A test that fails does not stop the others.
export class Skip extends Error {}

export class Tap {
  constructor(only = "") {
    this.only = only;
    this.n = 0;
    this.failed = 0;
    this.onFailure = async () => {};
  }

  async test(name, body) {
    if (this.only && !name.includes(this.only)) return;
    const n = ++this.n;
    const began = Date.now();
    try {
      await body();
      console.log(`ok ${n} - ${name}`);
    } catch (e) {
      if (e instanceof Skip) {
        console.log(`ok ${n} - ${name} # SKIP ${e.message}`);
        return;
      }
      this.failed++;
      console.log(`not ok ${n} - ${name}`);
      console.log(`# after ${Date.now() - began} ms`);
      for (const line of String(e.stack ?? e).split("\n").slice(0, 24)) console.log(`# ${line}`);
      await this.onFailure(n).catch((x) => console.log(`# ${x}`));
    }
  }

  /** Reports a test that ran elsewhere. */
  report(ok, name, detail = "") {
    console.log(`${ok ? "ok" : "not ok"} ${++this.n} - ${name}`);
    if (!ok) {
      this.failed++;
      for (const line of detail.split("\n")) if (line) console.log(`# ${line}`);
    }
  }

  end() {
    console.log(`1..${this.n}`);
    return this.failed === 0 && this.n > 0 ? 0 : 1;
  }
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

export function equal(got, want, what) {
  if (got !== want)
    throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}
