import type { AgentflowError, ConnectionState, Run, RunSnapshot, RunStore, RunView } from "@agentflow/client";
import type { LiveStore } from "./live.ts";

/** A list of runs at one moment. */
export interface RunsSnapshot {
  readonly runs: readonly (Run | RunView)[];
  readonly loaded: boolean;
  readonly connection: ConnectionState;
  readonly failure: AgentflowError | null;
}

const WORST: readonly ConnectionState[] = ["error", "reconnecting", "connecting", "idle", "live", "ended"];

/** The stores of some runs as one. */
export function runsTogether(stores: readonly RunStore[]): LiveStore<RunsSnapshot> {
  let last: { readonly parts: readonly RunSnapshot[]; readonly whole: RunsSnapshot } | null = null;
  return {
    open() {
      const closes = stores.map((store) => store.open());
      return () => {
        for (const close of closes) close();
      };
    },
    subscribe(listener) {
      const stops = stores.map((store) => store.subscribe(listener));
      return () => {
        for (const stop of stops) stop();
      };
    },
    getSnapshot() {
      const parts = stores.map((store) => store.getSnapshot());
      if (last === null || parts.some((part, index) => part !== last?.parts[index])) last = { parts, whole: wholeOf(parts) };
      return last.whole;
    },
  };
}

function wholeOf(parts: readonly RunSnapshot[]): RunsSnapshot {
  const states = new Set(parts.map((part) => part.connection));
  return {
    runs: parts.map((part) => part.view),
    loaded: parts.every((part) => part.connection === "live" || part.connection === "ended"),
    connection: WORST.find((state) => states.has(state)) ?? "idle",
    failure: parts.find((part) => part.failure !== null)?.failure ?? null,
  };
}
