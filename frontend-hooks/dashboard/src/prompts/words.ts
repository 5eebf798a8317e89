// How what holds of a prompt, and what happened to it, is written. Pure.

import type { Guarding, PromptBinding, PromptEventInfo, PromptInfo, PromptRollout } from "@agentflow/client";
import { distance, short } from "../format.ts";

/** A version of a rollout, and its share in whole percent. */
export interface Share {
  readonly version: number;
  readonly percent: number;
}

/** The shares of a rollout, the largest first. */
export function sharesOf(weights: PromptBinding["weights"]): readonly Share[] {
  const all = Object.entries(weights).map(([version, weight]) => ({ version: Number(version), weight }));
  const total = all.reduce((sum, one) => sum + one.weight, 0);
  return all
    .map(({ version, weight }) => ({ version, percent: total === 0 ? 0 : Math.round((weight / total) * 100) }))
    .sort((a, b) => b.percent - a.percent || a.version - b.version);
}

/** What a binding is called: its environment, and its label where that is not `live`. */
export function placeOf({ env, label }: Pick<PromptBinding, "env" | "label">): string {
  return label === "live" ? env : `${env} · ${label}`;
}

/** A version as people say it. */
export function versionWord(version: number | null): string {
  return version === null ? "nothing" : `v${version}`;
}

type Holding = Pick<PromptBinding, "mode" | "version" | "weights" | "expires_at">;

/** What holds: `v5`, or the versions of a rollout. */
export function holdsWord({ mode, version, weights }: Holding): string {
  if (mode !== "rollout") return versionWord(version);
  return sharesOf(weights)
    .map((one) => `v${one.version}`)
    .join(" · ");
}

/** How it came to hold: by the code, or pinned, or by shares. */
export function modeWord({ mode, weights, expires_at }: Holding): string {
  if (mode === "code") return "code";
  if (mode === "pinned") return expires_at === null ? "pinned" : `pinned until ${until(expires_at)}`;
  const shares = sharesOf(weights).map((one) => one.percent);
  return `rollout ${shares.join("·")}`;
}

function until(at: number): string {
  return new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" }).format(at);
}

