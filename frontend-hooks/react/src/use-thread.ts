import type { AgentflowError, IndexSnapshot, ThreadInfo } from "@agentflow/client";
import { useCallback, useEffect, useMemo } from "react";
import { type AgentMessage, storedMessages } from "./agent-messages.ts";
import { type LiveStore, useLive } from "./live.ts";
import { useAgentflow } from "./provider.tsx";
import { useRequest } from "./use-request.ts";

/** A conversation. */
export interface UseThreadResult {
  readonly messages: readonly AgentMessage[];
  /** The run that works or waits in it now. */
  readonly activeRun: string | null;
  readonly isLoading: boolean;
  readonly error: AgentflowError | null;
  readonly reload: () => void;
}

/** All conversations. */
export interface UseThreadsResult {
  readonly threads: readonly ThreadInfo[];
  readonly isLoading: boolean;
  readonly error: AgentflowError | null;
  readonly reload: () => void;
}

const NO_THREADS: readonly ThreadInfo[] = [];

/** A conversation as it is stored; looked at anew when one of its runs begins or ends. */
export function useThread(threadId?: string | null): UseThreadResult {
  const client = useAgentflow();
  const load = useCallback(() => client.threads.whole(threadId as string), [client, threadId]);
  const { data, error, isLoading, reload } = useRequest(threadId ? load : null);
  useChanges(
    useMemo(() => (threadId ? client.index({ thread: threadId }) : null), [client, threadId]),
    reload,
  );
  const messages = useMemo(() => storedMessages(data?.messages ?? []), [data]);
  return {
    messages,
    activeRun: data?.active_run ?? null,
    isLoading: isLoading && data === null,
    error,
    reload,
  };
}

/** All conversations, the one that was used last first. */
export function useThreads(): UseThreadsResult {
  const client = useAgentflow();
  const load = useCallback(async () => (await client.threads.list()).threads, [client]);
  const { data, error, isLoading, reload } = useRequest(load);
  useChanges(
    useMemo(() => client.index(), [client]),
    reload,
  );
  return { threads: data ?? NO_THREADS, isLoading: isLoading && data === null, error, reload };
}

/** Calls back when a run of the list begins, or its state changes. */
export function useChanges(index: LiveStore<IndexSnapshot> | null, changed: () => void): void {
  const snapshot = useLive(index);
  const states = snapshot?.loaded ? snapshot.runs.map((run) => `${run.id} ${run.status}`).join() : null;
  useEffect(() => {
    if (states !== null) changed();
  }, [states, changed]);
}
