import type { RunSnapshot, RunStore } from "@agentflow/client";
import { useCallback, useEffect, useMemo, useSyncExternalStore } from "react";
import { paced } from "./paced.ts";
import { useAgentflow } from "./provider.tsx";

/** What the stores of the client have in common. */
export interface LiveStore<S> {
  getSnapshot(): S;
  subscribe(listener: () => void): () => void;
  open(): () => void;
}

const deaf = () => () => {};

/** The store's snapshot while `enabled` holds it open; null without a store. */
export function useLive<S>(store: LiveStore<S> | null, enabled = true): S | null {
  useOpen(store, enabled);
  const read = useCallback(() => store?.getSnapshot() ?? null, [store]);
  return useSyncExternalStore(store?.subscribe ?? deaf, read, read);
}

/** A part of the snapshot: renders only when `select` gives something else. */
export function useSelected<S, P>(
  store: LiveStore<S> | null,
  select: (snapshot: S) => P,
  { enabled = true, same = Object.is }: { readonly enabled?: boolean; readonly same?: (a: P, b: P) => boolean } = {},
): P | null {
  useOpen(store, enabled);
  const read = useMemo(() => (store === null ? () => null : selected(store, select, same)), [store, select, same]);
  return useSyncExternalStore(store?.subscribe ?? deaf, read, read);
}

/** The store of a run, and the same one told of at most every `throttle` milliseconds. */
export function useRunStore(
  runId: string | null | undefined,
  options: { readonly types?: readonly string[]; readonly from?: "start" | "latest" | "snapshot"; readonly throttle?: number } = {},
): { readonly store: RunStore | null; readonly shown: LiveStore<RunSnapshot> | null } {
  const client = useAgentflow();
  const { types, from, throttle } = options;
  const key = types?.join(",");
  return useMemo(() => {
    const chosen = { ...(key !== undefined && { types: key.split(",") }), ...(from !== undefined && { from }) };
    const store = runId ? client.watch(runId, chosen) : null;
    return { store, shown: store !== null && throttle ? paced(store, throttle) : store };
  }, [client, runId, key, from, throttle]);
}

function useOpen(store: LiveStore<unknown> | null, enabled: boolean): void {
  useEffect(() => (enabled ? store?.open() : undefined), [store, enabled]);
}

function selected<S, P>(store: LiveStore<S>, select: (snapshot: S) => P, same: (a: P, b: P) => boolean): () => P {
  let last: { readonly snapshot: S; readonly part: P } | null = null;
  return () => {
    const snapshot = store.getSnapshot();
    if (last?.snapshot === snapshot) return last.part;
    const part = select(snapshot);
    last = { snapshot, part: last !== null && same(last.part, part) ? last.part : part };
    return last.part;
  };
}
