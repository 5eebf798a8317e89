/** What comes over a stream: the events of a run's log, and what the connection itself says. */

import type { KnownEvent, Run } from "./generated/index.ts";

/** An event of a kind that this version does not know. */
export interface UnknownEvent {
  readonly type: string;
  readonly ts?: number;
  readonly [field: string]: unknown;
}

/** An item of one of the run's own streams. Told again it has the same name, `item`; `origin` is the run that said it, if another one. */
interface StreamItemEvent {
  readonly type: "stream.item";
  readonly ts: number;
  readonly stream: string;
  readonly data?: unknown;
  readonly step?: string;
  readonly item?: string;
  readonly origin?: string;
}

/** Forget all: the run is now like this. */
export interface SyncSnapshot {
  readonly type: "sync.snapshot";
  readonly reset: true;
  readonly run: Run;
}

/** Caught up; what follows is live. */
export interface SyncLive {
  readonly type: "sync.live";
  readonly cursor?: string;
}

/** The position of events that a filter left out. */
export interface SyncCursor {
  readonly type: "sync.cursor";
  readonly cursor?: string;
}

/** The server asks to come again. */
export interface SyncReconnect {
  readonly type: "sync.reconnect";
  readonly reason: string;
  readonly after_ms: number;
}

/** What the connection says; it is in no log. */
export type SyncEvent = SyncSnapshot | SyncLive | SyncCursor | SyncReconnect;

/** An event of a run's log. Narrow it by `type`. */
export type RunEvent = KnownEvent | StreamItemEvent;

/** The names of the events that are known. */
export type RunEventType = RunEvent["type"];

/** The event of that name. */
export type EventOf<T extends string> = Extract<RunEvent, { type: T }> extends never ? UnknownEvent : Extract<RunEvent, { type: T }>;

/** The events that a name lets through: those of that name, and of the group of that name. */
export type EventsOf<T extends string> = [Extract<RunEvent, { type: T | `${T}.${string}` }>] extends [never]
  ? UnknownEvent
  : Extract<RunEvent, { type: T | `${T}.${string}` }>;

/** An event and its position, where it has one. */
export interface Entry {
  readonly id: string | null;
  readonly event: RunEvent | SyncEvent;
}
