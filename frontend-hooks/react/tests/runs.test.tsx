import type { RunDetail, RunView } from "@agentflow/client";
import { AgentflowProvider, useRun, useRunEvents, useRunState, useRunStream, useRuns, useTriggerRun } from "@agentflow/react";
import { version } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";
import { renderHook, waitFor } from "../../testing/render.tsx";
import type { Handler, Reply } from "../../testing/scripted.ts";
import { log, TALK } from "../../testing/talk.ts";
import { openSite, Page } from "./site.tsx";

const site = openSite();
const wrapper = ({ children }: { readonly children: React.ReactNode }) => <Page site={site}>{children}</Page>;
const STREAM = "GET /v1/runs/run_1/stream";
const whole: Handler = (_, reply) =>
  reply
    .stream()
    .tell(...TALK)
    .end();

/** A stream that a test goes on with, once it is open. */
function held(place = STREAM): Promise<Reply> {
  return new Promise((resolve) => {
    site.server.on(place, (_, reply) => {
      reply.stream().tell(...TALK.slice(0, 2));
      reply.say({ type: "sync.live", cursor: "1-1" });
      resolve(reply);
    });
  });
}

test("these tests run under the React that their project names", ({ task }) => {
  expect(`react ${version.split(".")[0]}`).toBe(task.file.projectName);
});

test("a run is followed to its end, which is told once, over one connection in StrictMode", async () => {
  site.server.on(STREAM, whole);
  const ends: RunView[] = [];
  const { result } = renderHook(() => useRun<{ ok: boolean }>("run_1", { onEnd: (run) => ends.push(run) }), wrapper);
  expect(result.current).toMatchObject({ status: "queued", isActive: true, output: undefined });
  await waitFor(() => expect(result.current.connection).toBe("ended"));
  expect(result.current).toMatchObject({ status: "completed", isEnded: true, isActive: false, output: { ok: true }, error: null });
  expect(ends).toHaveLength(1);
  expect(site.server.to(STREAM)).toHaveLength(1);
});

test("a lost connection ends nothing", async () => {
  const stream = held();
  const ends: RunView[] = [];
  const { result } = renderHook(() => useRun("run_1", { onEnd: (run) => ends.push(run) }), wrapper);
  (await stream).cut();
  await waitFor(() => expect(result.current.connection).toBe("reconnecting"));
  expect(result.current).toMatchObject({ status: "running", isEnded: false });
  expect(ends).toEqual([]);
});

test("without an id nothing is asked, and with one it begins; an array that is new at each render reopens nothing", async () => {
  site.server.on(STREAM, whole);
  const { result, rerender } = renderHook(({ id }) => useRun(id, { types: ["run", "step"] }), wrapper, { id: null as string | null });
  expect(result.current).toMatchObject({ run: null, status: null, connection: "idle" });
  rerender({ id: "run_1" });
  await waitFor(() => expect(result.current.isCompleted).toBe(true));
  rerender({ id: "run_1" });
  expect(site.server.to(STREAM).map(({ query }) => query.get("types"))).toEqual(["run,step"]);
});

test("disabled at first and enabled later connects", async () => {
  site.server.on(STREAM, whole);
  const { result, rerender } = renderHook(({ enabled }) => useRun("run_1", { enabled }), wrapper, { enabled: false });
  expect(result.current.connection).toBe("idle");
  rerender({ enabled: true });
  await waitFor(() => expect(result.current.isCompleted).toBe(true));
});

test("a run can be cancelled, which is not the same as left", async () => {
  const stream = held();
  site.server.on("POST /v1/runs/run_1/cancel", (_, reply) => reply.json({ id: "run_1" }));
  const { result } = renderHook(() => useRun("run_1"), wrapper);
  const reply = await stream;
  await waitFor(() => expect(result.current.status).toBe("running"));
  await result.current.cancel("enough");
  expect(site.server.to("POST /v1/runs/run_1/cancel")[0]?.body).toEqual({ reason: "enough" });
  result.current.detach();
  await waitFor(() => expect(result.current.connection).toBe("idle"));
  await reply.gone;
});

