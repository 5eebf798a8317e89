import { AgentflowChatTransport, useAgentflowChat } from "@agentflow/react/chat";
import type { UIMessage, UIMessageChunk } from "ai";
import { expect, test } from "vitest";
import { renderHook, waitFor } from "../../testing/render.tsx";
import type { Asked, Handler } from "../../testing/scripted.ts";
import { openSite, Page } from "./site.tsx";

const site = openSite();
const wrapper = ({ children }: { readonly children: React.ReactNode }) => <Page site={site}>{children}</Page>;

const CHUNKS: readonly object[] = [
  { type: "start", messageId: "msg_run_1", messageMetadata: { runId: "run_1" } },
  { type: "start-step" },
  { type: "text-start", id: "p1" },
  ...["It ", "is ", "on ", "its ", "way", "."].map((delta) => ({ type: "text-delta", id: "p1", delta })),
  { type: "text-end", id: "p1" },
  { type: "finish-step" },
  { type: "finish", finishReason: "stop" },
];
const ASKING: readonly object[] = [
  { type: "start", messageId: "msg_run_1", messageMetadata: { runId: "run_1" } },
  { type: "start-step" },
  { type: "tool-input-available", toolCallId: "c1", toolName: "refund", input: { cents: 5 } },
  { type: "tool-approval-request", approvalId: "wp_1", toolCallId: "c1" },
  { type: "finish-step" },
  { type: "finish", finishReason: "tool-calls" },
];
const HEADERS = { "x-workflow-run-id": "run_1", "x-agentflow-run-id": "run_1" };
const textOf = (messages: readonly UIMessage[]) =>
  messages.map(({ role, parts }) => [role, ...parts.flatMap((part) => (part.type === "text" ? [part.text] : []))]);
const from = ({ query }: Asked) => Number(query.get("startIndex"));
const says =
  (chunks: readonly object[]): Handler =>
  (_, reply) =>
    void reply
      .stream(HEADERS)
      .say(...chunks)
      .raw("data: [DONE]\n\n")
      .end();

test("a chat is answered; only what is new is sent", async () => {
  site.server.on("POST /ai/chat", says(CHUNKS));
  const { result } = renderHook(() => useAgentflowChat({ agent: "support" }), wrapper);
  await result.current.sendMessage({ text: "Where is my order?" });
  await result.current.sendMessage({ text: "And now?" });
  await waitFor(() => expect(result.current.status).toBe("ready"));
  expect(textOf(result.current.messages).slice(0, 2)).toEqual([
    ["user", "Where is my order?"],
    ["assistant", "It is on its way."],
  ]);
  const bodies = site.server.to("POST /ai/chat").map(({ body }) => body as { id: string; messages: unknown[]; agent: string; sdk: number });
  expect(bodies.map(({ messages }) => messages.length)).toEqual([1, 1]);
  expect(bodies[0]).toMatchObject({ agent: "support", sdk: 7, id: result.current.id, trigger: "submit-message" });
});

test("a cut after any chunk, and in the middle of one, loses and doubles nothing", async () => {
  const transport = new AgentflowChatTransport({ client: site.client });
  site.server.on("GET /ai/chat/run_1/stream", (asked, reply) => {
    reply
      .stream(HEADERS)
      .say(...CHUNKS.slice(from(asked)))
      .end();
  });
  for (let cut = 0; cut < CHUNKS.length; cut += 1) {
    site.server.on("POST /ai/chat", (_, reply) => {
      reply.stream(HEADERS).say(...CHUNKS.slice(0, cut));
      reply.raw(`data: ${JSON.stringify(CHUNKS[cut]).slice(0, 9)}`);
      if (cut % 2) reply.cut();
      else reply.end();
    });
    const message = { id: "m1", role: "user", parts: [{ type: "text", text: "Hello" }] } as UIMessage;
    const options = {
      trigger: "submit-message",
      chatId: "t-7",
      messageId: undefined,
      messages: [message],
      abortSignal: undefined,
    } as const;
    const chunks: UIMessageChunk[] = [];
    for await (const chunk of (await transport.sendMessages({ ...options, messages: [message] })) as AsyncIterable<UIMessageChunk>)
      chunks.push(chunk);
    expect(chunks, `cut after ${cut} chunks`).toEqual(CHUNKS);
  }
  expect(transport.runId).toBe("run_1");
});

test("an approval is asked for, answered, and the same message goes on", async () => {
  site.server.on("POST /ai/chat", ({ body }, reply) => {
    const [last] = (body as { messages: readonly UIMessage[] }).messages;
    says(
      last?.role === "user"
        ? ASKING
        : [CHUNKS[0] ?? {}, { type: "tool-output-available", toolCallId: "c1", output: "paid" }, ...CHUNKS.slice(1)],
    )({} as Asked, reply);
  });
  const { result } = renderHook(() => useAgentflowChat(), wrapper);
  await result.current.sendMessage({ text: "Refund it." });
  await waitFor(() =>
    expect(result.current.messages.at(-1)?.parts).toMatchObject([{}, { state: "approval-requested", approval: { id: "wp_1" } }]),
  );
  await result.current.addToolApprovalResponse({ id: "wp_1", approved: true });
  await waitFor(() =>
    expect(textOf(result.current.messages)).toEqual([
      ["user", "Refund it."],
      ["assistant", "It is on its way."],
    ]),
  );
  expect(result.current.messages.at(-1)?.parts).toMatchObject([{}, { state: "output-available", output: "paid" }, {}, {}]);
});

test("who comes back to a chat that is under way is told its answer; cancel stops the run, and stop does not", async () => {
  site.server.on("GET /ai/chat/t-7/stream", (_, reply) => void reply.stream(HEADERS).say(...CHUNKS.slice(0, 5)));
  site.server.on("POST /v1/runs/run_1/cancel", (_, reply) => reply.json({ id: "run_1" }));
  const { result } = renderHook(() => useAgentflowChat({ id: "t-7" }), wrapper);
  await waitFor(() => expect(textOf(result.current.messages)).toEqual([["assistant", "It is "]]));
  await result.current.stop();
  expect(site.server.to("POST /v1/runs/run_1/cancel")).toHaveLength(0);
  await result.current.cancel("enough");
  expect(site.server.to("POST /v1/runs/run_1/cancel")[0]?.body).toEqual({ reason: "enough" });
});

test("a chat with nothing under way stays as it is, and what the server refuses is an error of the chat", async () => {
  site.server.on("GET /ai/chat/t-8/stream", (_, reply) => reply.nothing());
  site.server.on("POST /ai/chat", (_, reply) => reply.problem(404, "unknown_task"));
  const { result } = renderHook(() => useAgentflowChat({ id: "t-8" }), wrapper);
  await waitFor(() => expect(site.server.to("GET /ai/chat/t-8/stream").length).toBeGreaterThan(0));
  await result.current.sendMessage({ text: "Hello?" });
  await waitFor(() => expect(result.current).toMatchObject({ status: "error", error: { code: "unknown_task" } }));
});
