import type { RunSnapshot } from "@agentflow/client";
import { useCallback } from "react";
import { useRunStore, useSelected } from "./live.ts";
import { useAgentflow } from "./provider.tsx";

/** What a run has put into one of its streams. */
export interface UseStreamResult<T> {
  readonly items: readonly T[];
  readonly last: T | undefined;
}

const NOTHING: readonly never[] = [];

/**
 * The items of one of a run's own streams: `await progress.append(...)` in the task.
 *
 *     const { last } = useStream<Progress>(runId, "progress");
 */
export function useStream<T = unknown>(runId: string | null | undefined, name: string): UseStreamResult<T> {
  const { shown } = useRunStore(runId);
  const select = useCallback(({ view }: RunSnapshot) => view.streams[name] ?? NOTHING, [name]);
  const items = (useSelected(shown, select) ?? NOTHING) as readonly T[];
  return { items, last: items.at(-1) };
}

/**
 * Sends into an input stream of a run. The same idempotency key counts once.
 *
 *     const send = useInput<string>(runId, "inbox");
 */
export function useInput<T = unknown>(
  runId: string | null | undefined,
  name: string,
): (data: T, options?: { readonly idempotencyKey?: string }) => Promise<void> {
  const client = useAgentflow();
  return useCallback(
    async (data, options = {}) => {
      if (!runId) throw new TypeError("There is no run to send to yet.");
      await client.runs.send(runId, name, data, options);
    },
    [client, runId, name],
  );
}