/** The bindings of a prompt as they are shown: the server's own environment first, what is live before other labels. */
export function inOrder(prompt: Pick<PromptInfo, "live" | "bindings">): readonly PromptBinding[] {
  const own = prompt.live?.env;
  const rank = (one: PromptBinding) => [one.env === own ? 0 : 1, one.env, one.label === "live" ? 0 : 1, one.label].join("\u0000");
  return [...prompt.bindings].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

/** Whether a prompt is what somebody looks for: all words occur in what is known of it. */
export function isFound(prompt: Pick<PromptInfo, "name" | "description" | "bindings">, typed: string): boolean {
  const modes = prompt.bindings.flatMap((one) => [placeOf(one), modeWord(one), one.code_ahead ? "code is ahead" : ""]);
  const text = [prompt.name, prompt.description, ...modes].join(" ").toLowerCase();
  return typed
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** What an event tells: in words, with from where to where. */
export interface Told {
  readonly what: string;
  readonly from: string | null;
  readonly to: string | null;
}

const MOVES: Readonly<Record<string, string>> = {
  deployed: "deployed the code",
  released: "released",
  "follows.code": "has the code hold again",
  rollout: "rolled out",
  "rolled.back": "rolled back",
  "guard.paused": "stopped the rollout",
  "guard.rolled.back": "took the rollout back",
};
const BACK = new Set(["rolled.back", "guard.rolled.back"]);

/** The event in words; whoever did it is said before them. */
export function toldBy(event: Pick<PromptEventInfo, "type" | "before" | "after">): Told {
  const { type, before, after } = event;
  const move = MOVES[type];
  if (move !== undefined) return { what: move, from: stateWord(before), to: stateWord(after) };
  return (OTHERS[type] ?? unknown(type))(before, after);
}

type Teller = (before: unknown, after: unknown) => Told;

const OTHERS: Readonly<Record<string, Teller>> = {
  "version.created": (_, after) => ({ what: "saved", from: null, to: `v${after}` }),
  "version.revoked": (before, after) => ({ what: `took v${before} back: runs that hold it ${policyWord(after)}`, from: null, to: null }),
  "run.repinned": (before, after) => ({ what: `had the run ${short(String(before))} take`, from: null, to: `v${after}` }),
  "thread.upgraded": (before) => ({ what: `had the thread ${before} take what is live`, from: null, to: null }),
  "release.requested": (_, after) => ({ what: "asks to have hold", from: null, to: targetWord(after) }),
  "release.approved": () => ({ what: "agreed to it", from: null, to: null }),
  "release.denied": () => ({ what: "did not agree to it", from: null, to: null }),
  "release.conflict": () => ({ what: "would have moved it, but it was moved meanwhile", from: null, to: null }),
  "policy.changed": () => ({ what: "changed who has to agree to releases", from: null, to: null }),
  protected: () => ({ what: "protected it", from: null, to: null }),
  unprotected: () => ({ what: "took its protection away", from: null, to: null }),
};

function unknown(type: string): Teller {
  return () => ({ what: type.replaceAll(".", " "), from: null, to: null });
}

/** What runs do that hold a version that was taken back. */
export function policyWord(policy: unknown): string {
  if (policy === "pause") return "pause";
  if (policy === "fail") return "fail";
  return `go on with v${String(policy).replace("repin:", "")}`;
}

/** What somebody wants to hold, as a request tells it. */
export function targetWord(target: unknown): string {
  const { mode, version, plan } = (target ?? {}) as { mode?: unknown; version?: unknown; plan?: { weights?: PromptBinding["weights"] } };
  if (mode === "code") return "the version of the code";
  if (plan?.weights === undefined) return `v${version}`;
  return sharesOf(plan.weights)
    .map((one) => `${one.percent} % v${one.version}`)
    .join(", ");
}

const METRICS: Readonly<Record<Guarding["metric"], string>> = {
  error_rate: "errors",
  cost: "the cost",
  latency: "the time",
  first_token: "the time to the first token",
};

export function metricWord(metric: Guarding["metric"]): string {
  return METRICS[metric];
}

/** What is said of a rollout besides its shares: for whom it is, how it grows, and what stops it. */
export function rolloutWords({ baseline, conditions, ramp, guards, begun_at }: PromptRollout, now: number): readonly string[] {
  const meets = Object.entries(conditions).flatMap(([name, value]) => (value == null ? [] : [`${name} ${conditionWord(value)}`]));
  const next = ramp.find((one) => begun_at + one.after_ms > now);
  return [
    ...(meets.length === 0 ? [] : [`for ${meets.join(" and ")} only`]),
    ...(next === undefined ? [] : [`${Math.round(next.share * 100)} % ${distance(begun_at + next.after_ms, now)}`]),
    ...guards.map(
      ({ metric, on_breach }) => `${metricWord(metric)} watched: ${on_breach === "pause" ? `v${baseline} takes all` : "it goes back"}`,
    ),
  ];
}

function conditionWord(value: unknown): string {
  return Array.isArray(value) ? value.join(" or ") : JSON.stringify(value);
}

/** How a binding was, as an event tells it. */
function stateWord(state: unknown): string | null {
  const { mode, number } = (state ?? {}) as { mode?: unknown; number?: unknown };
  if (typeof mode !== "string") return null;
  const version = typeof number === "number" ? `v${number}` : "nothing";
  if (mode === "code") return `${version}, by the code`;
  return mode === "rollout" ? `a rollout, most of it ${version}` : version;
}

/** What a rollback would undo: the last move that was not taken back, as the server finds it. */
export function undone(events: readonly PromptEventInfo[], at: Pick<PromptBinding, "env" | "label">): PromptEventInfo | null {
  let skipped = 0;
  for (const one of events.toReversed()) {
    if (one.env !== at.env || one.label !== at.label || MOVES[one.type] === undefined) continue;
    if (BACK.has(one.type)) skipped += 1;
    else if (skipped > 0) skipped -= 1;
    else return one.before === null ? null : one;
  }
  return null;
}

/** What a rollback would have hold again; null where there is nothing to go back to. */
export function wasBefore(events: readonly PromptEventInfo[], at: Pick<PromptBinding, "env" | "label">): string | null {
  return stateWord(undone(events, at)?.before);
}
