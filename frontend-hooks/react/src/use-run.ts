import {
  type AgentflowError,
  type ConnectionState,
  type From,
  type JsonObject,
  type RunDetail,
  type RunView,
  type Status,
  type StepView,
  type UsageView,
  viewOf,
  type WaitView,
} from "@agentflow/client";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { useByValue, useLatest } from "./latest.ts";
import { useLive, useRunStore } from "./live.ts";
import { useAgentflow } from "./provider.tsx";

/** How to follow a run. `types` and `onEnd` may be new at each render. */
export interface UseRunOptions {
  /** False: do not connect (yet). */
  readonly enabled?: boolean;
  /** Only events of these types, or groups of types, like `run` and `step`. */
  readonly types?: readonly string[];
  /** Where to begin: the first event (`start`), the next one, or the run as it is now. */
  readonly from?: From;
  /** What a server that rendered the page knows already. */
  readonly initial?: RunDetail;
  /** At most one render in so many milliseconds. */
  readonly throttle?: number;
  /** The run has ended: its stream has said so. A lost connection never calls this. */
  readonly onEnd?: (run: RunView) => void;
}

/** A run as it is now. */
export interface UseRunResult<T> {
  /** All there is to know; null without a run id. */
  readonly run: RunView | null;
  readonly status: Status | null;
  readonly attempt: number;
  readonly output: T | undefined;
  /** Why the run failed. */
  readonly error: JsonObject | null;
  readonly progress: JsonObject;
  readonly steps: readonly StepView[];
  readonly usage: UsageView | null;
  readonly waiting: WaitView | null;
  readonly isActive: boolean;
  readonly isWaiting: boolean;
  readonly isCompleted: boolean;
  readonly isFailed: boolean;
  readonly isEnded: boolean;
  /** A retry or a new worker is under way. */
  readonly isRecovering: boolean;
  readonly connection: ConnectionState;
  /** Why the connection is lost or refused. */
  readonly connectionError: AgentflowError | null;
  /** Ask the run and its children to stop. */
  readonly cancel: (reason?: string) => Promise<void>;
  /** Connect now. */
  readonly retry: () => void;
  /** Stop following; the run goes on. */
  readonly detach: () => void;
}

const NO_STEPS: readonly StepView[] = [];
const NO_METADATA: JsonObject = {};
const ENDED = new Set(["completed", "failed", "cancelled", "expired", "deleted"]);

/**
 * Follow a run.
 *
 *     const { status, output, isWaiting, cancel } = useRun<Shipment>(runId);
 */
export function useRun<T = unknown>(runId?: string | null, options: UseRunOptions = {}): UseRunResult<T> {
  const client = useAgentflow();
  const { store, shown } = useRunStore(runId, options);
  const { initial, enabled = true } = options;
  const snapshot = useLive(shown, enabled);
  const view = useKnown(snapshot?.view ?? null, initial);
  useOnEnd(view, options.onEnd);
  const cancel = useCallback(
    async (reason?: string) => {
      if (runId) await client.runs.cancel(runId, reason);
    },
    [client, runId],
  );
  const retry = useCallback(() => store?.retry(), [store]);
  const detach = useCallback(() => store?.detach(), [store]);
  const connection = snapshot?.connection ?? "idle";
  return { ...told<T>(view), connection, connectionError: snapshot?.failure ?? null, cancel, retry, detach };
}

/** What the stream says; before it says anything, what a server knew. */
function useKnown(view: RunView | null, initial: RunDetail | undefined): RunView | null {
  const known = useByValue(initial);
  const rendered = useMemo(() => (known === undefined ? null : viewOf(known)), [known]);
  const silent = view !== null && view.cursor === null && view.run === null;
  return silent && rendered?.id === view.id ? rendered : view;
}

function told<T>(run: RunView | null): Omit<UseRunResult<T>, "connection" | "connectionError" | "cancel" | "retry" | "detach"> {
  const status = run?.status ?? null;
  const isEnded = status !== null && ENDED.has(status);
  return {
    run,
    status,
    attempt: run?.attempt ?? 1,
    output: status === "completed" ? (run?.output as T) : undefined,
    error: run?.error ?? null,
    progress: run?.metadata ?? NO_METADATA,
    steps: run?.steps ?? NO_STEPS,
    usage: run?.usage ?? null,
    waiting: run?.waiting ?? null,
    isActive: status !== null && !isEnded,
    isWaiting: status === "waiting",
    isCompleted: status === "completed",
    isFailed: status === "failed",
    isEnded,
    isRecovering: run?.recovering ?? false,
  };
}

/** Calls back once per run, when its stream has said that it ended. */
export function useOnEnd(view: RunView | null, onEnd: ((run: RunView) => void) | undefined): void {
  const latest = useLatest(onEnd);
  const told = useRef<string | null>(null);
  useEffect(() => {
    if (view === null || !view.ended || told.current === view.id) return;
    told.current = view.id;
    latest.current?.(view);
  }, [view, latest]);
}
