// How a question and what became of it are told. Pure.

import type { Waitpoint } from "@agentflow/client";
import { type ApprovalStatus, approvalStatus, type Question, type Refusal } from "@agentflow/react";

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
  if (one.state === "timed_out") return status === "approved" ? "Nobody answered in time, so it was approved" : VERBS.expired;
  if (status === "cancelled" && (by === null || by.startsWith("system:"))) return "No longer asked: its run went on";
  const verb = status === "approved" && editsOf(one) !== null ? "Approved with changes" : VERBS[status];
  return by === null ? verb : `${verb} by ${by}`;
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
