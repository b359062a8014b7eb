import { describe, expect, it } from "vitest";
import type { Change, Job, Vm } from "../src/api/types";
import { applyChange, decodeChange, emptyCluster, index, jobNotice, MAX_JOBS, rebase } from "../src/state/reducer";

const vm = (id: string, state = "running") => ({ id, name: id, state }) as Vm;
const job = (id: string, over: Partial<Job> = {}): Job => ({
  id,
  kind: "vm.migrate",
  object_id: "v1",
  object_name: "hello",
  state: "running",
  error: null,
  progress: 10,
  started_at: 1000,
  ended_at: null,
  steps: [],
  log: [],
  result: null,
  ...over,
});
const put = (kind: Change["kind"], object: { id: string }): Change => ({ kind, id: object.id, object });

describe("decodeChange", () => {
  it("reads a change and a removal", () => {
    expect(decodeChange('{"kind":"vm","id":"a","object":{"id":"a"}}')).toEqual(put("vm", { id: "a" }));
    expect(decodeChange('{"kind":"job","id":"a","object":null}')?.object).toBeNull();
  });
  it.each([
    ["no JSON", "{"],
    ["a number", "7"],
    ["null", "null"],
    ["an unknown kind", '{"kind":"user","id":"a","object":{}}'],
    ["no id", '{"kind":"vm","object":{}}'],
    ["an object that is text", '{"kind":"vm","id":"a","object":"x"}'],
  ])("refuses %s", (_, text) => expect(decodeChange(text)).toBeNull());
});

describe("applyChange", () => {
  it("adds, replaces and removes without touching what it was given", () => {
    const one = applyChange(emptyCluster, put("vm", vm("a")));
    const two = applyChange(one, put("vm", vm("a", "stopped")));
    const three = applyChange(two, { kind: "vm", id: "a", object: null });
    expect(emptyCluster.vm).toEqual({});
    expect(one.vm.a!.state).toBe("running");
    expect(two.vm.a!.state).toBe("stopped");
    expect(three.vm).toEqual({});
    expect(two.node).toBe(emptyCluster.node);
  });
  it("gives the same state back when what goes was never there", () => {
    expect(applyChange(emptyCluster, { kind: "vm", id: "x", object: null })).toBe(emptyCluster);
  });
  it("forgets the oldest jobs that ended, never one that runs", () => {
    let state = applyChange(emptyCluster, put("job", job("old-running", { started_at: 0 })));
    for (let i = 0; i < MAX_JOBS + 5; i++)
      state = applyChange(state, put("job", job(`j${i}`, { started_at: i + 1, ended_at: i + 2, state: "done" })));
    expect(Object.keys(state.job)).toHaveLength(MAX_JOBS);
    expect(state.job["old-running"]).toBeDefined();
    expect(state.job.j0).toBeUndefined();
    expect(state.job[`j${MAX_JOBS + 4}`]).toBeDefined();
  });
});

describe("rebase", () => {
  it("puts what happened during a refetch on top of the fetched lists", () => {
    const snapshot = { ...emptyCluster, vm: index([vm("a", "starting"), vm("gone")]) };
    const state = rebase(snapshot, [put("vm", vm("a", "running")), { kind: "vm", id: "gone", object: null }, put("vm", vm("new"))]);
    expect(Object.keys(state.vm).sort()).toEqual(["a", "new"]);
    expect(state.vm.a!.state).toBe("running");
  });
});

describe("jobNotice", () => {
  it("tells the beginning, the end and the failure, each once", () => {
    expect(jobNotice(undefined, job("j"))?.text).toBe("Migrating hello…");
    expect(jobNotice(job("j"), job("j", { progress: 50 }))).toBeNull();
    expect(jobNotice(job("j"), job("j", { state: "done" }))?.text).toBe("hello migrated");
    expect(jobNotice(job("j", { state: "done" }), job("j", { state: "done" }))).toBeNull();
    expect(jobNotice(job("j"), job("j", { state: "failed", error: "no room" }))).toMatchObject({
      tone: "bad",
      text: "Migrate hello failed: no room",
    });
  });
  it("is silent about jobs that had ended before the page knew them", () => {
    expect(jobNotice(undefined, job("j", { state: "done" }))).toBeNull();
    expect(jobNotice(undefined, job("j", { state: "failed" }))).toBeNull();
    expect(jobNotice(job("j", { state: "rolling-back" }), job("j", { state: "cancelled", error: "cancelled by ann" }))).toMatchObject({
      tone: "good",
      text: "Migrate hello was cancelled",
    });
    expect(jobNotice(undefined, job("j", { state: "cancelled" }))).toBeNull();
  });
});
