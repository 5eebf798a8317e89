import type { AgentflowError, JsonObject, StartOptions } from "@agentflow/client";
import { useCallback, useState } from "react";
import { useLatest } from "./latest.ts";
import { useAgentflow } from "./provider.tsx";
import { useAction } from "./use-action.ts";
import { type UseRunOptions, type UseRunResult, useRun } from "./use-run.ts";

/** Starts runs of one task. */
export interface UseTriggerResult<I> {
  /** Start a run; options here count before the hook's. */
  readonly trigger: (input?: I, options?: StartOptions) => Promise<{ readonly runId: string }>;
  /** The run that was started last. */
  readonly runId: string | null;
  readonly isPending: boolean;
  readonly error: AgentflowError | null;
  readonly reset: () => void;
}

/**
 * Start runs of a task.
 *
 *     const { trigger, runId, isPending } = useTrigger("fulfil", { tags: ["web"] });
 *     <button onClick={() => trigger({ order_id: "o-81" })} disabled={isPending}>
 */
export function useTrigger<I extends JsonObject = JsonObject>(task: string, options: StartOptions = {}): UseTriggerResult<I> {
  const client = useAgentflow();
  const [runId, setRunId] = useState<string | null>(null);
  const latest = useLatest(options);
  const action = useAction(async (input?: I, own: StartOptions = {}) => {
    const run = await client.runs.start(task, input ?? {}, { ...latest.current, ...own });
    setRunId(run.id);
    return { runId: run.id };
  });
  const clear = action.reset;
  const reset = useCallback(() => {
    clear();
    setRunId(null);
  }, [clear]);
  return { trigger: action.run, runId, isPending: action.isPending, error: action.error, reset };
}

/** `useTrigger`, and the run that it started last. */
export function useTriggerRun<T = unknown, I extends JsonObject = JsonObject>(
  task: string,
  options: StartOptions & UseRunOptions = {},
): Omit<UseTriggerResult<I>, "error"> & UseRunResult<T> & { readonly triggerError: AgentflowError | null } {
  const { enabled, types, from, initial, throttle, onEnd, ...start } = options;
  const { error: triggerError, ...trigger } = useTrigger<I>(task, start);
  const follow = { enabled, types, from, initial, throttle, onEnd };
  const given = Object.fromEntries(Object.entries(follow).filter(([, value]) => value !== undefined)) as UseRunOptions;
  return { ...trigger, triggerError, ...useRun<T>(trigger.runId, given) };
}
