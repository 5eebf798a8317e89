/** Against the real server, which the test in Python starts: AGENTFLOW_URL says where. */

import { describe, expect, test } from "vitest";
import { CuttingProxy } from "../../testing/cutting-proxy.ts";
import { until } from "../../testing/until.ts";
import { AgentflowClient, AgentflowError, RunFold, type RunSnapshot, type RunStore, type RunView } from "../src/index.ts";

const url = process.env.AGENTFLOW_URL ?? "";
const client = new AgentflowClient({ baseUrl: url });
const over = ({ connection }: RunSnapshot) => connection === "ended";

async function followed(runId: string, by = client): Promise<RunView> {
  const store = by.watch(runId);
  const close = store.open();
  const { view } = await until(store, over);
  close();
  return view;
}

/** As a page of events tells it: merged deltas and single ones come to the same, but for the position of the last one. */
async function listed(runId: string): Promise<RunView> {
  const fold = new RunFold(runId);
  for await (const entry of client.runs.history(runId)) fold.apply(entry);
  return fold.view();
}

describe.skipIf(!url)("with a real server", () => {
  test("a run is started, followed and listed", async () => {
    const run = await client.runs.start("greet", { name: "Maria", loud: true }, { tags: ["web"], idempotencyKey: crypto.randomUUID() });
    const view = await followed(run.id);
    expect(view).toMatchObject({ status: "completed", output: "MARIA", metadata: { stage: "greeting" }, ended: true });
    expect(view).toEqual(await listed(run.id));
    expect((await client.runs.get(run.id)).output).toBe("MARIA");
    expect((await client.runs.list({ tag: "web" })).runs.map(({ id }) => id)).toContain(run.id);
    expect((await client.runs.journal(run.id)).entries).toHaveLength(1);
    expect((await client.tasks.list()).tasks.map(({ name }) => name)).toContain("clerk");
    expect((await client.workers.list()).workers).toHaveLength(1);
    expect((await client.health()).status).toBe("ok");
  });

  test("an idempotency key starts one run, and another one is another run", async () => {
    const key = crypto.randomUUID();
    const start = (idempotencyKey: string) => client.runs.start("greet", { name: "Maria" }, { idempotencyKey });
    const [first, again, other] = [await start(key), await start(key), await start(crypto.randomUUID())];
    expect(again.id).toBe(first.id);
    expect(other.id).not.toBe(first.id);
  });

  test("a stream that is cut again and again ends with the same words as one that is not", async () => {
    const { id } = await client.runs.start("speech");
    const whole = await followed(id);
    expect(whole.parts.map(({ text }) => text)).toEqual([Array.from({ length: 200 }, (_, at) => `word${at} `).join("")]);
    for (const cuts of [
      [1, 40, 300],
      [700, 701],
      [1_000, 150, 1_500, 90],
    ]) {
      await using proxy = await CuttingProxy.start(url, cuts);
      expect(await followed(id, new AgentflowClient({ baseUrl: proxy.url }))).toEqual(whole);
    }
  });

  test("a run that is watched while it speaks is cut, and loses nothing", async () => {
    const token = await client.waitpoints.create({ title: "go" });
    const { id } = await client.runs.start("talk", { token: token.id });
    await using proxy = await CuttingProxy.start(url, [100, 600, 450]);
    const store = new AgentflowClient({ baseUrl: proxy.url }).watch(id);
    store.open();
    await until(store, ({ view }) => view.status === "waiting");
    await client.waitpoints.complete(token.id, "go");
    expect((await until(store, over)).view).toEqual(await listed(id));
  });

  test("an agent thinks, asks for leave, pays and answers", async () => {
    const { id } = await client.runs.start("clerk", { prompt: "Pay five cents." });
    const store = client.watch(id);
    store.open();
    const { view } = await until(store, ({ view: now }) => now.waiting?.on === "approval");
    expect(view.calls).toMatchObject([{ id: "c1", name: "pay", input: { cents: 5 } }]);
    const [asked] = view.approvals;
    expect(asked).toMatchObject({ call: "c1", decision: "" });
    await client.waitpoints.decide(asked?.id ?? "", { approved: true, by: "maria" });
    const late = await client.waitpoints.decide(asked?.id ?? "", { approved: false }).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(AgentflowError);
    expect(late).toMatchObject({ status: 409, code: "waitpoint_answered" });
    const done = (await until(store, over)).view;
    expect(done.approvals).toMatchObject([{ decision: "approved", by: "maria" }]);
    expect(done.parts.map(({ kind, text }) => [kind, text])).toEqual([
      ["reasoning", "Money is to be paid."],
      ["text", "It is paid."],
    ]);
    expect(done.calls).toMatchObject([{ state: "completed", output: "paid 5" }]);
    expect(done.usage.requests).toBe(2);
  });

  test("many runs share a connection, and a run that does not exist spoils nothing", async () => {
    const runs = await Promise.all(["a", "b", "c", "d", "e", "f"].map((name) => client.runs.start("parent", { name })));
    const page = new AgentflowClient({ baseUrl: url });
    const stores = [...runs.map(({ id }) => page.watch(id)), page.watch("run_nobody")];
    for (const store of stores) store.open();
    const views = await Promise.all(stores.slice(0, -1).map(async (store) => (await until(store, over)).view));
    expect(views.map(({ output }) => output)).toEqual(["A", "B", "C", "D", "E", "F"]);
    expect(views).toEqual(await Promise.all(runs.map(({ id }) => listed(id))));
    expect(views[0]?.children).toMatchObject([{ name: "greet", status: expect.any(String) }]);
    expect((await until(stores.at(-1) as RunStore, ({ connection }) => connection === "error")).failure?.status).toBe(404);
  });

  test("only the events that were asked for come, and a snapshot of the run where that was asked for", async () => {
    const token = await client.waitpoints.create();
    const { id } = await client.runs.start("collect", { token: token.id });
    const [some, now] = [client.watch(id, { types: ["run"] }), client.watch(id, { from: "snapshot" })];
    for (const store of [some, now]) store.open();
    await until(some, ({ view }) => view.status === "waiting");
    expect((await until(now, ({ view }) => view.run !== null)).view.run?.id).toBe(id);
    await client.waitpoints.complete(token.id, [1]);
    expect((await until(some, over)).view).toMatchObject({ status: "completed", output: [1], steps: [] });
    expect((await until(now, over)).view).toMatchObject({ status: "completed", output: [1] });
  });

  test("a list of runs is told of what begins, waits and ends", async () => {
    const tag = crypto.randomUUID();
    const index = client.index({ tag });
    const close = index.open();
    expect((await until(index, ({ loaded }) => loaded)).runs).toEqual([]);
    const token = await client.waitpoints.create();
    const { id } = await client.runs.start("collect", { token: token.id }, { tags: [tag] });
    await until(index, ({ runs }) => runs[0]?.status === "waiting");
    const other = await client.runs.start("greet", { name: "Maria" }, { tags: [tag] });
    await client.waitpoints.complete(token.id, 7);
    const { runs } = await until(index, (now) => now.runs.length === 2 && now.runs.every(({ status }) => status === "completed"));
    expect(runs.map((run) => run.id)).toEqual([other.id, id]);
    close();
  });

  test("errors say what to do next", async () => {
    const [unknown, nobody] = await Promise.all([
      client.runs.start("nothing_of_that_name").catch((error: unknown) => error),
      client.runs.get("run_nobody").catch((error: unknown) => error),
    ]);
    expect(unknown).toMatchObject({ status: 404, hint: expect.stringMatching(/.+/) });
    expect(nobody).toMatchObject({ status: 404, code: "run_not_found" });
    const store = client.watch("run_nobody");
    store.open();
    expect((await until(store, ({ connection }) => connection === "error")).failure?.code).toBe("run_not_found");
  });

  test("a run that is cancelled ends so", async () => {
    const token = await client.waitpoints.create();
    const { id } = await client.runs.start("collect", { token: token.id });
    const store = client.watch(id);
    store.open();
    await until(store, ({ view }) => view.status === "waiting");
    await client.runs.cancel(id, "enough");
    expect((await until(store, over)).view.status).toBe("cancelled");
  });
});
