import type { Waitpoint } from "@agentflow/client";
import { useApproval, useApprovals, useDecision, useInput, useStream, useWaitToken, WaitpointForm } from "@agentflow/react";
import { expect, test } from "vitest";
import { render, renderHook, type, waitFor } from "../../testing/render.tsx";
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

test("a decision is about what was shown, and the same one tried again is the same", async () => {
  keeps({ subject: { title: "Refund?", need: 2, digest: "d1" } });
  void streams();
  let tries = 0;
  site.server.on("POST /v1/waitpoints/wp_1/decisions", (_, reply) => {
    tries += 1;
    if (tries === 1) return reply.problem(503, "storage_unavailable");
    reply.json({ id: "wp_1", kind: "approval", state: "pending", subject: {}, outcome: "recorded", need: 2, have: 1 });
  });
  site.server.on("GET /v1/waitpoints/wp_1/votes", (_, reply) =>
    reply.json({ votes: tries < 2 ? [] : [{ actor: "maria", choice: "approve", said: {}, counted: true, why: null, at: 1 }] }),
  );
  const { result } = renderHook(() => useApproval("wp_1", { by: "maria" }), wrapper);
  await waitFor(() => expect(result.current.status).toBe("pending"));
  await expect(result.current.approve()).rejects.toMatchObject({ status: 503 });
  await waitFor(() => expect(result.current).toMatchObject({ state: "idle", error: { status: 503 } }));
  const [first, second] = [result.current.approve(), result.current.approve()];
  expect(await Promise.all([first, second])).toEqual(["pending", "pending"]);
  await waitFor(() => expect(result.current).toMatchObject({ state: "recorded", error: null, progress: { need: 2, have: 1 } }));
  const sent = site.server.to("POST /v1/waitpoints/wp_1/decisions");
  expect(sent.map((one) => one.body)).toEqual([1, 2].map(() => ({ approved: true, by: "maria", seen_digest: "d1" })));
  expect(sent[0]?.headers["idempotency-key"]).toMatch(/^[0-9a-f]{24}$/);
  expect(sent[1]?.headers["idempotency-key"]).toBe(sent[0]?.headers["idempotency-key"]);
});

test.each([
  [410, "waitpoint_timed_out", "expired", "late"],
  [412, "subject_changed", "conflict", "changed"],
  [403, "not_eligible", "idle", "not_allowed"],
])("an answer of %i is how things are, and no error", async (status, code, state, why) => {
  keeps();
  void streams();
  site.server.on("POST /v1/waitpoints/wp_1/decisions", (_, reply) => reply.problem(status, code));
  const { result } = renderHook(() => useApproval("wp_1"), wrapper);
  await waitFor(() => expect(result.current.status).toBe("pending"));
  expect(await result.current.approve()).toBe("pending");
  await waitFor(() => expect(result.current).toMatchObject({ state, refusal: { why }, error: null }));
});

test("a token that may not decide at all is an error", async () => {
  keeps();
  void streams();
  site.server.on("POST /v1/waitpoints/wp_1/decisions", (_, reply) => reply.problem(403, "scope_missing"));
  const { result } = renderHook(() => useApproval("wp_1"), wrapper);
  await waitFor(() => expect(result.current.status).toBe("pending"));
  await expect(result.current.deny()).rejects.toMatchObject({ code: "scope_missing" });
});

const UNFIT = {
  code: "invalid_answer",
  message: "No.",
  hint: "",
  details: { problems: [{ at: "cents", problem: "No more than 50 today" }] },
};

function Form({ asked }: { readonly asked: Waitpoint }) {
  const decision = useDecision(asked);
  return (
    <>
      <WaitpointForm waitpoint={asked} decision={decision} />
      <output>{decision.state}</output>
    </>
  );
}

test("a form says at its field what it, and then the server, does not take", async () => {
  const schema = { type: "object", properties: { cents: { type: "integer", minimum: 1 } }, required: ["cents"] };
  const asked = { id: "wp_3", kind: "input", state: "pending", subject: { title: "How much?" }, schema } as Waitpoint;
  site.server.on("GET /v1/waitpoints/wp_3", (_, reply) => reply.json(asked));
  site.server.on("POST /v1/waitpoints/wp_3/decisions", ({ body }, reply) => {
    if ((body as { value: { cents: number } }).value.cents > 50) return reply.json(UNFIT, 422);
    reply.json({ ...asked, state: "answered", outcome: "resolved", need: 1, have: 1 });
  });
  const page = render(
    <Page site={site}>
      <Form asked={asked} />
    </Page>,
  );
  const submit = (cents: string) => {
    type(page.querySelector("input"), cents);
    page.querySelector<HTMLElement>("[type=submit]")?.click();
  };
  const says = (problem: string) => waitFor(() => expect(page.querySelector("[role=alert]")?.textContent).toBe(problem));
  submit("0");
  await says("At least 1.");
  expect(document.activeElement).toBe(page.querySelector("input"));
  submit("80");
  await says("No more than 50 today");
  submit("8");
  await waitFor(() => expect(page.querySelector("output")?.textContent).toBe("resolved"));
  expect(page.querySelector("[role=alert]")).toBe(null);
  expect(site.server.to("POST /v1/waitpoints/wp_3/decisions").map((one) => one.body)).toEqual(
    [80, 8].map((cents) => ({ value: { cents } })),
  );
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
