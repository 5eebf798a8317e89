import type { AgentflowError, Answer, RunSnapshot, Waitpoint } from "@agentflow/client";
import { useCallback, useEffect, useState } from "react";
import { useRunStore, useSelected } from "./live.ts";
import { useAgentflow } from "./provider.tsx";
import { useAction } from "./use-action.ts";
import { useRequest } from "./use-request.ts";

/** Where an approval is. */
export type ApprovalStatus = "pending" | "approved" | "denied" | "expired" | "cancelled";

/** An approval, and the buttons for it. */
export interface UseApprovalResult {
  readonly approval: Waitpoint | null;
  readonly status: ApprovalStatus | null;
  /** Approve; `input` changes what was proposed. When somebody was first, their answer stands and is shown. */
  readonly approve: (answer?: { readonly input?: Answer["edits"]; readonly reason?: string }) => Promise<ApprovalStatus>;
  readonly deny: (answer?: { readonly reason?: string }) => Promise<ApprovalStatus>;
  readonly isLoading: boolean;
  readonly isSubmitting: boolean;
  readonly resolvedBy: string | null;
  /** Milliseconds until it expires; null when it does not. */
  readonly expiresIn: number | null;
  readonly error: AgentflowError | null;
}

/**
 * One approval, anywhere: it needs no run on the page. An answer from elsewhere shows at once.
 *
 *     const { approval, status, approve, deny } = useApproval(approvalId);
 */
export function useApproval(approvalId?: string | null): UseApprovalResult {
  const client = useAgentflow();
  const load = useCallback(() => client.waitpoints.get(approvalId as string), [client, approvalId]);
  const { data, error, isLoading, reload } = useRequest(approvalId ? load : null);
  const status = data === null ? null : approvalStatus(data);
  useElsewhere(data, status, reload);
  const decide = useAction(async (answer: Answer): Promise<ApprovalStatus> => {
    if (!approvalId) throw new TypeError("There is no approval to answer yet.");
    const ended = await decided(client.waitpoints, approvalId, answer);
    reload();
    return approvalStatus(ended);
  });
  const { run } = decide;
  const approve = useCallback<UseApprovalResult["approve"]>(
    ({ input, reason } = {}) => run({ approved: true, ...(input && { edits: input }), ...(reason && { reason }) }),
    [run],
  );
  const deny = useCallback<UseApprovalResult["deny"]>(({ reason } = {}) => run({ approved: false, ...(reason && { reason }) }), [run]);
  return {
    approval: data,
    status,
    approve,
    deny,
    isLoading,
    isSubmitting: decide.isPending,
    resolvedBy: data?.answered_by ?? null,
    expiresIn: useTimeUntil(status === "pending" ? (data?.due_at ?? null) : null),
    error: decide.error ?? error,
  };
}

/** What became of an approval. */
export function approvalStatus(one: Waitpoint): ApprovalStatus {
  if (one.state === "pending") return "pending";
  if (one.state === "timed_out") return "expired";
  if (one.state !== "answered") return "cancelled";
  return (one.answer as { approved?: unknown } | null)?.approved === true ? "approved" : "denied";
}

/** Answers; when somebody was first, or it is too late, gives what stands. */
export async function decided(
  waitpoints: { decide(id: string, answer: Answer): Promise<Waitpoint>; get(id: string): Promise<Waitpoint> },
  id: string,
  answer: Answer,
): Promise<Waitpoint> {
  try {
    return await waitpoints.decide(id, answer);
  } catch (error) {
    const status = (error as AgentflowError).status;
    if (status !== 409 && status !== 410) throw error;
    return waitpoints.get(id);
  }
}

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
