import type { AgentflowError, Waitpoint } from "@agentflow/client";
import { useCallback, useMemo, useRef, useState } from "react";
import { type Decide, decider, type Outcome, type Refusal, type Said } from "./deciding.ts";
import { useLatest, useMounted } from "./latest.ts";
import { useAgentflow } from "./provider.tsx";
import { type ApprovalStatus, approvalStatus, questionOf } from "./question.ts";
import { errorOf } from "./use-request.ts";

/**
 * How a decision goes: `recorded` counts, and more people are needed; `resolved` ended it; `conflict`: something else stands, somebody's
 * answer or another question than was shown; `expired`: it came too late.
 */
export type DecisionState = "idle" | "sending" | "recorded" | "resolved" | "conflict" | "expired";

export interface UseDecisionOptions {
  /** Who decides, where an API key vouches for them; a browser token says so itself. */
  readonly by?: string | undefined;
  /** The waitpoint as it is after a decision, and why that did not count, if it did not. */
  readonly onSettled?: (one: Waitpoint, refusal: Refusal | null) => void;
}

/** A decision, under way or done. */
export interface UseDecisionResult {
  readonly state: DecisionState;
  /**
   * Decide about what is shown: its digest and an idempotency key go along. Gives what stands then, also when this did not count: see
   * `refusal`. Fails only when there was no answer, or none that is understood; the same decision again is then the same.
   */
  readonly decide: (said: Said) => Promise<ApprovalStatus>;
  readonly refusal: Refusal | null;
  readonly error: AgentflowError | null;
  readonly reset: () => void;
}

type Shown = Pick<UseDecisionResult, "state" | "refusal" | "error">;
const IDLE: Shown = { state: "idle", refusal: null, error: null };

/**
 * Decide about a waitpoint that is there already, as one of a list.
 *
 *     const { decide, state, refusal } = useDecision(approval, { by: "maria" });
 */
export function useDecision(one: Waitpoint | null, options: UseDecisionOptions = {}): UseDecisionResult {
  const send = useDecide();
  const latest = useLatest({ one, options });
  const [shown, setShown] = useState<Shown>(IDLE);
  const mounted = useMounted();
  const sending = useRef<Promise<ApprovalStatus> | null>(null);
  const decide = useCallback(
    (said: Said) => {
      const show = (next: Shown) => mounted.current && setShown(next);
      async function begin(): Promise<ApprovalStatus> {
        const { one, options } = latest.current;
        if (one === null) throw new TypeError("There is no approval to answer yet.");
        show({ ...IDLE, state: "sending" });
        try {
          const outcome = await send(one.id, said, { by: options.by, seen: questionOf(one).digest ?? undefined });
          show({ ...IDLE, state: stateOf(outcome), refusal: outcome.refusal });
          latest.current.options.onSettled?.(outcome.waitpoint, outcome.refusal);
          return approvalStatus(outcome.waitpoint);
        } catch (failure) {
          show({ ...IDLE, error: errorOf(failure) });
          throw errorOf(failure);
        }
      }
      // A second click is the same click.
      sending.current ??= begin().finally(() => {
        sending.current = null;
      });
      return sending.current;
    },
    [send, latest, mounted],
  );
  return { ...shown, decide, reset: useCallback(() => setShown(IDLE), []) };
}

/** Decides about any waitpoint. */
export function useDecide(): Decide {
  const { waitpoints } = useAgentflow();
  return useMemo(() => decider(waitpoints), [waitpoints]);
}

function stateOf({ counted, refusal }: Outcome): DecisionState {
  if (refusal !== null) return STATES[refusal.why];
  return counted?.outcome === "recorded" ? "recorded" : "resolved";
}

const STATES: Record<Refusal["why"], DecisionState> = {
  answered: "conflict",
  changed: "conflict",
  late: "expired",
  not_allowed: "idle",
  does_not_fit: "idle",
};
