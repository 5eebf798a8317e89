/** The log of a run that says something, retries, asks and ends. */

import type { Entry, RunEvent } from "@agentflow/client";

/** Events with ids of one epoch, from a number on. */
export function logged(events: readonly Omit<RunEvent, "ts">[], epoch = 1, from = 0): readonly Entry[] {
  return events.map((event, index) => ({ id: `${epoch}-${from + index}`, event: { ts: 1_000 + index, ...event } as RunEvent }));
}

/** As `logged`, for events written down without their types. */
export function log(events: readonly ({ readonly type: string } & Record<string, unknown>)[], epoch = 1, from = 0): readonly Entry[] {
  return logged(events as unknown as readonly Omit<RunEvent, "ts">[], epoch, from);
}

/** A short talk with a retry, a lost worker, a tool, an approval and characters of all lengths. */
export const TALK: readonly Entry[] = [
  ...log([
    { type: "run.started", task: "talk", attempt: 1, epoch: 1 },
    { type: "step.started", step: "s1", name: "model", kind: "llm", attempt: 1 },
    { type: "text.start", part: "p1", step: "s1" },
    { type: "text.delta", part: "p1", delta: "Wrong" },
    { type: "step.retrying", step: "s1", attempt: 2, supersedes: ["p1"] },
    { type: "text.start", part: "p2", step: "s1" },
    { type: "text.delta", part: "p2", delta: " Grüß" },
    { type: "text.delta", part: "p2", delta: " dich 🎉" },
    { type: "step.completed", step: "s1", name: "model", kind: "llm", attempt: 2 },
    { type: "step.started", step: "s2", name: "model", kind: "llm", attempt: 1 },
    { type: "text.start", part: "p3", step: "s2" },
    { type: "text.delta", part: "p3", delta: "lost" },
  ]),
  ...log(
    [
      { type: "run.attempt", epoch: 2, reason: "worker_lost", supersedes: [] },
      { type: "tool.input", call: "c1", name: "pay", input: { cents: 5 }, executed: "server" },
      { type: "approval.requested", approval: "wp_1", title: "Pay?", kind: "tool", call: "c1" },
      { type: "run.waiting", on: "approval", ids: ["wp_1"] },
      { type: "approval.resolved", approval: "wp_1", decision: "approved", by: "maria" },
      { type: "child.started", run: "run_child", name: "pay", call: "c1" },
      { type: "tool.output", call: "c1", output: { paid: true } },
      { type: "data", name: "chart", id: "one", data: [1, 2] },
      { type: "run.completed", output: { ok: true } },
      { type: "end", status: "completed" },
    ],
    2,
  ),
];
