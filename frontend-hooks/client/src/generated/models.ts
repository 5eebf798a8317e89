// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { RunState, WaitKind, WaitState } from "./states.ts";
import type { DeliveryState } from "./waitpoints.ts";

/** What became of each, in the order in which they were sent. */
export interface DecidedMany {
  results: readonly DecidedOne[];
}

/** What became of one decision among many; `waitpoint` is null, and `problem` says why, where it does not count (`refused`). */
export interface DecidedOne {
  id: string;
  outcome: "resolved" | "recorded" | "refused";
  waitpoint: DecidedWaitpoint | null;
  problem: Problem | null;
}

/** A waitpoint after a decision: `resolved`, or `recorded` while it `have`s fewer people than it `need`s. `grant` is the id of the one that was given with it; `others` are the questions that ended with it: equal ones, and those of a run that it stopped. */
export interface DecidedWaitpoint extends Waitpoint {
  outcome: "resolved" | "recorded";
  need: number;
  have: number;
  grant: string | null;
  others: readonly string[];
}

/** A message about a waitpoint: what it tells (`event`), where, and what became of it. `reference` is what the channel calls it. */
export interface DeliveryInfo {
  id: string;
  channel: string;
  address: string;
  person: string | null;
  event: string;
  state: DeliveryState;
  attempts: number;
  error: string | null;
  reference: string | null;
  created_at: number;
  ended_at: number | null;
}

/** All messages about a waitpoint, in order. */
export interface DeliveryPage {
  deliveries: readonly DeliveryInfo[];
}

/** Events and their places, `{"id", "event"}`. `next` is the cursor to go on after, `ended` says that there will be no more. */
export interface EventPage {
  events: readonly Readonly<Record<string, unknown>>[];
  next: string | null;
  ended: boolean;
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

/** A recorded step or value of a run, and what it used where it asked a model. */
export interface JournalRecord {
  seq: number;
  kind: string;
  step: string;
  value: unknown;
  attempt: number;
  tries: number;
  started_at: number;
  ended_at: number;
  usage: UsageTotal | null;
}

/** A link that one person decides with. `path` is a secret that is told once; `url` is null where no public address is set. */
export interface Link {
  id: string;
  waitpoint: string;
  actor: string;
  choices: readonly string[];
  path: string;
  url: string | null;
  expires_at: number;
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
  started_by: string | null;
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

/** A run with its values, what it waits for and used, and the `cursor` that its stream goes on after. */
export interface RunDetail extends Run {
  input: unknown;
  output: unknown;
  waiting: readonly Waitpoint[];
  usage: RunUsage;
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

/** Runs, newest first; `next` is the `cursor` of the next page. */
export interface RunPage {
  runs: readonly Run[];
  next: string | null;
}

/** What a run used itself, and with all the runs below it. */
export interface RunUsage {
  own: UsageTotal;
  total: UsageTotal;
}

/** A task that a worker has the code of, and the versions whose runs it takes beside those without one: its own first. */
export interface ServedTask {
  name: string;
  versions: readonly string[];
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

/** What model calls used. `usd` is decimal text, null where no price is known; `unpriced` and `unmetered` count the calls that told no price, or no tokens. */
export interface UsageTotal {
  calls: number;
  input: number;
  output: number;
  cached: number;
  reasoning: number;
  usd: string | null;
  unpriced: number;
  unmetered: number;
}

/** What somebody said to a waitpoint; `why` it does not count. */
export interface VoteInfo {
  actor: string;
  choice: string;
  said: unknown;
  counted: boolean;
  why: string | null;
  at: number;
}

/** All votes of a waitpoint, in order. */
export interface VotePage {
  votes: readonly VoteInfo[];
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
  times: number;
  held: "same" | "full" | null;
}

/** Waitpoints, newest first; `next` is the `cursor` of the next page. A page may be short though more follows. */
export interface WaitpointPage {
  waitpoints: readonly Waitpoint[];
  next: string | null;
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
