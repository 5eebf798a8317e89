/** Conversations against the real server, which the test in Python starts: AGENTFLOW_URL says where. */

import { AgentflowClient } from "@agentflow/client";
import { AgentflowProvider, useAgent, useThread, useThreads } from "@agentflow/react";
import { useAgentflowChat } from "@agentflow/react/chat";
import { type ReactNode, StrictMode } from "react";
import { afterEach, describe, expect, test } from "vitest";
import { cleanup, renderHook, waitFor } from "../../testing/render.tsx";

const url = process.env.AGENTFLOW_URL ?? "";
const client = new AgentflowClient({ baseUrl: url });
const wrapper = ({ children }: { readonly children: ReactNode }) => (
  <StrictMode>
    <AgentflowProvider client={client}>{children}</AgentflowProvider>
  </StrictMode>
);
const told = (messages: readonly { readonly role: string; readonly parts: readonly object[] }[]) =>
  messages.map(({ role, parts }) => [role, ...parts.map((part) => ("text" in part ? part.text : "tool"))]);
const TURN = [
  ["user", "Pay five cents."],
  ["assistant", "Money is to be paid.", "tool", "It is paid."],
];

afterEach(() => {
  cleanup();
  client.detach();
});

describe.skipIf(!url)("with a real server", () => {
  test("a conversation is held, and is the same for who comes later", async () => {
    const threadId = crypto.randomUUID();
    const { result } = renderHook(() => useAgent("clerk", { threadId }), wrapper);
    await result.current.send("Pay five cents.");
    await waitFor(() => expect(result.current).toMatchObject({ status: "waiting", approvals: [{ decision: "" }] }));
    expect(await result.current.resolve(result.current.approvals[0]?.id ?? "", { approved: true })).toBe("approved");
    await waitFor(() => expect(result.current.status).toBe("ready"));
    expect(told(result.current.messages)).toEqual(TURN);

    const later = renderHook(() => ({ agent: useAgent("clerk", { threadId }), thread: useThread(threadId), list: useThreads() }), wrapper);
    await waitFor(() => expect(told(later.result.current.agent.messages)).toEqual(TURN));
    await waitFor(() => expect(told(later.result.current.thread.messages)).toEqual(TURN));
    await waitFor(() => expect(later.result.current.list.threads.map(({ id }) => id)).toContain(threadId));
  });

  test("useChat asks for leave, is given it, and continues its message", async () => {
    const id = crypto.randomUUID();
    const { result } = renderHook(() => useAgentflowChat({ id, agent: "clerk" }), wrapper);
    void result.current.sendMessage({ text: "Pay five cents." });
    const asked = () => result.current.messages.at(-1)?.parts.find((part) => "approval" in part && part.state === "approval-requested");
    await waitFor(() => expect(asked()).toBeDefined());
    await waitFor(() => expect(result.current.status).toBe("ready"));
    const approval = (asked() as { approval: { id: string } }).approval;
    void result.current.addToolApprovalResponse({ id: approval.id, approved: true });
    await waitFor(() => expect(JSON.stringify(result.current.messages)).toContain("It is paid."));
    await waitFor(() => expect(result.current.status).toBe("ready"));
    expect(result.current.messages.map(({ role }) => role)).toEqual(["user", "assistant"]);
  });
});
