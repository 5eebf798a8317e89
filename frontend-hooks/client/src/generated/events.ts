// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { ApprovalEscalated, ApprovalReminded, ApprovalRequested, ApprovalResolved, Data, File, MessageStarted, ReasoningDelta, ReasoningEnd, ReasoningStart, Source, StreamItem, TextDelta, TextEnd, TextStart, ToolDenied, ToolError, ToolInput, ToolInputDelta, ToolInputStart, ToolOutput } from "./parts.ts";

/** The run waits for a worker. */
export interface RunQueued {
  type: "run.queued";
  ts: number;
  task: string;
  agent?: string;
  parent?: string;
  thread?: string;
}

/** A worker has the run; a higher epoch than before is a new lease. */
export interface RunStarted {
  type: "run.started";
  ts: number;
  task: string;
  attempt: number;
  epoch: number;
  agent?: string;
  parent?: string;
  thread?: string;
}

/** A new epoch goes on; what the steps in `supersedes` said before is void. Reasons: worker_lost, retry, resume, deploy. */
export interface RunAttempt {
  type: "run.attempt";
  ts: number;
  epoch: number;
  reason: string;
  attempt?: number;
  supersedes?: readonly string[];
}

/** The run waits on an approval, a timer, an event, a child or concurrency; `until` in milliseconds since 1970. */
export interface RunWaiting {
  type: "run.waiting";
  ts: number;
  on: string;
  ids?: readonly string[];
  until?: number;
}

/** The run's metadata as it is now; the last one wins. */
export interface RunProgress {
  type: "run.progress";
  ts: number;
  data: Readonly<Record<string, unknown>>;
}

/** A step began. Kinds: llm, tool, code, sleep, child. */
export interface StepStarted {
  type: "step.started";
  ts: number;
  step: string;
  name: string;
  kind: string;
  attempt: number;
  parent?: string;
}

/** The step failed and will run as `attempt`; the parts and calls in `supersedes` are void. */
export interface StepRetrying {
  type: "step.retrying";
  ts: number;
  step: string;
  attempt: number;
  error?: Readonly<Record<string, unknown>>;
  delay_ms?: number;
  supersedes?: readonly string[];
}

/** The step is recorded: nothing it said will be void. A short step says only this, so it repeats `step.started`. */
export interface StepCompleted {
  type: "step.completed";
  ts: number;
  step: string;
  name: string;
  kind: string;
  attempt: number;
  parent?: string;
  output?: unknown;
  usage?: Readonly<Record<string, unknown>>;
  duration_ms?: number;
}

/** The step has no tries left. */
export interface StepFailed {
  type: "step.failed";
  ts: number;
  step: string;
  error: Readonly<Record<string, unknown>>;
  name?: string;
  kind?: string;
  attempt?: number;
  parent?: string;
}

/** A child run began; what it says is in its own stream. */
export interface ChildStarted {
  type: "child.started";
  ts: number;
  run: string;
  name: string;
  call?: string;
  step?: string;
}

/** A child run ended as `status`. */
export interface ChildFinished {
  type: "child.finished";
  ts: number;
  run: string;
  status: string;
  call?: string;
  step?: string;
}

/** Tokens and cost (US dollars) of one model request; `prompt` is the version that it was made by, as `support@v3#9f2c1a`. */
export interface Usage {
  type: "usage";
  ts: number;
  step?: string;
  provider?: string;
  model?: string;
  input?: number;
  output?: number;
  cached?: number;
  reasoning?: number;
  cost?: number;
  prompt?: string;
}

/** The run has its result. */
export interface RunCompleted {
  type: "run.completed";
  ts: number;
  output?: unknown;
  usage?: Readonly<Record<string, unknown>>;
}

/** The run ended without a result. */
export interface RunFailed {
  type: "run.failed";
  ts: number;
  error: Readonly<Record<string, unknown>>;
}

/** Somebody stopped the run. */
export interface RunCancelled {
  type: "run.cancelled";
  ts: number;
  by?: string;
  reason?: string;
}

/** The run's time to live ended before it started. */
export interface RunExpired {
  type: "run.expired";
  ts: number;
  reason?: string;
}

/** The last event of a stream, always, once. `status` is the run's final state. */
export interface End {
  type: "end";
  ts: number;
  status: string;
}

/** Any event of a run's log that this version knows. */
export type KnownEvent =
  | RunQueued
  | RunStarted
  | RunAttempt
  | RunWaiting
  | RunProgress
  | StepStarted
  | StepRetrying
  | StepCompleted
  | StepFailed
  | MessageStarted
  | TextStart
  | TextDelta
  | TextEnd
  | ReasoningStart
  | ReasoningDelta
  | ReasoningEnd
  | ToolInputStart
  | ToolInputDelta
  | ToolInput
  | ToolOutput
  | ToolError
  | ToolDenied
  | ApprovalRequested
  | ApprovalReminded
  | ApprovalEscalated
  | ApprovalResolved
  | Data
  | StreamItem
  | Source
  | File
  | ChildStarted
  | ChildFinished
  | Usage
  | RunCompleted
  | RunFailed
  | RunCancelled
  | RunExpired
  | End;
