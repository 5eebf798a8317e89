import type { RunSnapshot } from "@agentflow/client";
import { useRunStore, useSelected } from "./live.ts";

/** What the run's code put into `context().metadata`; `rev` counts how often it changed. */
export interface UseRunStateResult<S> {
  readonly state: S | null;
  readonly rev: number;
}

/** The state of a run, and nothing else of it: renders only when that changes. */
export function useRunState<S = Readonly<Record<string, unknown>>>(runId?: string | null): UseRunStateResult<S> {
  const { shown } = useRunStore(runId);
  const found = useSelected(shown, stateOf, { same: (a, b) => a.state === b.state });
  return (found ?? NOTHING) as UseRunStateResult<S>;
}

const NOTHING: UseRunStateResult<never> = { state: null, rev: 0 };

function stateOf({ view }: RunSnapshot): UseRunStateResult<unknown> {
  return { state: view.metadata, rev: view.metadataRevision };
}
