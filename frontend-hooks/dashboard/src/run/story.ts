// What a run said, in the order it said it: thoughts, text, tool calls with what became of them. Pure.

import type { RunView } from "@agentflow/client";
import type { AgentPart } from "@agentflow/react";

type Said = Pick<RunView, "parts" | "calls" | "references" | "approvals">;

/** The parts, calls and references of a view, by their order; parts that ended empty say nothing. */
export function storyOf(view: Said): readonly AgentPart[] {
  const placed: (readonly [number, AgentPart])[] = [
    ...view.parts
      .filter((one) => one.text !== "" || !one.done)
      .map((one) => [one.order, { type: one.kind, id: one.id, text: one.text, done: one.done }] as const),
    ...view.calls.map((one) => [one.order, { type: "tool", id: one.id, call: one, approval: approvalOf(view, one.id) }] as const),
    ...view.references.map((one) => [one.order, { type: one.kind, id: one.url, reference: one }] as const),
  ];
  return placed.sort(([a], [b]) => a - b).map(([, part]) => part);
}

function approvalOf(view: Said, call: string) {
  return view.approvals.findLast((one) => one.call === call) ?? null;
}

/** Which part is being said right now; none of a run that has ended. */
export function speaking(parts: readonly AgentPart[], ended: boolean): string | null {
  if (ended) return null;
  return parts.findLast((one) => (one.type === "text" || one.type === "reasoning") && !one.done)?.id ?? null;
}

/** Parts are made anew for each view, what they hold is not: whether two of them show the same. */
export function same(a: AgentPart, b: AgentPart): boolean {
  if (a.type === "tool" && b.type === "tool") return a.call === b.call && a.approval === b.approval;
  if ((a.type === "text" || a.type === "reasoning") && a.type === b.type) return a.text === b.text && a.done === b.done;
  return a === b;
}
