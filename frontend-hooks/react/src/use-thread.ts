import type { AgentflowError, IndexSnapshot, SayOptions, ThreadInfo } from "@agentflow/client";
import { useCallback, useEffect, useMemo } from "react";
import { type AgentMessage, storedMessages } from "./agent-messages.ts";
import { useLatest } from "./latest.ts";
import { type LiveStore, useLive } from "./live.ts";
import { useAgentflow } from "./provider.tsx";
import { useRequest } from "./use-request.ts";

/** A conversation. */
export interface UseThreadResult {
  readonly messages: readonly AgentMessage[];
  /** The run that works or waits in it now. */
  readonly activeRun: string | null;
  /** Say something: the next turn, or with `mode: "steer"` a word to the agent that is at work. */
  readonly send: (text: string, options?: SayOptions) => Promise<{ readonly runId: string }>;
  /** Have the last question answered anew, or `text` in its place. */
  readonly regenerate: (text?: string) => Promise<{ readonly runId: string }>;
  /** End the turn that is under way, and no other one: the run that is shown here as active. */
  readonly stop: (reason?: string) => Promise<void>;
  /** A new conversation that begins with this one, up to a message. Returns its id. */
  readonly fork: (options?: { readonly at?: number; readonly id?: string }) => Promise<string>;
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
  const acts = useThreadActs(threadId ?? null, data?.active_run ?? null, reload);
  return {
    messages,
    activeRun: data?.active_run ?? null,
    ...acts,
    isLoading: isLoading && data === null,
    error,
    reload,
  };
}

function useThreadActs(threadId: string | null, active: string | null, reload: () => void) {
  const client = useAgentflow();
  const latest = useLatest({ active, reload });
  return useMemo(() => {
    const act = async <T>(make: (id: string) => Promise<T>): Promise<T> => {
      if (threadId === null) throw new TypeError("There is no thread yet.");
      const made = await make(threadId);
      latest.current.reload();
      return made;
    };
    return {
      send: (text: string, options: SayOptions = {}) => act(async (id) => ({ runId: (await client.threads.say(id, text, options)).id })),
      regenerate: (text?: string) =>
        act(async (id) => ({ runId: (await client.threads.regenerate(id, text === undefined ? {} : { text })).id })),
      stop: (reason?: string) => {
        const run = latest.current.active;
        return act(async (id) => {
          await client.threads.stop(id, { ...(run !== null && { run }), ...(reason !== undefined && { reason }) });
        });
      },
      fork: (options: { readonly at?: number; readonly id?: string } = {}) =>
        act(async (id) => (await client.threads.fork(id, options)).id),
    };
  }, [client, threadId, latest]);
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