test("what a server knew is shown until the stream says more", async () => {
  const initial = {
    id: "run_1",
    status: "waiting",
    attempt: 2,
    metadata: { stage: "known" },
    error: null,
    output: null,
  } as unknown as RunDetail;
  const stream = held();
  const { result } = renderHook(() => useRun("run_1", { initial: { ...initial } }), wrapper);
  expect(result.current).toMatchObject({ status: "waiting", attempt: 2, progress: { stage: "known" }, isWaiting: true });
  await stream;
  await waitFor(() => expect(result.current).toMatchObject({ status: "running", attempt: 1 }));
});

test("a provider makes one client, and asks the newest getToken", async () => {
  site.server.on(STREAM, whole);
  const asked: string[] = [];
  const { result, rerender } = renderHook(({ enabled }) => useRun("run_1", { enabled }), TokenPage, { enabled: false });
  TokenPage.getToken = () => `token ${asked.push("later")}`;
  rerender({ enabled: true });
  await waitFor(() => expect(result.current.isCompleted).toBe(true));
  expect(asked).toEqual(["later"]);
});

/** A page whose `getToken` is another one at each render. */
function TokenPage({ children }: { readonly children: React.ReactNode }): React.ReactNode {
  return (
    <AgentflowProvider baseUrl={site.server.url} getToken={TokenPage.getToken}>
      {children}
    </AgentflowProvider>
  );
}
TokenPage.getToken = () => "token of the first render";

/** What a server renders of a run. */
function Rendered({ initial }: { readonly initial: RunDetail }): React.ReactNode {
  return <p>{useRun(initial.id, { initial }).status}</p>;
}

test("a server renders what it knows, and asks nothing", () => {
  const initial = { id: "run_1", status: "paused", metadata: {}, error: null } as unknown as RunDetail;
  const page = (
    <Page site={site}>
      <Rendered initial={initial} />
    </Page>
  );
  expect(renderToStaticMarkup(page)).toBe("<p>paused</p>");
  expect(site.server.asked).toEqual([]);
  expect(() => renderToStaticMarkup(<Rendered initial={initial} />)).toThrow(/AgentflowProvider/);
});

test("an error of the server is told with what to do next", async () => {
  site.server.on(STREAM, (_, reply) => reply.problem(404, "run_not_found"));
  const { result } = renderHook(() => useRun("run_1"), wrapper);
  await waitFor(() => expect(result.current.connectionError).toMatchObject({ code: "run_not_found", hint: "Do something else." }));
});

