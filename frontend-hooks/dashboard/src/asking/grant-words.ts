// How a standing yes is told. Pure.

import type { GrantInfo, Stand } from "@agentflow/client";
import { length } from "../format.ts";

type Scope = NonNullable<Stand["scope"]>;

/** Where a yes may stand. A run without a conversation has none, and a call without an agent is nobody's. */
export function scopesFor(agent: string | null, thread: string | null): readonly { scope: Scope; told: string }[] {
  const run = { scope: "run", told: "In this run" } as const;
  const talk = thread === null ? [] : [{ scope: "thread", told: "In this conversation" } as const];
  const named = agent === null ? [] : [{ scope: "agent", told: `Whenever ${agent} asks` } as const];
  return [run, ...talk, ...named, { scope: "all", told: "Whoever asks" }];
}

/** How long a yes may stand; the server's cap is 30 days. */
export const LIVES = [
  ["15m", "15 minutes"],
  ["1h", "1 hour"],
  ["8h", "8 hours"],
  ["1d", "1 day"],
  ["7d", "7 days"],
  ["30d", "30 days"],
] as const;

const PLACES: Readonly<Record<string, string>> = {
  run: "in this run",
  thread: "in this conversation",
  agent: "for this agent",
  all: "whoever asks",
};

/** What a decision let through from then on: "Allowed from then on in this run, for 1 h"; null for one that stands for itself alone. */
export function standsWords(answer: unknown): string | null {
  const always = (answer as { always?: { scope?: unknown; expires?: unknown; max_uses?: unknown } } | null)?.always;
  if (typeof always !== "object" || always === null || typeof always.expires !== "number") return null;
  const uses = typeof always.max_uses === "number" ? `, ${often(always.max_uses)} at most` : "";
  return `Allowed from then on ${PLACES[String(always.scope)] ?? ""}, for ${length(always.expires * 1_000)}${uses}.`;
}

/** How often a grant was used, and how often it may be. */
export function usesWords({ uses, max_uses }: Pick<GrantInfo, "uses" | "max_uses">): string {
  if (max_uses !== null) return `used ${uses} of ${often(max_uses)}`;
  return uses === 0 ? "not used yet" : `used ${often(uses)}`;
}

function often(times: number): string {
  return times === 1 ? "once" : times === 2 ? "twice" : `${times.toLocaleString()} times`;
}

const TESTS: Readonly<Record<string, string>> = {
  is: "is",
  in: "is one of",
  prefix: "begins with",
  min: "is at least",
  max: "is at most",
};

/** For which calls a grant is, an argument a line; null for just the same arguments. */
export function matchWords(match: GrantInfo["match"]): readonly string[] | null {
  if (typeof match.args !== "object" || match.args === null) return null;
  return Object.entries(match.args).map(([name, test]) => `${name} ${testWords(test)}`);
}

function testWords(test: unknown): string {
  return Object.entries(test as object)
    .map(([word, value]) => `${TESTS[word] ?? word} ${JSON.stringify(value)}`)
    .join(" and ");
}

/** Why a grant does not count any more; null while it does. */
export function overWords(one: GrantInfo, now: number): string | null {
  if (one.revoked_at !== null) return `taken back by ${one.revoked_by ?? "somebody"}`;
  if (one.expires_at <= now) return "its time is over";
  return one.max_uses !== null && one.uses >= one.max_uses ? "used up" : null;
}
