import { useAgent, useDurableStream, useThread, useThreads } from "@agentflow/react";
import { expect, test } from "vitest";
import { renderHook, waitFor } from "../../testing/render.tsx";
import type { Reply } from "../../testing/scripted.ts";
import { log } from "../../testing/talk.ts";
import { openSite, Page } from "./site.tsx";

const site = openSite();
const wrapper = ({ children }: { readonly children: React.ReactNode }) => <Page site={site}>{children}</Page>;

const STORED = [
  {
    seq: 1,
    run: "run_0",
    created_at: 1,
    message: { kind: "request", parts: [{ part_kind: "user-prompt", content: "Where is my order?" }] },
  },
  {
    seq: 2,
    run: "run_0",
    created_at: 2,
    message: {
      kind: "response",
      parts: [
        { part_kind: "thinking", content: "I look." },
        { part_kind: "tool-call", tool_name: "look_up", tool_call_id: "c0", args: '{"order_id":"o-1"}' },
      ],
    },
  },
  {
    seq: 3,
    run: "run_0",
    created_at: 3,
    message: { kind: "request", parts: [{ part_kind: "tool-return", tool_call_id: "c0", content: { state: "sent" } }] },
  },
  { seq: 4, run: "run_0", created_at: 4, message: { kind: "response", parts: [{ part_kind: "text", content: "On its way." }] } },
];
const thread = (given: object = {}) => ({ id: "t-7", agent: "support", active_run: null, messages: STORED, next: null, ...given });
const texts = (messages: readonly { role: string; parts: readonly { type: string }[] }[]) =>
  messages.map(({ role, parts }) => [role, ...parts.map((part) => ("text" in part ? part.text : part.type))]);

/** The streams of runs that are started, in order; a start is answered when it may be. */
function runs(may = Promise.resolve()): { started: (id: string) => Promise<Reply> } {
  const open = new Map<string, Promise<Reply>>();
  const began = new Map<string, (reply: Reply) => void>();
  const started = (id: string) => {
    const known = open.get(id) ?? new Promise<Reply>((resolve) => began.set(id, resolve));
    open.set(id, known);
    return known;
  };
  for (const id of ["run_1", "run_2"]) {
    void started(id);
    site.server.on(`GET /v1/runs/${id}/stream`, (_, reply) => {
      reply.stream().say({ type: "sync.live" });
      began.get(id)?.(reply);
    });
  }
  let count = 0;
  site.server.on("POST /v1/runs", async (_, reply) => {
    await may;
    count += 1;
    reply.json({ id: `run_${count}` }, 201);
  });
  return { started };
}

const SAID = log([
  { type: "run.started", task: "support", attempt: 1, epoch: 1 },
  { type: "step.started", step: "s1", name: "model", kind: "llm", attempt: 1 },
  { type: "reasoning.start", part: "r1", step: "s1" },
  { type: "reasoning.delta", part: "r1", delta: "Hm." },
  { type: "tool.input", call: "c1", name: "refund", input: { cents: 5 }, executed: "server", step: "s1" },
  { type: "step.completed", step: "s1", name: "model", kind: "llm", attempt: 1 },
  { type: "approval.requested", approval: "wp_1", title: "Refund?", kind: "tool", call: "c1" },
  { type: "run.waiting", on: "approval", ids: ["wp_1"] },
]);
const ANSWERED = log(
  [
    { type: "approval.resolved", approval: "wp_1", decision: "approved" },
    { type: "run.attempt", epoch: 2, reason: "resume" },
    { type: "tool.output", call: "c1", output: "paid" },
    { type: "text.start", part: "p1" },
    { type: "text.delta", part: "p1", delta: "Done." },
    { type: "run.completed", output: "Done." },
    { type: "end", status: "completed" },
  ],
  2,
);

