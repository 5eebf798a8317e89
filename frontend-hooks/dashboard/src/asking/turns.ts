// Which questions may be answered together. Pure.

import type { Waitpoint } from "@agentflow/client";
import { questionOf } from "@agentflow/react";
import { isGrave } from "./words.ts";

/** Open calls of one turn of one agent, none of them grave. */
export interface Turn {
  readonly key: string;
  readonly agent: string;
  readonly calls: readonly Waitpoint[];
}

/** The turns that have at least two calls to be decided, each of little risk. One grave call among them is decided by itself. */
export function turnsOf(items: readonly Waitpoint[]): readonly Turn[] {
  const turns = new Map<string, { key: string; agent: string; calls: Waitpoint[] }>();
  for (const one of items) {
    const question = questionOf(one);
    const { agent } = question;
    const isCall = typeof (one.subject as { call?: unknown } | null)?.call === "string" && question.cutOff === null;
    if (one.state !== "pending" || one.kind !== "approval" || one.run === null || agent === null || !isCall || isGrave(question)) continue;
    const key = `${one.run} ${agent}`;
    const turn = turns.get(key) ?? { key, agent, calls: [] };
    turn.calls.push(one);
    turns.set(key, turn);
  }
  return [...turns.values()].filter((turn) => turn.calls.length > 1);
}
