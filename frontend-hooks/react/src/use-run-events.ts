import type { EventsOf, RunEventType } from "@agentflow/client";
import { useEffect } from "react";
import { useByValue, useLatest } from "./latest.ts";
import { useRunStore } from "./live.ts";

/** Whether to hear of what was said before, too, and whether to listen at all. */
export interface UseRunEventsOptions {
  readonly replay?: boolean;
  readonly enabled?: boolean;
}

/**
 * Hear of events one by one, for side effects: it never renders. `types` are names of events, or of groups of them.
 *
 *     useRunEvents(runId, ["approval.requested"], (event) => notify(event.title));
 */
export function useRunEvents<T extends RunEventType | (string & {})>(
  runId: string | null | undefined,
  types: readonly T[],
  handler: (event: EventsOf<T>, id: string | null) => void,
  options: UseRunEventsOptions = {},
): void {
  const { store } = useRunStore(runId);
  const latest = useLatest(handler);
  const wanted = useByValue(types);
  const { replay = false, enabled = true } = options;
  useEffect(() => {
    if (store === null || !enabled) return;
    const stop = store.listen(wanted, (event, id) => latest.current(event, id), { replay });
    const close = store.open();
    return () => {
      stop();
      close();
    };
  }, [store, wanted, replay, enabled, latest]);
}