test("a conversation goes from what was said, over a turn with a tool and an approval, to the next one", async () => {
  site.server.on("GET /v1/threads/t-7", (_, reply) => reply.json(thread()));
  site.server.on("POST /v1/waitpoints/wp_1/decisions", (_, reply) =>
    reply.json({ id: "wp_1", state: "answered", answer: { approved: true } }),
  );
  let answer = () => {};
  const { started } = runs(
    new Promise((resolve) => {
      answer = resolve;
    }),
  );
  const ends: string[] = [];
  const { result } = renderHook(() => useAgent("support", { threadId: "t-7", onEnd: (run) => ends.push(run.id) }), wrapper);
  await waitFor(() =>
    expect(texts(result.current.messages)).toEqual([
      ["user", "Where is my order?"],
      ["assistant", "I look.", "tool", "On its way."],
    ]),
  );
  expect(result.current.messages[1]?.parts[1]).toMatchObject({
    call: { name: "look_up", input: { order_id: "o-1" }, output: { state: "sent" } },
  });

  const sent = result.current.send("Refund it.");
  await waitFor(() => expect(result.current.messages.at(-1)).toMatchObject({ role: "user", state: "sending" }));
  answer();
  await sent;
  await waitFor(() => expect(result.current.status).toBe("submitted"));
  const reply = await started("run_1");
  reply.tell(...SAID);
  await waitFor(() => expect(result.current.status).toBe("waiting"));
  expect(result.current.approvals).toMatchObject([{ id: "wp_1", call: "c1" }]);
  expect(result.current.messages.at(-1)).toMatchObject({
    role: "assistant",
    state: "waiting",
    parts: [{ type: "reasoning" }, { approval: { id: "wp_1" } }],
  });

  expect(await result.current.resolve("wp_1", { approved: true })).toBe("approved");
  reply.tell(...ANSWERED);
  await waitFor(() => expect(result.current.status).toBe("ready"));
  expect(texts(result.current.messages).slice(2)).toEqual([
    ["user", "Refund it."],
    ["assistant", "Hm.", "tool", "Done."],
  ]);
  expect(result.current.approvals).toEqual([]);
  expect(ends).toEqual(["run_1"]);

  site.server.on("POST /v1/threads/t-7/regenerate", (_, reply) => reply.json({ id: "run_2" }, 201));
  await result.current.regenerate();
  const failing = await started("run_2");
  await waitFor(() => expect(texts(result.current.messages).slice(2)).toEqual([["user", "Refund it."], ["assistant"]]));
  failing.tell(
    ...log([
      { type: "run.failed", error: { code: "error", message: "no" } },
      { type: "end", status: "failed" },
    ]),
  );
  await waitFor(() => expect(result.current.messages.at(-1)).toMatchObject({ state: "failed", error: { message: "no" } }));
  expect(texts(result.current.messages).slice(2, 4), "the old answer is back").toEqual([
    ["user", "Refund it."],
    ["assistant", "Hm.", "tool", "Done."],
  ]);
  const again = site.server.to("POST /v1/threads/t-7/regenerate")[0];
  expect(again?.body).toEqual({ agent: "support" });
  const [start] = site.server.to("POST /v1/runs");
  expect(start?.body).toMatchObject({ task: "support", payload: { prompt: "Refund it." }, options: { thread: "t-7" } });
});

test("while an agent works it is steered, and its turn is stopped by its name", async () => {
  site.server.on("GET /v1/threads/t-7", (_, reply) => reply.json(thread({ messages: [] })));
  site.server.on("POST /v1/threads/t-7/messages", ({ body }, reply) => reply.json({ id: (body as { text: string }).text }, 200));
  site.server.on("POST /v1/threads/t-7/stop", (_, reply) => reply.json({ run: { id: "run_1" } }));
  const { started } = runs();
  const { result } = renderHook(() => useAgent("support", { threadId: "t-7" }), wrapper);
  await result.current.send("Refund it.");
  const reply = await started("run_1");
  reply.tell(...SAID);
  await waitFor(() => expect(result.current.status).toBe("waiting"));
  // The server answers with the run that hears it: the one at work.
  await expect(result.current.send("run_1", { mode: "steer" })).resolves.toEqual({ runId: "run_1" });
  await waitFor(() => expect(result.current.messages.filter(({ role }) => role === "user")).toHaveLength(1));
  const [said] = site.server.to("POST /v1/threads/t-7/messages");
  expect(said?.body).toEqual({ text: "run_1", mode: "steer", agent: "support" });
  expect(said?.headers["idempotency-key"]).toMatch(/^usr_/);
  await result.current.send("Next.");
  await result.current.stop("enough");
  expect(site.server.to("POST /v1/threads/t-7/stop")[0]?.body).toEqual({ run: "run_1", reason: "enough" });
});

