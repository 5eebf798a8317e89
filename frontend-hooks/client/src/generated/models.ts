// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { RunState, WaitKind, WaitState } from "./records.ts";

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
  approved?: boolean;
  reason?: string;
  edits?: Readonly<Record<string, unknown>>;
  value?: unknown;
  by?: string;
}

/** Events, each with its `id`. `next` is the cursor to go on after, `ended` says that there will be no more. */
export interface EventPage {
  events: readonly Readonly<Record<string, unknown>>[];
  next: string | null;
  ended: boolean;
}

/** From where, and how many events at most. */
export interface EventQuery {
  after?: string;
  limit?: number;
}

/** `ok`; `degraded` without streams or without a live worker: runs are kept; `unavailable` without a database. */
export interface Health {
  status: "ok" | "degraded" | "unavailable";
  database: Part;
  streams: Part;
  workers: number;
}

/** What a run has recorded, in order. */
export interface Journal {
  entries: readonly JournalRecord[];
}

/** A recorded step or value of a run. */
export interface JournalRecord {
  seq: number;
  kind: string;
  step: string;
  value: unknown;
  attempt: number;
  tries: number;
  started_at: number;
  ended_at: number;
}

/** The version whose code is to take the run; null for whatever code its task has. `force`: also one that nobody has ever had. */
export interface MoveRun {
  to: string | null;
  force?: boolean;
}

/** A run that was moved; `warning` says that no live worker takes it now. */
export interface MovedRun extends RunDetail {
  warning: string | null;
}

/** Whether something works; `error` is the code of what it failed with. */
export interface Part {
  ok: boolean;
  error: string | null;
}

/** Who pauses a queue; else the header X-Agentflow-By. */
export interface PauseQueue {
  by?: string;
}

/** What went wrong, and what to do next. */
export interface Problem {
  code: string;
  message: string;
  hint: string;
  details: Readonly<Record<string, unknown>>;
}

/** How many runs a queue holds by state, since when the oldest of the queued waits, and how many live workers serve it. */
export interface QueueInfo {
  name: string;
  workers: number;
  queued: number;
  running: number;
  scheduled: number;
  waiting: number;
  paused: number;
  oldest_queued_at: number | null;
  concurrency: number | null;
  key_concurrency: number | null;
  rate: string | null;
  key_rate: string | null;
  paused_at: number | null;
  paused_by: string | null;
}

/** All queues that hold runs, that a worker serves, or that are limited or paused. */
export interface QueuePage {
  queues: readonly QueueInfo[];
}

/** When a run starts instead: `delay` from now, a duration, or `at`, milliseconds since 1970. `payload` takes the place of its own. */
export interface RescheduleRun {
  delay?: number | string;
  at?: number;
  payload?: Readonly<Record<string, unknown>>;
}

/** How a paused run goes on: with its record as it is, or again from the step that differs. */
export interface ResumeRun {
  rerun?: boolean;
}

/** A run. `note` says why it waits, where that is not plain. */
export interface Run {
  id: string;
  task: string;
  queue: string;
  status: RunState;
  attempt: number;
  recoveries: number;
  worker: string | null;
  parent: string | null;
  tags: readonly string[];
  metadata: Readonly<Record<string, unknown>>;
  idempotency_key: string | null;
  concurrency_key: string | null;
  priority: number;
  version: string | null;
  error: RunFailure | null;
  cancel_reason: string | null;
  note: string | null;
  active_ms: number;
  created_at: number;
  ready_at: number | null;
  expires_at: number | null;
  started_at: number | null;
  finished_at: number | null;
}

/** A run with its values, what it waits for, and the `cursor` that its stream goes on after. */
export interface RunDetail extends Run {
  input: unknown;
  output: unknown;
  waiting: readonly Waitpoint[];
  cursor: string | null;
}

/** Why a run failed. */
export interface RunFailure {
  code: string;
  type: string;
  message: string;
  hint: string;
  details: Readonly<Record<string, unknown>> | null;
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
}

/** Runs, newest first; `next` is the `cursor` of the next page. */
export interface RunPage {
  runs: readonly Run[];
  next: string | null;
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

/** A task that a worker has the code of, and the versions whose runs it takes beside those without one: its own first. */
export interface ServedTask {
  name: string;
  versions: readonly string[];
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
  live?: boolean;
}

/** A task that some worker has served; `workers` counts those that serve it now. `version` is the one that starts by name get. */
export interface TaskInfo {
  name: string;
  kind: string;
  queue: string;
  version: string | null;
  description: string;
  payload_schema: Readonly<Record<string, unknown>>;
  workers: number;
}

/** All known tasks. */
export interface TaskPage {
  tasks: readonly TaskInfo[];
}

/** Something that a run waits for. */
export interface Waitpoint {
  id: string;
  kind: WaitKind;
  state: WaitState;
  run: string | null;
  step: string | null;
  target: string | null;
  subject: unknown;
  schema: unknown;
  answer: unknown;
  answered_by: string | null;
  due_at: number | null;
  created_at: number;
  ended_at: number | null;
}

/** Waitpoints, newest first. */
export interface WaitpointPage {
  waitpoints: readonly Waitpoint[];
}

/** Which waitpoints; `state` is `pending` unless said otherwise, `any` for all. */
export interface WaitpointQuery {
  kind?: WaitKind;
  state?: WaitState | "any";
  run?: string;
  limit?: number;
}

/** A worker process; not `live` when its lease has ended. It holds `runs` of its `slots`, and asked for more at `claimed_at`. */
export interface WorkerInfo {
  id: string;
  host: string;
  pid: number;
  slots: number;
  runs: number;
  state: string;
  live: boolean;
  queues: readonly string[];
  tasks: readonly ServedTask[];
  started_at: number;
  claimed_at: number;
  expires_at: number;
}

/** All workers on the list. */
export interface WorkerPage {
  workers: readonly WorkerInfo[];
}
