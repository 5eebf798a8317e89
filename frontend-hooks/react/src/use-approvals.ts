import type { AgentflowError, IndexSnapshot, RunSnapshot, Waitpoint } from "@agentflow/client";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { type Said, standing } from "./deciding.ts";
import { useByValue } from "./latest.ts";
import { type LiveStore, useLive } from "./live.ts";
import { useAgentflow } from "./provider.tsx";
import { type ApprovalStatus, byUrgency, isFor, questionOf } from "./question.ts";
import { useDecide } from "./use-decision.ts";
import { useRequest } from "./use-request.ts";

/** Whose approvals: of a run, of a thread, for a person and their groups; all unless given. */
export interface ApprovalsFilter {
  readonly run?: string;
  readonly thread?: string;
  readonly assignee?: string | readonly string[];
}

/** The approvals and forms that are open. */
export interface UseApprovalsResult {
  /** The most urgent first: by risk, then by deadline. */
  readonly pending: readonly Waitpoint[];
  readonly count: number;
  /** Answer one; gives what stands, also when somebody else was first. */
  readonly resolve: (id: string, said: Said & { readonly by?: string }) => Promise<ApprovalStatus>;
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
    const pages = await Promise.all(KINDS.map((kind) => client.waitpoints.list({ kind, limit: 500, ...query })));
    return pages.flatMap(({ waitpoints }, place) => waitpoints.filter((one) => one.kind === KINDS[place])).sort(byUrgency);
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
    () => (data ?? []).filter((one) => isMeant(one, wanted.assignee) && (ofThread === null || ofThread.has(one.run ?? ""))),
    [data, wanted, ofThread],
  );
  const decide = useDecide();
  const resolve = useCallback<UseApprovalsResult["resolve"]>(
    async (id, { by, ...said }) => {
      const one = data?.find((same) => same.id === id);
      const seen = one === undefined ? undefined : (questionOf(one).digest ?? undefined);
      const outcome = await decide(id, said, { by, seen });
      reload();
      return standing(outcome);
    },
    [data, decide, reload],
  );
  return { pending, count: pending.length, resolve, isLoading: isLoading && data === null, error, reload };
}

const KINDS = ["approval", "input"] as const;

function isMeant(one: Waitpoint, assignee: ApprovalsFilter["assignee"]): boolean {
  return assignee === undefined || isFor(questionOf(one), typeof assignee === "string" ? [assignee] : assignee);
}
