/** Where the events of one run come from: a stream of its own, or a part of a joint one. */

import type { ConnectionState, Next } from "./connection.ts";
import type { AgentflowError } from "./errors.ts";
import type { Entry, RunEvent, SyncEvent } from "./events.ts";
import type { Frame } from "./sse.ts";

/** From where a stream begins: the first event, the next one, or the run as it is now. */
export type From = "start" | "latest" | "snapshot";

/** Which events of a run. `types` are names or their beginnings: `text` lets `text.delta` through. */
export interface Wanted {
  readonly runId: string;
  readonly types: readonly string[] | null;
  readonly from: From;
}

/** Who takes the events of a run. */
export interface RunSink extends Wanted {
  /** The last event that was applied. */
  readonly cursor: string | null;
  entries(entries: readonly Entry[]): void;
  changed(state: ConnectionState, failure: AgentflowError | null): void;
}

/** A run's events under way. */
export interface Feed {
  stop(): void;
  retry(force?: boolean): void;
}

/** The event that a frame of a run's own stream holds. */
export function entryOf(frame: Frame): Entry {
  return { id: frame.id, event: JSON.parse(frame.data) as RunEvent | SyncEvent };
}

/** The event that a frame of a joint stream holds; `run` is null where it is about the connection. */
export function jointEntryOf(frame: Frame): Entry & { readonly run: string | null } {
  const told = JSON.parse(frame.data) as Partial<Entry> & { readonly run?: string };
  if (told.run === undefined || told.event === undefined) return { run: null, ...entryOf(frame) };
  return { run: told.run, id: told.id ?? null, event: told.event };
}

/** What the last of these events asks of the connection. */
export function nextOf(entries: readonly Entry[]): Next {
  for (const { event } of entries) {
    if (event.type === "end") return "end";
    if (event.type === "sync.reconnect") return { after: event.after_ms, newToken: event.reason === "token" };
  }
  return "more";
}
