import type { AgentflowError, Waitpoint } from "@agentflow/client";
import { useCallback } from "react";
import { useAgentflow } from "./provider.tsx";
import { useAction } from "./use-action.ts";
import { useRequest } from "./use-request.ts";

/** A token that a run waits for. */
export interface UseWaitTokenResult<T> {
  /** Give the run what it waits for. */
  readonly complete: (value: T) => Promise<void>;
  readonly waitpoint: Waitpoint | null;
  /** It can be completed: it is there, and open. */
  readonly isReady: boolean;
  readonly isCompleted: boolean;
  readonly isSubmitting: boolean;
  readonly isLoading: boolean;
  readonly error: AgentflowError | null;
}

/**
 * Answer a token or callback from a page.
 *
 *     const { complete, isReady } = useWaitToken<Choice>(tokenId);
 */
export function useWaitToken<T = unknown>(token?: string | null): UseWaitTokenResult<T> {
  const client = useAgentflow();
  const load = useCallback(() => client.waitpoints.get(token as string), [client, token]);
  const { data, error, isLoading, reload } = useRequest(token ? load : null);
  const action = useAction(async (value: T) => {
    if (!token) throw new TypeError("There is no token to complete yet.");
    await client.waitpoints.complete(token, value);
    reload();
  });
  return {
    complete: action.run,
    waitpoint: data,
    isReady: data?.state === "pending",
    isCompleted: data?.state === "answered",
    isSubmitting: action.isPending,
    isLoading,
    error: action.error ?? error,
  };
}
