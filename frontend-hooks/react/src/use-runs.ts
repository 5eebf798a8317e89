import type { AgentflowError, ConnectionState, IndexFilter, Run, RunView, Status } from "@agentflow/client";
import { useMemo } from "react";
import { useByValue } from "./latest.ts";
import { type LiveStore, useLive } from "./live.ts";
import { useAgentflow } from "./provider.tsx";
import { type RunsSnapshot, runsTogether } from "./together.ts";

/** A live list of runs; `counts` is by status. */
export interface UseRunsResult<R> {
  readonly runs: readonly R[];
  readonly counts: Readonly<Record<string, number>>;
  readonly isLoading: boolean;
  readonly connection: ConnectionState;
  readonly error: AgentflowError | null;
}

/** Whether to follow the list (yet). */
interface Enabled {
  readonly enabled?: boolean;
}

/**
 * A list of runs that stays up to date, newest first: by task, status, tag, thread or parent over one connection, or these very runs.
 *
 *     const { runs, counts } = useRuns({ tag: "vip" });
 *     const { runs } = useRuns({ ids: [a, b] });
 */
export function useRuns(filter: { readonly ids: readonly string[] } & Enabled): UseRunsResult<RunView>;
export function useRuns(filter?: IndexFilter & { readonly ids?: undefined } & Enabled): UseRunsResult<Run>;
export function useRuns(
  filter: (IndexFilter & { readonly ids?: readonly string[] | undefined } & Enabled) | ({ readonly ids: readonly string[] } & Enabled) = {},
): UseRunsResult<Run | RunView> {
  const client = useAgentflow();
  const { enabled = true, ...given } = filter;
  const wanted = useByValue(given) as IndexFilter & { readonly ids?: readonly string[] };
  const store = useMemo((): LiveStore<RunsSnapshot> => {
    const { ids, ...index } = wanted;
    return ids === undefined ? client.index(index) : runsTogether(ids.map((id) => client.watch(id, { types: ["run"] })));
  }, [client, wanted]);
  const snapshot = useLive(store, enabled) as RunsSnapshot;
  const { runs, loaded, connection, failure } = snapshot;
  const counts = useMemo(() => countsOf(runs), [runs]);
  return { runs, counts, isLoading: enabled && !loaded && failure === null, connection, error: failure };
}

function countsOf(runs: readonly { readonly status: Status }[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { status } of runs) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
