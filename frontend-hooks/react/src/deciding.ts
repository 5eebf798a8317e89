/** A decision on its way: sent so that it counts once, and told what stands when it does not count. */

import type { AgentflowError, Answer, DecidedWaitpoint, Waitpoint, WaitpointsApi } from "@agentflow/client";
import { type ApprovalStatus, approvalStatus } from "./question.ts";
import { errorOf } from "./use-request.ts";

/** What a person says: yes or no to an approval, or the value that a form asks for. */
export type Said = Omit<Answer, "by"> | { readonly value: unknown };

/** Why a decision did not count: no failure, but how it is. `problems`: by the path of a field, what does not fit. */
export interface Refusal {
  readonly why: "answered" | "late" | "changed" | "not_allowed" | "does_not_fit";
  readonly problems: Readonly<Record<string, string>>;
  /** What the server said, in its words. */
  readonly error: AgentflowError;
}

/** What became of a decision: the waitpoint after it, and either how it counted or why it did not. */
export interface Outcome {
  readonly waitpoint: Waitpoint;
  readonly counted: Pick<DecidedWaitpoint, "outcome" | "need" | "have"> | null;
  readonly refusal: Refusal | null;
}

export interface DecideOptions {
  readonly by?: string | undefined;
  readonly seen?: string | undefined;
}

export type Decide = (id: string, said: Said, options?: DecideOptions) => Promise<Outcome>;

/** Decides; the same decision tried again after a failure has the key of the first try. Fails where there is no answer that tells. */
export function decider(waitpoints: WaitpointsApi): Decide {
  const keys = new Map<string, string>();
  return async (id, said, options = {}) => {
    const text = JSON.stringify([id, said, options]);
    const key = keys.get(text) ?? freshKey();
    keys.set(text, key);
    try {
      const done = await send(waitpoints, id, said, options, key);
      keys.delete(text);
      return { waitpoint: done, counted: done, refusal: null };
    } catch (failure) {
      const error = errorOf(failure);
      // Without an answer it may have counted: only then is the next try the same.
      if (error.status > 0 && error.status < 500) keys.delete(text);
      const refusal = refusalOf(error);
      if (refusal === null) throw error;
      return { waitpoint: await waitpoints.get(id), counted: null, refusal };
    }
  };
}

function send(waitpoints: WaitpointsApi, id: string, said: Said, { by, seen }: DecideOptions, idempotencyKey: string) {
  const how = { idempotencyKey, ...(seen !== undefined && { seen }) };
  const who = by === undefined ? {} : { by };
  return "value" in said ? waitpoints.complete(id, said.value, { ...how, ...who }) : waitpoints.decide(id, { ...said, ...who }, how);
}

/** What stands after a decision, also when somebody else was first. Fails when it did not count for another reason. */
export function standing({ waitpoint, refusal }: Outcome): ApprovalStatus {
  if (refusal !== null && refusal.why !== "answered" && refusal.why !== "late") throw refusal.error;
  return approvalStatus(waitpoint);
}

/** An error that tells how things are; null for one that tells that something does not work. */
function refusalOf(error: AgentflowError): Refusal | null {
  const why = WHYS[CODES.has(error.code) ? error.code : error.status];
  if (why === undefined) return null;
  const listed = Array.isArray(error.details.problems) ? (error.details.problems as readonly { at: string; problem: string }[]) : [];
  return { why, error, problems: Object.fromEntries(listed.map(({ at, problem }) => [at, problem])) };
}

/** Codes that say more than their status. */
const CODES = new Set(["idempotency_conflict", "not_eligible"]);
const WHYS: Readonly<Record<string, Refusal["why"]>> = {
  409: "answered",
  410: "late",
  412: "changed",
  422: "does_not_fit",
  not_eligible: "not_allowed",
};

/** `crypto.randomUUID` is not there for a page that came over plain HTTP from another machine. */
function freshKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