test("in a thread there is more to do than to read it", async () => {
  site.server.on("GET /v1/threads/t-7", (_, reply) => reply.json(thread({ active_run: "run_1" })));
  for (const verb of ["messages", "regenerate"])
    site.server.on(`POST /v1/threads/t-7/${verb}`, (_, reply) => reply.json({ id: "run_2" }, 201));
  site.server.on("POST /v1/threads/t-7/stop", (_, reply) => reply.json({ run: null }));
  site.server.on("POST /v1/threads/t-7/fork", (_, reply) => reply.json(thread({ id: "t-8" }), 201));
  const { result } = renderHook(() => ({ here: useThread("t-7"), nowhere: useThread(null) }), wrapper);
  await waitFor(() => expect(result.current.here.activeRun).toBe("run_1"));
  const { send, regenerate, stop, fork } = result.current.here;
  expect(await send("Hello", { mode: "steer", idempotencyKey: "k" })).toEqual({ runId: "run_2" });
  expect(await regenerate("Hi")).toEqual({ runId: "run_2" });
  await stop();
  expect(await fork({ at: 2 })).toBe("t-8");
  expect(site.server.to("POST /v1/threads/t-7/messages")[0]).toMatchObject({ body: { text: "Hello", mode: "steer" } });
  expect(site.server.to("POST /v1/threads/t-7/regenerate")[0]?.body).toEqual({ text: "Hi" });
  expect(site.server.to("POST /v1/threads/t-7/stop")[0]?.body).toEqual({ run: "run_1" });
  expect(site.server.to("POST /v1/threads/t-7/fork")[0]?.body).toEqual({ at: 2 });
  await expect(result.current.nowhere.send("Hello")).rejects.toThrow("There is no thread yet.");
});

test("who comes while a run is under way sees its turn from the start", async () => {
  site.server.on("GET /v1/threads/t-7", (_, reply) => reply.json(thread({ active_run: "run_1" })));
  site.server.on("GET /v1/runs/run_1", (_, reply) => reply.json({ id: "run_1", input: { prompt: "Refund it." } }));
  const { started } = runs();
  const { result } = renderHook(() => useAgent("support", { threadId: "t-7" }), wrapper);
  (await started("run_1")).tell(...SAID);
  await waitFor(() =>
    expect(texts(result.current.messages).slice(2)).toEqual([
      ["user", "Refund it."],
      ["assistant", "Hm.", "tool"],
    ]),
  );
  expect(result.current).toMatchObject({ runId: "run_1", status: "waiting" });
});

test("a turn that somebody else begins shows in its place", async () => {
  let active: string | null = null;
  site.server.on("GET /v1/threads/t-7", (_, reply) => reply.json(thread({ active_run: active })));
  site.server.on("GET /v1/runs/run_1", (_, reply) => reply.json({ id: "run_1", input: { prompt: "From another tab." } }));
  const index = new Promise<Reply>((resolve) => {
    site.server.on("GET /v1/index/stream", (_, reply) => {
      resolve(reply.stream().say({ type: "sync.snapshot", reset: true, runs: [] }));
    });
  });
  const { started } = runs();
  const { result } = renderHook(() => useAgent("support", { threadId: "t-7" }), wrapper);
  await waitFor(() => expect(result.current.messages).toHaveLength(2));
  active = "run_1";
  (await index).say({ type: "run.changed", run: { id: "run_1", status: "running" } });
  (await started("run_1")).tell(...SAID);
  await waitFor(() =>
    expect(texts(result.current.messages).slice(2)).toEqual([
      ["user", "From another tab."],
      ["assistant", "Hm.", "tool"],
    ]),
  );
});

