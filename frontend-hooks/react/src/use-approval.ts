import type { Answer, RunSnapshot, VoteInfo, Waitpoint } from "@agentflow/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { useRunStore, useSelected } from "./live.ts";
import { useAgentflow } from "./provider.tsx";
import { type ApprovalStatus, approvalStatus, progressOf, questionOf } from "./question.ts";
import { type UseDecisionOptions, type UseDecisionResult, useDecision } from "./use-decision.ts";
import { useRequest } from "./use-request.ts";

/** An approval or a form, and the buttons for it. */
export interface UseApprovalResult extends UseDecisionResult {
  readonly approval: Waitpoint | null;
  readonly status: ApprovalStatus | null;
  /** Approve; `input` changes what was proposed. When somebody was first, their answer stands and is shown. */
  readonly approve: (answer?: { readonly input?: Answer["edits"]; readonly reason?: string }) => Promise<ApprovalStatus>;
  readonly deny: (answer?: { readonly reason?: string }) => Promise<ApprovalStatus>;
  /** Fill in a form. */
  readonly answer: (value: unknown) => Promise<ApprovalStatus>;
  /** What people said to it, in order; also what did not count, and why. */
  readonly votes: readonly VoteInfo[];
  /** How many people are needed, and have approved. */
  readonly progress: { readonly need: number; readonly have: number };
  readonly isLoading: boolean;
  readonly isSubmitting: boolean;
  readonly resolvedBy: string | null;
  /** Milliseconds until it expires; null when it does not. */
  readonly expiresIn: number | null;
  readonly reload: () => void;
}

/**
 * One approval or form, anywhere: it needs no run on the page. An answer from elsewhere shows at once.
 *
 *     const { approval, status, state, approve, deny, votes } = useApproval(approvalId);
 */
export function useApproval(approvalId?: string | null, options: UseDecisionOptions = {}): UseApprovalResult {
  const client = useAgentflow();
  const load = useCallback(() => client.waitpoints.get(approvalId as string), [client, approvalId]);
  const { data, error, isLoading, reload } = useRequest(approvalId ? load : null);
  const status = data === null ? null : approvalStatus(data);
  const { votes, reload: recount } = useVotes(approvalId, status);
  useElsewhere(data, status, reload);
  const onSettled: UseDecisionOptions["onSettled"] = (...settled) => {
    reload();
    recount();
    options.onSettled?.(...settled);
  };
  const decision = useDecision(data, { ...options, onSettled });
  const { decide, state } = decision;
  const approve = useCallback<UseApprovalResult["approve"]>(
    ({ input, reason } = {}) => decide({ approved: true, ...(input && { edits: input }), ...(reason && { reason }) }),
    [decide],
  );
  const deny = useCallback<UseApprovalResult["deny"]>(
    ({ reason } = {}) => decide({ approved: false, ...(reason && { reason }) }),
    [decide],
  );
  const need = data === null ? 1 : questionOf(data).need;
  return {
    ...decision,
    approval: data,
    status,
    approve,
    deny,
    answer: useCallback<UseApprovalResult["answer"]>((value) => decide({ value }), [decide]),
    votes,
    progress: { need, have: progressOf(votes) },
    isLoading,
    isSubmitting: state === "sending",
    resolvedBy: data?.answered_by ?? null,
    expiresIn: useTimeUntil(status === "pending" ? (data?.due_at ?? null) : null),
    error: decision.error ?? error,
    reload,
  };
}

/**
 * What people said to a waitpoint so far; null asks nothing. Who may not read that sees none of it.
 *
 *     const { votes } = useVotes(approval.id);
 */
export function useVotes(
  id: string | null | undefined,
  /** Looks again whenever this changes. */
  at?: unknown,
): { readonly votes: readonly VoteInfo[]; readonly reload: () => void } {
  const client = useAgentflow();
  const load = useCallback(() => client.waitpoints.votes(id as string), [client, id]);
  const { data, reload } = useRequest(id ? load : null);
  const seen = useRef(at);
  useEffect(() => {
    if (seen.current === at) return;
    seen.current = at;
    reload();
  }, [at, reload]);
  return { votes: data?.votes ?? NONE, reload };
}

const NONE: readonly VoteInfo[] = [];

/** Looks again when the run's stream tells of the answer. */
function useElsewhere(approval: Waitpoint | null, status: ApprovalStatus | null, reload: () => void): void {
  const pending = status === "pending";
  const { shown } = useRunStore(pending ? approval?.run : null, { types: ["approval"] });
  const id = approval?.id;
  const select = useCallback(({ view }: RunSnapshot) => view.approvals.find((one) => one.id === id)?.decision ?? "", [id]);
  const decision = useSelected(shown, select);
  useEffect(() => {
    if (decision) reload();
  }, [decision, reload]);
}

/** Milliseconds until a moment, counted down each second in its last minute and every ten seconds before. */
function useTimeUntil(moment: number | null): number | null {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (moment === null || moment <= now) return;
    const timer = setTimeout(() => setNow(Date.now()), Math.min(moment - now, moment - now > 60_000 ? 10_000 : 1_000));
    return () => clearTimeout(timer);
  }, [moment, now]);
  return moment === null ? null : Math.max(0, moment - now);
}
