import { afterEach, beforeEach, expect, test } from "vitest";
import { type Handler, ScriptedServer } from "../../testing/scripted.ts";
import { log, TALK } from "../../testing/talk.ts";
import { until } from "../../testing/until.ts";
import { AgentflowClient, type Entry, type Run, RunFold } from "../src/index.ts";

let server: ScriptedServer;

beforeEach(async () => {
  server = await ScriptedServer.start();
});
afterEach(() => server[Symbol.asyncDispose]());

const waiting: Handler = (_, reply) => {
  reply
    .stream()
    .tell(...TALK.slice(0, 2))
    .say({ type: "sync.live", cursor: "1-1" });
};
const jointly = (run: string, { id, event }: Entry) => `data: ${JSON.stringify(id === null ? { run, event } : { run, id, event })}\n\n`;
const folded = (id: string, entries: readonly Entry[]) => {
  const fold = new RunFold(id);
  for (const entry of entries) fold.apply(entry);
  return fold.view();
};
const run = (id: string, status: Run["status"] = "running") => ({ id, status }) as Run;

test("from the third run on, runs share a connection, and each goes on where it was", async () => {
  server.on("GET /v1/runs/a/stream", waiting).on("GET /v1/runs/b/stream", waiting);
  server.on("POST /v1/streams", ({ body }, reply) => {
    const { runs } = body as { runs: Record<string, string | null> };
    reply.stream();
    for (const [id, cursor] of Object.entries(runs)) {
      const place = TALK.findIndex((entry) => entry.id === cursor);
      const told = id === "d" ? TALK.slice(place + 1, 16) : TALK.slice(place + 1, cursor === null ? 9 : undefined);
      reply.raw(told.map((entry) => jointly(id, entry)).join(""));
    }
    if (Object.values(runs).includes(null)) reply.end();
  });
  const client = new AgentflowClient({ baseUrl: server.url });
  const stores = ["a", "b", "c", "d", "e"].map((id) => client.watch(id));
  const closes = stores.map((store) => store.open());
  const [, , c, d, e] = stores as [never, never, ...typeof stores];
  for (const store of [c, e]) {
    const { view } = await until(
      store as never,
      (snapshot: ReturnType<(typeof stores)[0]["getSnapshot"]>) => snapshot.connection === "ended",
    );
    expect(view).toEqual(folded(view.id, TALK));
    expect(view.children[0]?.run).toBe("run_child");
    expect(view.data[0]?.id).toBe("one");
  }
  expect(d?.getSnapshot().view.status).toBe("waiting");
  expect(server.to("POST /v1/streams").map(({ body }) => Object.keys((body as { runs: object }).runs))).toEqual([
    ["c", "d", "e"],
    ["c", "d", "e"],
  ]);
  expect(server.asked).toHaveLength(4);
  for (const close of closes) close();
});

test("a run that does not exist spoils nothing for those that share its connection", async () => {
  server.on("GET /v1/runs/a/stream", waiting).on("GET /v1/runs/b/stream", waiting);
  server.on("POST /v1/streams", (_, reply) => reply.problem(404, "run_not_found"));
  server.on("GET /v1/runs/c/stream", (_, reply) =>
    reply
      .stream()
      .tell(...TALK)
      .end(),
  );
  const client = new AgentflowClient({ baseUrl: server.url });
  const stores = ["a", "b", "c", "nobody"].map((id) => client.watch(id));
  const closes = stores.map((store) => store.open());
  const [, , c, nobody] = stores;
  if (c === undefined || nobody === undefined) throw new Error("There are four.");
  expect((await until(c, ({ connection }) => connection === "ended")).view.status).toBe("completed");
  expect((await until(nobody, ({ connection }) => connection === "error")).failure?.status).toBe(404);
  for (const close of closes) close();
});

test("a list begins with a snapshot, changes in place, grows in front and begins anew after a loss", async () => {
  let connections = 0;
  server.on("GET /v1/index/stream", (_, reply) => {
    connections += 1;
    reply.stream();
    if (connections > 1) {
      reply.say({ type: "sync.snapshot", reset: true, runs: [run("z")] });
      return;
    }
    reply
      .say({ type: "sync.snapshot", reset: true, runs: [run("b"), run("a")] })
      .say({ type: "run.changed", run: run("a", "waiting") }, { type: "run.changed", run: run("c") }, { type: "run.gone", id: "b" })
      .say({ type: "sync.reconnect", reason: "rotate", after_ms: 50 });
  });
  const client = new AgentflowClient({ baseUrl: server.url });
  const index = client.index({ tag: "vip", limit: 10 });
  const seen: string[][] = [];
  index.subscribe(() => seen.push(index.getSnapshot().runs.map(({ id, status }) => `${id} ${status}`)));
  const close = index.open();
  await until(index, ({ runs }) => runs[0]?.id === "z");
  expect(seen).toContainEqual(["c running", "a waiting"]);
  expect(server.to("GET /v1/index/stream")[0]?.query.toString()).toBe("tag=vip&limit=10");
  close();
});

