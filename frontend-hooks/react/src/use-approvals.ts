import type { AgentflowError, Answer, IndexSnapshot, RunSnapshot, Waitpoint } from "@agentflow/client";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { useByValue } from "./latest.ts";
import { type LiveStore, useLive } from "./live.ts";
import { useAgentflow } from "./provider.tsx";
import { type ApprovalStatus, approvalStatus, decided } from "./use-approval.ts";
import { useRequest } from "./use-request.ts";

/** Whose approvals: of a run, of a thread, for a group or person; all unless given. */
export interface ApprovalsFilter {
  readonly run?: string;
  readonly thread?: string;
  readonly assignee?: string;
}

/** The approvals that are open. */
export interface UseApprovalsResult {
  readonly pending: readonly Waitpoint[];
  readonly count: number;
  /** Answer one; gives what stands, also when somebody else was first. */
  readonly resolve: (id: string, answer: Answer) => Promise<ApprovalStatus>;
  readonly isLoading: boolean;
  readonly error: AgentflowError | null;
  readonly reload: () => void;
}

/**
 * The approvals that wait for somebody: an inbox that stays up to date.
 *
 *     const { pending, resolve } = useApprovals({ assignee: "editors" });
 */
export function useApprovals(filter: ApprovalsFilter = {}): UseApprovalsResult {
  const client = useAgentflow();
  const wanted = useByValue(filter);
  const store = useMemo((): LiveStore<IndexSnapshot | RunSnapshot> => {
    if (wanted.run !== undefined) return client.watch(wanted.run, { types: ["approval", "run"] });
    return client.index({ status: "waiting", ...(wanted.thread !== undefined && { thread: wanted.thread }) });
  }, [client, wanted]);
  const snapshot = useLive(store);
  const load = useCallback(async () => {
    const query = wanted.run === undefined ? {} : { run: wanted.run };
    return (await client.waitpoints.list({ kind: "approval", limit: 500, ...query })).waitpoints;
  }, [client, wanted]);
  const { data, error, isLoading, reload } = useRequest(load);
  const changed = snapshot !== null && ("runs" in snapshot ? snapshot.runs : snapshot.view.approvals);
  const seen = useRef(changed);
  useEffect(() => {
    if (seen.current === changed) return;
    seen.current = changed;
    reload();
  }, [changed, reload]);
  const ofThread = useMemo(
    () => (wanted.thread === undefined || snapshot === null || !("runs" in snapshot) ? null : new Set(snapshot.runs.map((run) => run.id))),
    [wanted, snapshot],
  );
  const pending = useMemo(
    () => (data ?? []).filter((one) => isFor(one, wanted.assignee) && (ofThread === null || ofThread.has(one.run ?? ""))),
    [data, wanted, ofThread],
  );
  const resolve = useCallback(
    async (id: string, answer: Answer) => {
      const ended = await decided(client.waitpoints, id, answer);
      reload();
      return approvalStatus(ended);
    },
    [client, reload],
  );
  return { pending, count: pending.length, resolve, isLoading: isLoading && data === null, error, reload };
}

/** Whether somebody, or a group, is asked; an approval that names nobody is for everybody. */
function isFor(one: Waitpoint, assignee: string | undefined): boolean {
  if (assignee === undefined) return true;
  const { groups = [], assign } = (one.subject ?? {}) as { readonly groups?: readonly string[]; readonly assign?: string };
  return (groups.length === 0 && assign === undefined) || groups.includes(assignee) || assign === assignee;
}
