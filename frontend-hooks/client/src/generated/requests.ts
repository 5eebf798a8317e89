// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { RunState, WaitKind, WaitState } from "./states.ts";

/** Why a run is to stop. */
export interface CancelRun {
  reason?: string;
}

/** A token that a run can wait for. `timeout` is a duration, and so is `idempotency_ttl`: for how long the key gives the same token. */
export interface CreateWaitpoint {
  timeout?: number | string;
  title?: string;
  idempotency_key?: string;
  idempotency_ttl?: number | string;
}

/** Starts of one key become one run, which starts after so much quiet, or after `max_delay` at most. Durations as in `RunOptions`. */
export interface DebounceOptions {
  key: string;
  delay: number | string;
  max_delay?: number | string;
  mode?: "trailing" | "leading";
}

/** An answer: `approved` (with `reason`, `edits`) for an approval, `value` for a token. */
export interface Decide {
  approved?: readonly boolean[];
  reason?: string;
  edits?: Readonly<Record<string, unknown>>;
  stop?: boolean;
  value?: unknown;
  by?: string;
  seen_digest?: string;
  always?: Stand;
}

/** Decisions about calls of one turn of one run. `mode`: `all` or none of them, or `each` by itself. `by` as in `Decide`. */
export interface DecideMany {
  decisions: readonly DecideOne[];
  mode?: "all" | "each";
  by?: string;
}

/** One decision among many, as in `Decide`. */
export interface DecideOne {
  id: string;
  approved: boolean;
  reason?: string;
  edits?: Readonly<Record<string, unknown>>;
  seen_digest?: string;
}

/** From where, and how many events at most. `ticket` stands for the header Authorization. */
export interface EventQuery {
  after?: string;
  limit?: number;
  ticket?: string;
}

/** Which runs to list; `thread` is short for the tag `thread:<id>`. */
export interface IndexQuery {
  task?: string;
  status?: RunState;
  tag?: string;
  thread?: string;
  parent?: string;
  limit?: number;
  live?: boolean;
}

/** For whom a link is, for how long (a duration; with the question at the latest), and what it offers; null for all there is. */
export interface MakeLink {
  actor?: string;
  expires?: number | string;
  choices?: readonly ("approve" | "deny" | "edit" | "answer")[];
  replace?: boolean;
  by?: string;
}

/** The version whose code is to take the run; null for whatever code its task has. `force`: also one that nobody has ever had. */
export interface MoveRun {
  to: string | null;
  force?: boolean;
}

/** Who pauses a queue; else the header X-Agentflow-By. */
export interface PauseQueue {
  by?: string;
}

/** Who is to decide instead; null leaves users or groups as they are. `by` as in `Decide`. */
export interface Reassign {
  users?: readonly string[];
  groups?: readonly string[];
  by?: string;
}

/** Who reminds. `by` as in `Decide`. */
export interface Remind {
  by?: string;
}

/** When a run starts instead: `delay` from now, a duration, or `at`, milliseconds since 1970. `payload` takes the place of its own. */
export interface RescheduleRun {
  delay?: number | string;
  at?: readonly number[];
  payload?: Readonly<Record<string, unknown>>;
}

/** How a paused run goes on: with its record as it is, or again from the step that differs. */
export interface ResumeRun {
  rerun?: boolean;
}

/** How a run starts. Durations are seconds, or texts like "30s", "5m", "2h" and "3d". */
export interface RunOptions {
  delay?: number | string;
  ttl?: number | string;
  idempotency_key?: string;
  idempotency_scope?: "run" | "global";
  tags?: readonly string[];
  metadata?: Readonly<Record<string, unknown>>;
  priority?: number;
  weight?: number;
  concurrency_key?: string;
  dedupe_key?: string;
  debounce?: DebounceOptions;
  thread?: string;
  started_by?: string;
}

/** Which runs. `cursor` is the `next` of the page before. */
export interface RunQuery {
  task?: string;
  status?: RunState;
  tag?: string;
  parent?: string;
  cursor?: number;
  limit?: number;
}

/** That a yes stands for other calls with just the same arguments: where, for how long (a duration), and for how many at most. */
export interface Stand {
  scope?: "run" | "thread" | "agent" | "all";
  expires?: number | string;
  max_uses?: number;
}

/** Which task to start: its payload has an entry per argument. */
export interface StartRun {
  task: string;
  payload?: Readonly<Record<string, unknown>>;
  options?: RunOptions;
}

/** From where: `after` is the id of the last event that was seen; the header Last-Event-ID counts before it. */
export interface StreamQuery {
  after?: string;
  from?: "start" | "latest" | "snapshot";
  types?: string;
  live?: boolean;
  ticket?: string;
}

/** Which runs to follow: each with the id of the last event of it that was seen, or null. `types` as in `StreamQuery`. */
export interface StreamRuns {
  runs: Readonly<Record<string, string | null>>;
  types?: readonly string[];
  live?: boolean;
}

/** Which waitpoints; `state` is `pending` unless said otherwise, `any` for all; `status` is another word for it. */
export interface WaitpointQuery {
  kind?: WaitKind;
  state?: WaitState | "any";
  status?: WaitState | "any";
  run?: string;
  thread?: string;
  assignee?: string;
  risk?: string;
  tool?: string;
  cursor?: string;
  limit?: number;
}

/** Why a question is taken back, and whether another one took its place. `by` as in `Decide`. */
export interface Withdraw {
  reason?: string;
  superseded?: boolean;
  by?: string;
}
