/** A conversation as a chat shows it: made of what is stored of a thread and of what its runs say now. */

import type { ApprovalView, CallView, JsonObject, ReferenceView, RunView, ThreadMessage, ThreadPart } from "@agentflow/client";

/** A part of a message. A tool call that somebody must allow has its approval; `approval` alone is a question that no tool asked. */
export type AgentPart =
  | { readonly type: "text" | "reasoning"; readonly id: string; readonly text: string; readonly done: boolean }
  | { readonly type: "tool"; readonly id: string; readonly call: CallView; readonly approval: ApprovalView | null }
  | { readonly type: "approval"; readonly id: string; readonly approval: ApprovalView }
  | { readonly type: "file" | "source"; readonly id: string; readonly reference: ReferenceView }
  | { readonly type: "data"; readonly id: string; readonly name: string; readonly data: unknown };

/** A turn of a person or of the agent. `sending` is not on the server yet; a `waiting` one waits for a person. */
export interface AgentMessage {
  readonly id: string;
  readonly role: "user" | "assistant";
  readonly runId: string | null;
  readonly parts: readonly AgentPart[];
  readonly state: "sending" | "streaming" | "waiting" | "done" | "failed" | "cancelled";
  readonly error: JsonObject | null;
}

/** What a person said. */
export function userMessage(id: string, text: string, runId: string | null, state: AgentMessage["state"] = "done"): AgentMessage {
  return { id, role: "user", runId, parts: [{ type: "text", id: `${id}.0`, text, done: true }], state, error: null };
}

/** What the agent says in a run, in the order in which it said it. */
export function assistantMessage(view: RunView): AgentMessage {
  const asked = new Map(view.approvals.filter((one) => one.call !== null && one.run === null).map((one) => [one.call, one]));
  const placed: { readonly order: number; readonly part: AgentPart }[] = [
    ...view.parts.map((one) => ({ order: one.order, part: { type: one.kind, id: one.id, text: one.text, done: one.done } as const })),
    ...view.calls.map((one) => ({
      order: one.order,
      part: { type: "tool", id: one.id, call: one, approval: asked.get(one.id) ?? null } as const,
    })),
    ...view.references.map((one) => ({ order: one.order, part: { type: one.kind, id: one.url, reference: one } as const })),
  ];
  const calls = new Set(view.calls.map((one) => one.id));
  // Of a call that waits for another run there may be several questions.
  const alone = view.approvals.filter((one) => one.call === null || one.run !== null || !calls.has(one.call));
  const parts: readonly AgentPart[] = [
    ...placed.sort((a, b) => a.order - b.order).map((one) => one.part),
    ...view.data.map((one) => ({ type: "data", id: `${one.name}.${one.id}`, name: one.name, data: one.data }) as const),
    ...alone.map((one) => ({ type: "approval", id: one.id, approval: one }) as const),
  ];
  return { id: `msg_${view.id}`, role: "assistant", runId: view.id, parts, state: stateOf(view), error: view.error };
}

function stateOf(view: RunView): AgentMessage["state"] {
  if (view.status === "completed") return "done";
  if (view.status === "failed" || view.status === "expired") return "failed";
  if (view.status === "cancelled") return "cancelled";
  return isUpToPeople(view) ? "waiting" : "streaming";
}

/** Whether the run waits for a person, or for a run that does. */
export function isUpToPeople(view: RunView): boolean {
  if (view.waiting === null) return false;
  return view.waiting.on === "approval" || view.approvals.some((one) => one.run !== null && one.decision === "");
}

/** What is stored of a thread, a message per run and role. */
export function storedMessages(stored: readonly ThreadMessage[]): readonly AgentMessage[] {
  const outcomes = new Map(stored.flatMap(({ message }) => message.parts.filter(isReturn).map((part) => [part.tool_call_id, part])));
  const messages: AgentMessage[] = [];
  for (const one of stored) {
    const role = one.message.kind === "response" ? "assistant" : "user";
    const parts = one.message.parts.flatMap((part, index) => storedPart(part, `${one.seq}.${index}`, outcomes));
    if (parts.length === 0) continue;
    const last = messages.at(-1);
    if (last?.runId === one.run && last.role === role) messages.splice(-1, 1, { ...last, parts: [...last.parts, ...parts] });
    else messages.push({ id: `${role === "user" ? "usr" : "msg"}_${one.run}`, role, runId: one.run, parts, state: "done", error: null });
  }
  return messages;
}

function isReturn(part: ThreadPart): boolean {
  return part.part_kind === "tool-return" || part.part_kind === "retry-prompt";
}

function storedPart(part: ThreadPart, id: string, outcomes: ReadonlyMap<string | undefined, ThreadPart>): readonly AgentPart[] {
  switch (part.part_kind) {
    case "user-prompt":
    case "text":
      return [{ type: "text", id, text: textOf(part.content), done: true }];
    case "thinking":
      return [{ type: "reasoning", id, text: textOf(part.content), done: true }];
    case "tool-call":
      return [{ type: "tool", id: part.tool_call_id ?? id, call: storedCall(part, id, outcomes.get(part.tool_call_id)), approval: null }];
    default:
      return [];
  }
}

function storedCall(part: ThreadPart, id: string, outcome: ThreadPart | undefined): CallView {
  const failed = outcome?.part_kind === "retry-prompt";
  return {
    id: part.tool_call_id ?? id,
    name: part.tool_name ?? "",
    state: failed ? "failed" : "completed",
    written: typeof part.args === "string" ? part.args : JSON.stringify(part.args ?? {}),
    input: typeof part.args === "string" ? parsed(part.args) : (part.args ?? {}),
    output: failed ? null : (outcome?.content ?? null),
    error: failed ? { message: textOf(outcome?.content) } : null,
    executed: "server",
    step: null,
    message: null,
    order: 0,
  };
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content === undefined || content === null ? "" : JSON.stringify(content);
  return content.filter((one) => typeof one === "string").join("");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text || "{}");
  } catch {
    return text;
  }
}