test("ten thousand deltas render fewer than two hundred times, and every one is shown", async () => {
  const deltas = Array.from({ length: 10_000 }, () => ({ type: "text.delta", part: "p1", delta: "x" }));
  const stream = held();
  let renders = 0;
  const { result } = renderHook(() => {
    renders += 1;
    return useRunStream("run_1").text;
  }, wrapper);
  const reply = await stream;
  for (let at = 0; at < deltas.length; at += 5) {
    reply.tell(...log(deltas.slice(at, at + 5), 2, at));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await waitFor(() => expect(result.current).toBe("x".repeat(10_000)));
  expect(renders).toBeGreaterThan(2);
  expect(renders).toBeLessThan(200);
});

test("what a retry voids is not shown, and parts keep their order", async () => {
  site.server.on(STREAM, whole);
  const { result } = renderHook(() => useRunStream("run_1"), wrapper);
  await waitFor(() => expect(result.current.cursor).toBe(TALK.at(-1)?.id));
  expect(result.current).toMatchObject({ text: " Grüß dich 🎉", isStreaming: false });
  expect(result.current.parts.map(({ id, kind }) => [id, kind])).toEqual([
    ["p2", "text"],
    ["c1", "tool"],
  ]);
});

test("a part of a stream renders for its own changes alone", async () => {
  const stream = held();
  let renders = 0;
  const { result } = renderHook(() => {
    renders += 1;
    return useRunStream("run_1", { part: "p1", kinds: ["text"] });
  }, wrapper);
  const reply = await stream;
  reply.tell(...log([{ type: "text.delta", part: "p1", delta: "mine" }], 2));
  await waitFor(() => expect(result.current.text).toBe("mine"));
  const before = renders;
  const other = Array.from({ length: 100 }, () => ({ type: "text.delta", part: "p2", delta: "y" }));
  reply.tell(...log([...other, { type: "text.delta", part: "p1", delta: " too" }], 3));
  await waitFor(() => expect(result.current.text).toBe("mine too"));
  expect(renders - before).toBeLessThanOrEqual(2);
});

test("events are heard without a render, live ones only unless asked otherwise", async () => {
  const stream = held();
  let renders = 0;
  const heard: string[] = [];
  renderHook(() => {
    renders += 1;
    useRunEvents("run_1", ["run", "text.delta"], (event) => heard.push(event.type));
  }, wrapper);
  const before = renders;
  const reply = await stream;
  reply.tell(
    ...log(
      [
        { type: "text.delta", part: "p1", delta: "a" },
        { type: "run.waiting", on: "timer" },
      ],
      2,
    ),
  );
  await waitFor(() => expect(heard).toEqual(["text.delta", "run.waiting"]));
  expect(renders).toBe(before);
});

test("the state of a run renders for its own changes alone", async () => {
  const stream = held();
  const { result } = renderHook(() => useRunState<{ stage: string }>("run_1"), wrapper);
  const reply = await stream;
  reply.tell(
    ...log(
      [
        { type: "run.progress", data: { stage: "one" } },
        { type: "run.progress", data: { stage: "two" } },
      ],
      2,
    ),
  );
  await waitFor(() => expect(result.current).toEqual({ state: { stage: "two" }, rev: 2 }));
});

test("a run that is triggered is followed", async () => {
  site.server.on("POST /v1/runs", (_, reply) => reply.json({ id: "run_1" }, 201)).on(STREAM, whole);
  const { result } = renderHook(() => useTriggerRun<{ ok: boolean }, { name: string }>("greet", { tags: ["web"] }), wrapper);
  await result.current.trigger({ name: "Maria" }, { idempotencyKey: "k" });
  await waitFor(() => expect(result.current).toMatchObject({ runId: "run_1", isPending: false, output: { ok: true } }));
  expect(site.server.to("POST /v1/runs")[0]?.body).toEqual({
    task: "greet",
    payload: { name: "Maria" },
    options: { tags: ["web"], idempotency_key: "k" },
  });
});

test("a list of runs is live, and counts them by status", async () => {
  const run = (id: string, status: string) => ({ id, status });
  site.server.on("GET /v1/index/stream", (_, reply) => {
    reply.stream().say({ type: "sync.snapshot", reset: true, runs: [run("a", "running"), run("b", "running")] });
    reply.say({ type: "run.changed", run: run("a", "failed") });
  });
  const { result } = renderHook(() => useRuns({ tag: "vip", limit: 5 }), wrapper);
  expect(result.current.isLoading).toBe(true);
  await waitFor(() => expect(result.current.counts).toEqual({ failed: 1, running: 1 }));
  expect(site.server.to("GET /v1/index/stream")).toHaveLength(1);
});

test("runs by id are followed together", async () => {
  site.server.on(STREAM, whole).on("GET /v1/runs/run_2/stream", (_, reply) => reply.problem(404, "run_not_found"));
  const { result } = renderHook(() => useRuns({ ids: ["run_1", "run_2"] }), wrapper);
  await waitFor(() =>
    expect(result.current.runs.map(({ id, status }) => [id, status])).toEqual([
      ["run_1", "completed"],
      ["run_2", "queued"],
    ]),
  );
  await waitFor(() => expect(result.current).toMatchObject({ connection: "error", error: { code: "run_not_found" } }));
});