test("what a server rendered is shown until the whole of a long conversation is there", async () => {
  let answer = () => {};
  const may = new Promise<void>((resolve) => {
    answer = resolve;
  });
  site.server.on("GET /v1/threads/t-7", async ({ query }, reply) => {
    await may;
    const from = Number(query.get("after") ?? 0);
    reply.json(thread({ messages: STORED.slice(from, from + 2), next: from + 2 < STORED.length ? from + 2 : null }));
  });
  const said = { id: "usr_run_0", role: "user", runId: "run_0", state: "done", error: null } as const;
  const initialMessages = [{ ...said, parts: [{ type: "text", id: "1.0", text: "Where is my order?", done: true }] }] as const;
  const { result } = renderHook(() => useAgent("support", { threadId: "t-7", initialMessages }), wrapper);
  expect(texts(result.current.messages)).toEqual([["user", "Where is my order?"]]);
  answer();
  await waitFor(() =>
    expect(texts(result.current.messages)).toEqual([
      ["user", "Where is my order?"],
      ["assistant", "I look.", "tool", "On its way."],
    ]),
  );
});

test("a new conversation needs no id, and what cannot be sent is told at its message", async () => {
  site.server.on("POST /v1/runs", (_, reply) => reply.problem(404, "unknown_task"));
  const { result } = renderHook(() => useAgent("nobody"), wrapper);
  expect(result.current).toMatchObject({ messages: [], status: "ready" });
  await expect(result.current.send("Hello?")).rejects.toMatchObject({ code: "unknown_task" });
  await waitFor(() =>
    expect(result.current).toMatchObject({ status: "error", messages: [{ state: "failed" }], error: { code: "unknown_task" } }),
  );
  expect(site.server.to("POST /v1/runs")[0]?.body).toMatchObject({ options: { thread: result.current.threadId } });
});

test("threads and a thread are looked at anew when one of their runs changes", async () => {
  let said = STORED.slice(0, 1);
  site.server.on("GET /v1/threads/t-7", (_, reply) => reply.json(thread({ messages: said })));
  site.server.on("GET /v1/threads", (_, reply) => reply.json({ threads: [{ id: "t-7", messages: said.length }], next: null }));
  const index: Reply[] = [];
  site.server.on("GET /v1/index/stream", (_, reply) => {
    index.push(reply.stream().say({ type: "sync.snapshot", reset: true, runs: [{ id: "run_0", status: "running" }] }));
  });
  const { result } = renderHook(() => ({ thread: useThread("t-7"), list: useThreads() }), wrapper);
  await waitFor(() => expect([result.current.thread.messages.length, result.current.list.threads[0]?.messages]).toEqual([1, 1]));
  await waitFor(() => expect(index).toHaveLength(2));
  said = STORED;
  for (const reply of index) reply.say({ type: "run.changed", run: { id: "run_0", status: "completed" } });
  await waitFor(() => expect([result.current.thread.messages.length, result.current.list.threads[0]?.messages]).toEqual([2, 4]));
});

test("a durable stream is read and added to", async () => {
  site.server.on("GET /v1/stream/notes", (_, reply) => {
    reply.stream().raw('event: data\ndata:["a"]\n\nevent: control\ndata:{"streamNextOffset":"0_1","upToDate":true}\n\n');
  });
  site.server.on("POST /v1/stream/notes", (_, reply) => reply.nothing());
  const { result } = renderHook(() => useDurableStream<string>("notes"), wrapper);
  await waitFor(() => expect(result.current).toMatchObject({ items: ["a"], upToDate: true, closed: false }));
  await result.current.append("b");
  expect(site.server.to("POST /v1/stream/notes")).toHaveLength(1);
});
