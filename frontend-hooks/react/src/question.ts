/** What an approval or a form asks, and how it stands. Pure. */

import type { JsonObject, VoteInfo, Waitpoint } from "@agentflow/client";

/** Where an approval is; a form that was filled in is `answered`. */
export type ApprovalStatus = "pending" | "approved" | "denied" | "answered" | "expired" | "cancelled";
export type Risk = "low" | "medium" | "high" | "critical";

/** What a person is asked. */
export interface Question {
  readonly kind: "approval" | "input";
  readonly title: string;
  /** What is to be approved: the arguments of a call, or what the run shows. */
  readonly body: unknown;
  readonly agent: string | null;
  readonly tool: string | null;
  readonly risk: Risk | null;
  /** Who may decide, by name and by group; both empty: everybody. */
  readonly users: readonly string[];
  readonly groups: readonly string[];
  /** How many distinct people are needed. */
  readonly need: number;
  /** Who asked for it, and may not decide: first whoever started the run, then whose messages it has received. */
  readonly requesters: readonly string[];
  /** What becomes of it when nobody answers in time. */
  readonly silence: "deny" | "approve" | "fail" | "default";
  readonly canEdit: boolean;
  /** Whether a no may stop the run, too. */
  readonly canStop: boolean;
  /** Whether a yes may stand for other calls just like this one: a grant. */
  readonly canStand: boolean;
  /** Where a call was cut off, and people say how it ended: the arguments it was made with. */
  readonly cutOff: { readonly arguments: unknown } | null;
  /** What was wrong with the answer before, where it is asked again. */
  readonly problem: string | null;
  /** What the answer is when nobody gives one. */
  readonly preset: unknown;
  /** The digest of what is shown: sent along with the decision. */
  readonly digest: string | null;
}

const RISKS: readonly unknown[] = ["low", "medium", "high", "critical"];

/** What a waitpoint asks. */
export function questionOf(one: Waitpoint): Question {
  const subject = isRecord(one.subject) ? one.subject : {};
  const { text, texts } = readers(subject);
  const input = one.kind === "input";
  return {
    kind: input ? "input" : "approval",
    title: text("title") ?? (input ? "A question" : "Approve?"),
    body: subject.body ?? null,
    agent: text("agent"),
    tool: text("tool"),
    risk: RISKS.includes(subject.risk) ? (subject.risk as Risk) : null,
    users: texts("users").map(personOf),
    groups: texts("groups"),
    need: needOf(subject),
    requesters: requestersOf(texts("requesters"), text("requester")),
    silence: input ? ("default" in subject ? "default" : "fail") : silenceOf(subject),
    canEdit: !input && subject.can_edit === true && isRecord(subject.body) && (one.schema !== null || Object.keys(subject.body).length > 0),
    canStop: subject.kind === "tool",
    canStand: subject.kind === "tool" && one.run !== null && needOf(subject) === 1,
    cutOff: cutOffOf(subject),
    problem: text("problem"),
    preset: subject.default,
    digest: text("digest"),
  };
}

function needOf({ need }: JsonObject): number {
  return typeof need === "number" ? Math.max(1, need) : 1;
}

function cutOffOf({ kind, details }: JsonObject): Question["cutOff"] {
  return kind === "outcome" ? { arguments: isRecord(details) ? details.arguments : null } : null;
}

function requestersOf(all: readonly string[], first: string | null): readonly string[] {
  return all.length > 0 || first === null ? all : [first];
}

function silenceOf({ on_timeout }: JsonObject): Question["silence"] {
  return on_timeout === "approve" || on_timeout === "fail" ? on_timeout : "deny";
}

function readers(subject: JsonObject) {
  return {
    text: (name: string) => (typeof subject[name] === "string" && subject[name] !== "" ? (subject[name] as string) : null),
    texts: (name: string) => (Array.isArray(subject[name]) ? (subject[name] as unknown[]).map(String) : []),
  };
}

/** A name as it is compared: "user:maria" and "maria" are one person. */
function personOf(name: string): string {
  return name.replace(/^(user:)+/, "");
}

/** Whether somebody is asked, by a name or a group of theirs; what names nobody is for everybody but who asked for it. */
export function isFor({ users, groups, requesters }: Question, names: readonly string[]): boolean {
  const known = names.map(personOf);
  if (requesters.some((one) => known.includes(personOf(one)))) return false;
  return (users.length === 0 && groups.length === 0) || [...users, ...groups].some((one) => known.includes(one));
}

/** What became of an approval. */
export function approvalStatus(one: Waitpoint): ApprovalStatus {
  if (one.state === "pending") return "pending";
  if (one.state === "timed_out") return silenced(one) === "approve" ? "approved" : "expired";
  if (one.state !== "answered") return "cancelled";
  if (one.kind === "input") return "answered";
  return (one.answer as { approved?: unknown } | null)?.approved === true ? "approved" : "denied";
}

function silenced(one: Waitpoint): unknown {
  return (one.answer as { details?: { on_timeout?: unknown } } | null)?.details?.on_timeout;
}

/** The most urgent first: by risk, then by deadline, then who has waited longest. */
export function byUrgency(a: Waitpoint, b: Waitpoint): number {
  return riskOf(b) - riskOf(a) || (a.due_at ?? Number.MAX_VALUE) - (b.due_at ?? Number.MAX_VALUE) || a.created_at - b.created_at;
}

function riskOf(one: Waitpoint): number {
  // What names no risk is as most things are.
  const place = RISKS.indexOf(questionOf(one).risk);
  return place < 0 ? 1 : place;
}

/**
 * How many of those who are needed have approved: distinct people whose last word is yes, to the same arguments. Others decide from the
 * beginning.
 */
export function progressOf(votes: readonly VoteInfo[]): number {
  const last = new Map<string, string | null>();
  for (const { actor, choice, said, counted } of votes) {
    if (counted && choice === "approve") last.set(actor, JSON.stringify((said as Partial<Record<"edits", unknown>> | null)?.edits ?? {}));
    if (counted && choice === "deny") last.set(actor, null);
    if (counted && choice === "reassign") last.clear();
  }
  const yeses = [...last.values()].filter((one) => one !== null);
  return Math.max(0, ...yeses.map((one) => yeses.filter((other) => other === one).length));
}

export function isRecord(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
