// How a question and what became of it are told. Pure.

import type { DecidedOne, DeliveryInfo, Waitpoint } from "@agentflow/client";
import { type ApprovalStatus, approvalStatus, type Question, questionOf, type Refusal } from "@agentflow/react";

/** What happens when nobody answers. */
export const SILENCES: Record<Question["silence"], string> = {
  deny: "then denied",
  approve: "then approved",
  fail: "then it ends without an answer",
  default: "then answered as it is filled in now",
};

const VERBS: Record<ApprovalStatus, string> = {
  pending: "Open",
  approved: "Approved",
  denied: "Denied",
  answered: "Answered",
  expired: "Nobody answered in time",
  cancelled: "Taken back",
};

/** What became of a question: "Denied by Ana". */
export function standing(one: Waitpoint): string {
  const status = approvalStatus(one);
  const by = one.answered_by;
  if (by?.startsWith("grant:")) return `Let through by a grant of ${giverOf(one)}`;
  if (one.state === "timed_out") return status === "approved" ? "Nobody answered in time, so it was approved" : VERBS.expired;
  if (status === "cancelled" && (by === null || by.startsWith("system:"))) return "No longer asked: its run went on";
  const verb = cutOffVerb(one, status) ?? (status === "approved" && editsOf(one) !== null ? "Approved with changes" : VERBS[status]);
  return by === null ? verb : `${verb} by ${by}`;
}

/** Who gave the grant that let a call through. */
function giverOf(one: Waitpoint): string {
  const giver = (one.answer as { granted_by?: unknown } | null)?.granted_by;
  return typeof giver === "string" ? giver : "somebody";
}

/** What was said of a call that was cut off. */
function cutOffVerb(one: Waitpoint, status: ApprovalStatus): string | null {
  if (questionOf(one).cutOff === null || (status !== "approved" && status !== "denied")) return null;
  if (status === "denied") return "Told to have failed";
  return (editsOf(one) as { outcome?: unknown } | null)?.outcome === "done" ? "Told to be done" : "Run again";
}

/** Whether a yes is asked for twice, and by itself. */
export function isGrave({ risk }: Pick<Question, "risk">): boolean {
  return risk === "high" || risk === "critical";
}

/** What a person wrote as a value: JSON, or the text that it is; nothing is null. */
export function valueFrom(text: string): unknown {
  if (text.trim() === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What became of decisions that were made together. */
export function togetherWords(results: readonly DecidedOne[]): string {
  const refused = results.filter((one) => one.outcome === "refused");
  const recorded = results.filter((one) => one.outcome === "recorded").length;
  const told = [`${results.length - refused.length} of ${results.length} count.`];
  if (recorded > 0) told.push(`For ${recorded} of them more people are needed.`);
  const whys = new Set(refused.flatMap((one) => (one.problem === null ? [] : [one.problem.message])));
  return [...told, ...whys].join(" ");
}

/** Whom a message was for. */
export function addressee({ channel, address, person }: DeliveryInfo): string {
  const where = address === "" ? channel : `${channel}:${address}`;
  return person === null || person === address ? where : `${person} (${where})`;
}

const EVENTS: Readonly<Record<string, string>> = {
  requested: "was asked",
  reminded: "was reminded",
  escalated: "was brought in",
  reassigned: "was told that others decide",
  resolved: "was told the end",
};

export function eventWord(event: string): string {
  return EVENTS[event] ?? event;
}

/** What became of a message. */
export function deliveryWords({ state, attempts }: DeliveryInfo): string {
  switch (state) {
    case "sent":
      return "delivered";
    case "dead":
      return `not delivered, given up after ${attempts === 1 ? "one try" : `${attempts} tries`}`;
    case "dropped":
      return "no longer needed";
    default:
      return attempts === 0 ? "on its way" : `not delivered yet, ${attempts === 1 ? "one try" : `${attempts} tries`}`;
  }
}

/** The reason that somebody gave. */
export function reasonOf(one: Waitpoint): string | null {
  const reason = (one.answer as { reason?: unknown } | null)?.reason;
  return typeof reason === "string" && reason !== "" ? reason : null;
}

/** What somebody changed. */
export function editsOf(one: Waitpoint): unknown {
  return (one.answer as { edits?: unknown } | null)?.edits ?? null;
}

/** Why a decision did not count, as a fact. */
export function refusalWords({ why, error }: Refusal, { users, groups }: Question): string {
  switch (why) {
    case "answered":
      return "Your answer came second, and does not count.";
    case "late":
      return "Your answer came too late, and does not count.";
    case "changed":
      return "It was changed while you looked at it, so nothing was decided. This is how it is now.";
    case "not_allowed": {
      if (error.details.reason === "self_approval") return "You asked for this, so somebody else has to decide.";
      const others = [...users, ...groups].join(", ");
      return `This is not yours to decide${others ? `: ask ${others}` : ""}.`;
    }
    case "does_not_fit":
      return error.message;
  }
}

const CHOICES: Readonly<Record<string, string>> = {
  approve: "approved",
  deny: "denied",
  answer: "answered",
  cancel: "took it back",
  supersede: "replaced it",
  reassign: "gave it to others",
};
const WHYS: Readonly<Record<string, string>> = {
  not_eligible: "not theirs to decide",
  self_approval: "they asked for it",
  subject_changed: "it had changed",
  waitpoint_answered: "somebody was first",
  waitpoint_timed_out: "too late",
};

export function choiceWord(choice: string): string {
  return CHOICES[choice] ?? choice;
}

export function whyWord(why: string | null): string {
  return why === null ? "" : (WHYS[why] ?? why.replaceAll("_", " "));
}

/** To whom a question was given: "gave it to ana, editors". */
export function toWords(said: unknown): string {
  const to = (said as { to?: { users?: unknown; groups?: unknown } } | null)?.to ?? {};
  const names = [to.users, to.groups].flatMap((one) => (Array.isArray(one) ? one.map(String) : []));
  return names.length === 0 ? choiceWord("reassign") : `gave it to ${names.join(", ")}`;
}
