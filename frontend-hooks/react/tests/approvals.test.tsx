import type { Waitpoint } from "@agentflow/client";
import { useApproval, useApprovals, useInput, useStream, useWaitToken } from "@agentflow/react";
import { expect, test } from "vitest";
import { renderHook, waitFor } from "../../testing/render.tsx";
import type { Reply } from "../../testing/scripted.ts";
import { log } from "../../testing/talk.ts";
import { openSite, Page } from "./site.tsx";

const site = openSite();
const wrapper = ({ children }: { readonly children: React.ReactNode }) => <Page site={site}>{children}</Page>;
const STREAM = "GET /v1/runs/run_1/stream";

/** A server that keeps an approval, as the real one does: the first answer counts. */
function keeps(asked: Partial<Waitpoint> = {}): { answer(approved: boolean, by: string): void } {
  let one = {
    id: "wp_1",
    kind: "approval",
    state: "pending",
    run: "run_1",
    subject: { title: "Refund?" },
    answer: null,
    due_at: null,
    ...asked,
  };
  const answer = (approved: boolean, by: string) => {
    one = { ...one, state: "answered", answer: { approved }, answered_by: by } as typeof one;
  };
  site.server.on("GET /v1/waitpoints/wp_1", (_, reply) => reply.json(one));
  site.server.on("GET /v1/waitpoints", (_, reply) => reply.json({ waitpoints: one.state === "pending" ? [one] : [] }));
  site.server.on("POST /v1/waitpoints/wp_1/decisions", ({ body }, reply) => {
    if (one.state !== "pending") return reply.problem(409, "waitpoint_answered");
    answer((body as { approved: boolean }).approved, "http");
    reply.json(one);
  });
  return { answer };
}

function streams(): Promise<Reply> {
  return new Promise((resolve) => {
    site.server.on(STREAM, (_, reply) => {
      reply.stream().say({ type: "sync.live", cursor: "1-0" });
      resolve(reply);
    });
  });
}

test("an approval is shown, and approved with what was changed", async () => {
  keeps({ due_at: Date.now() + 30_000 });
  void streams();
  const { result } = renderHook(() => useApproval("wp_1"), wrapper);
  await waitFor(() => expect(result.current.status).toBe("pending"));
  expect(result.current.expiresIn).toBeGreaterThan(20_000);
  expect(await result.current.approve({ input: { cents: 5 }, reason: "fair" })).toBe("approved");
  await waitFor(() =>
    expect(result.current).toMatchObject({ status: "approved", resolvedBy: "http", isSubmitting: false, expiresIn: null }),
  );
  expect(site.server.to("POST /v1/waitpoints/wp_1/decisions")[0]?.body).toEqual({ approved: true, edits: { cents: 5 }, reason: "fair" });
});

test("an answer from elsewhere shows at once", async () => {
  const { answer } = keeps();
  const stream = streams();
  const { result } = renderHook(() => useApproval("wp_1"), wrapper);
  const reply = await stream;
  answer(false, "maria");
  reply.tell(...log([{ type: "approval.resolved", approval: "wp_1", decision: "denied", by: "maria" }], 2));
  await waitFor(() => expect(result.current).toMatchObject({ status: "denied", resolvedBy: "maria" }));
});

test("who answers second is told what the first one said, and no error", async () => {
  const { answer } = keeps();
  void streams();
  const { result } = renderHook(() => useApproval("wp_1"), wrapper);
  await waitFor(() => expect(result.current.status).toBe("pending"));
  answer(true, "maria");
  expect(await result.current.deny()).toBe("approved");
  await waitFor(() => expect(result.current).toMatchObject({ status: "approved", resolvedBy: "maria", error: null }));
});

test("an inbox shows what is open, and forgets what is answered", async () => {
  const { answer } = keeps({ subject: { title: "Refund?", groups: ["editors"] } });
  const index = new Promise<Reply>((resolve) => {
    site.server.on("GET /v1/index/stream", (_, reply) => {
      reply.stream().say({ type: "sync.snapshot", reset: true, runs: [{ id: "run_1", status: "waiting" }] });
      resolve(reply);
    });
  });
  const { result } = renderHook(() => ({ all: useApprovals(), others: useApprovals({ assignee: "lawyers" }) }), wrapper);
  await waitFor(() => expect(result.current.all.count).toBe(1));
  await waitFor(() => expect(result.current.others).toMatchObject({ pending: [], isLoading: false }));
  answer(true, "maria");
  (await index).say({ type: "run.gone", id: "run_1" });
  await waitFor(() => expect(result.current.all.count).toBe(0));
});

test("an approval of a run is resolved from the list", async () => {
  keeps();
  void streams();
  const { result } = renderHook(() => useApprovals({ run: "run_1" }), wrapper);
  await waitFor(() => expect(result.current.count).toBe(1));
  expect(await result.current.resolve("wp_1", { approved: false, reason: "no" })).toBe("denied");
  await waitFor(() => expect(result.current.count).toBe(0));
});

test("a token is completed with a value", async () => {
  let state = "pending";
  site.server.on("GET /v1/waitpoints/wp_2", (_, reply) => reply.json({ id: "wp_2", kind: "token", state }));
  site.server.on("POST /v1/waitpoints/wp_2/decisions", (_, reply) => {
    state = "answered";
    reply.json({ id: "wp_2", state });
  });
  const { result } = renderHook(() => useWaitToken<number>("wp_2"), wrapper);
  await waitFor(() => expect(result.current.isReady).toBe(true));
  await result.current.complete(7);
  await waitFor(() => expect(result.current).toMatchObject({ isReady: false, isCompleted: true }));
  expect(site.server.to("POST /v1/waitpoints/wp_2/decisions")[0]?.body).toEqual({ value: 7 });
});

test("a run is sent to, and what it puts into its own streams is shown", async () => {
  const stream = streams();
  site.server.on("POST /v1/runs/run_1/inputs/inbox", (_, reply) => reply.json({ seq: 1 }, 202));
  const { result } = renderHook(() => ({ send: useInput("run_1", "inbox"), ...useStream<number>("run_1", "progress") }), wrapper);
  (await stream).tell(
    ...log(
      [1, 2].map((data) => ({ type: "stream.item", stream: "progress", data })),
      2,
    ),
  );
  await waitFor(() => expect(result.current).toMatchObject({ items: [1, 2], last: 2 }));
  await result.current.send({ text: "faster" }, { idempotencyKey: "k" });
  const [asked] = site.server.to("POST /v1/runs/run_1/inputs/inbox");
  expect([asked?.body, asked?.headers["idempotency-key"]]).toEqual([{ data: { text: "faster" } }, "k"]);
});