test("more lists than a page has connections for are looked at now and then", async () => {
  let said = "running" as Run["status"];
  server.on("GET /v1/index/stream", ({ query }, reply) => {
    reply.stream().say({ type: "sync.snapshot", reset: true, runs: [run(query.get("tag") ?? "", said)] });
    if (query.get("live") === "0") reply.end();
  });
  const client = new AgentflowClient({ baseUrl: server.url });
  const indexes = ["a", "b", "c", "d"].map((tag) => client.index({ tag }));
  const closes = indexes.map((index) => index.open());
  await Promise.all(indexes.map((index) => until(index, ({ loaded, connection }) => loaded && connection === "live")));
  said = "completed";
  const seen = await Promise.all(indexes.slice(2).map((index) => until(index, ({ runs }) => runs[0]?.status === "completed")));
  expect(seen.map(({ runs }) => runs[0]?.id)).toEqual(["c", "d"]);
  expect(server.to("GET /v1/index/stream").filter(({ query }) => query.get("live") === null)).toHaveLength(2);
  client.detach();
  expect(indexes.map((index) => index.getSnapshot().connection)).toEqual(["idle", "idle", "idle", "idle"]);
  for (const close of closes) close();
});

test("events are heard one by one: live ones, or all of them, each once", async () => {
  const past = TALK.slice(0, 10);
  const live = TALK.slice(10);
  server.on("GET /v1/runs/run_1/events", ({ query }, reply) => {
    const from = query.get("after") === null ? 0 : past.findIndex(({ id }) => id === query.get("after")) + 1;
    const page = past.slice(from, from + 4);
    reply.json({ events: page.map(({ id, event }) => ({ id, ...event })), next: page.at(-1)?.id ?? query.get("after"), ended: false });
  });
  server.on("GET /v1/runs/run_1/stream", (_, reply) => {
    reply
      .stream()
      .tell(...past)
      .say({ type: "sync.live", cursor: past.at(-1)?.id })
      .tell(...live)
      .end();
  });
  const store = new AgentflowClient({ baseUrl: server.url }).watch("run_1");
  const heard = { live: [] as (string | null)[], all: [] as (string | null)[] };
  const whole = new Promise<void>((resolve) => {
    const hear = (event: { readonly type: string }, id: string | null) => {
      heard.all.push(id);
      if (event.type === "end") resolve();
    };
    store.listen(["text", "end"], hear, { replay: true });
  });
  store.listen(["run", "end"], (_, id) => heard.live.push(id));
  store.open();
  await whole;
  const ids = (entries: readonly Entry[], test: RegExp) => entries.filter(({ event }) => test.test(event.type)).map(({ id }) => id);
  expect(heard.live).toEqual(ids(live, /^(run\.|end$)/));
  expect(heard.all).toEqual(ids(TALK, /^(text\.|end$)/));
});

test("a listener that throws harms nobody but itself", async () => {
  const errors: unknown[] = [];
  globalThis.reportError = (error) => errors.push(error);
  server.on("GET /v1/runs/run_1/stream", (_, reply) => {
    reply
      .stream()
      .say({ type: "sync.live" })
      .tell(...TALK)
      .end();
  });
  const store = new AgentflowClient({ baseUrl: server.url }).watch("run_1");
  store.listen(["end"], () => {
    throw new Error("of the listener");
  });
  store.open();
  expect((await until(store, ({ connection }) => connection === "ended")).view.status).toBe("completed");
  expect(errors).toEqual([new Error("of the listener")]);
});

test("items of the run's own streams are kept by name, and go with a step that is void", async () => {
  const item = (data: unknown, more: object = {}) => ({ type: "stream.item", stream: "progress", data, ...more });
  const started = { type: "step.started", step: "s1", name: "a", kind: "code", attempt: 1 };
  const view = folded(
    "run_1",
    log([
      started,
      item(1),
      item(2, { step: "s1" }),
      { type: "step.retrying", step: "s1", attempt: 2 },
      item(3, { step: "s1", item: "s1.1" }),
      item(4, { item: "other" }),
      { ...started, attempt: 2 },
      item("3 again", { step: "s1", item: "s1.1" }),
      item("4 again", { item: "other" }),
    ]),
  );
  expect(view.streams).toEqual({ progress: [1, "4 again", "3 again"] });
});

test("a durable stream gives its items once, whatever is cut between them and their offset", async () => {
  const control = (next: string, closed = false) =>
    `event: control\ndata:${JSON.stringify({ streamNextOffset: next, streamCursor: "9", upToDate: true, ...(closed && { streamClosed: true }) })}\n\n`;
  let connections = 0;
  server.on("GET /v1/stream/notes/7", (_, reply) => {
    connections += 1;
    if (connections === 1)
      reply
        .stream()
        .raw(`event: data\ndata:[1,2]\n\n${control("0_2")}event: data\ndata:[3]\n\n`)
        .cut();
    else
      reply
        .stream()
        .raw(`event: data\ndata:[3,[4]]\n\n${control("0_4", true)}`)
        .end();
  });
  for (const method of ["PUT", "POST"]) server.on(`${method} /v1/stream/notes/7`, (_, reply) => reply.nothing());
  const stream = new AgentflowClient({ baseUrl: server.url }).stream("notes/7");
  stream.open();
  const { items } = await until(stream, ({ closed }) => closed);
  expect(items).toEqual([1, 2, 3, [4]]);
  expect(server.asked.map(({ query }) => [query.get("offset"), query.get("cursor")])).toEqual([
    ["-1", null],
    ["0_2", "9"],
  ]);
  await stream.create({ ttl: 60 });
  expect(server.to("PUT /v1/stream/notes/7")[0]?.headers).toMatchObject({ "content-type": "application/json", "stream-ttl": "60" });
  await stream.append([5]);
  expect(server.to("POST /v1/stream/notes/7")[0]?.body).toEqual([[5]]);
});
