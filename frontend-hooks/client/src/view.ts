/** A run as its events tell it so far. Every object here is immutable: what did not change is the same object in the next view. */

import type { Run, RunState } from "./generated/index.ts";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A state of a run; a newer server may know more than these. */
export type Status = RunState | (string & {});

/** A step. Times are milliseconds since 1970; `startedAt` is missing for a step that was told of only when it was done. */
export interface StepView {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly state: "running" | "retrying" | "completed" | "failed";
  readonly attempt: number;
  readonly parent: string | null;
  readonly output: unknown;
  readonly usage: JsonObject | null;
  readonly error: JsonObject | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly durationMs: number | null;
}

/** A part of text or of the model's thoughts. `order` places parts, calls, files and sources among each other. */
export interface PartView {
  readonly id: string;
  readonly kind: "text" | "reasoning";
  readonly text: string;
  readonly done: boolean;
  readonly step: string | null;
  readonly message: string | null;
  readonly order: number;
}

/** A tool call. `written` is the JSON text of its input as the model writes it, `input` the final one. */
export interface CallView {
  readonly id: string;
  readonly name: string;
  readonly state: "writing" | "running" | "completed" | "failed" | "denied";
  readonly written: string;
  readonly input: unknown;
  readonly output: unknown;
  readonly error: JsonObject | null;
  readonly executed: string;
  readonly step: string | null;
  readonly message: string | null;
  readonly order: number;
}

/** A question to a person; `decision` is empty while it is open. */
export interface ApprovalView {
  readonly id: string;
  readonly title: string;
  readonly kind: string;
  readonly call: string | null;
  readonly step: string | null;
  readonly input: unknown;
  readonly schema: JsonObject | null;
  readonly expiresAt: number | null;
  readonly canEdit: boolean;
  readonly decision: string;
  readonly by: string | null;
  readonly reason: string | null;
  /** The run that asks, where that is another one, for which this one waits. */
  readonly run: string | null;
}

/** A file or a source that a message refers to. */
export interface ReferenceView {
  readonly kind: "file" | "source";
  readonly url: string;
  readonly name: string | null;
  readonly mediaType: string | null;
  readonly step: string | null;
  readonly message: string | null;
  readonly order: number;
}

/** A turn of a conversation. */
export interface MessageView {
  readonly id: string;
  readonly role: string;
  readonly step: string | null;
}

/** A child run; what it says is in a stream of its own. */
export interface ChildView {
  readonly run: string;
  readonly name: string;
  readonly status: Status | null;
  readonly call: string | null;
  readonly step: string | null;
}

/** What the run waits for. */
export interface WaitView {
  readonly on: string;
  readonly ids: readonly string[];
  readonly until: number | null;
  readonly since: number;
}

/** A stretch of time that the run worked under one lease, or waited. `until` is missing while it goes on. */
export interface SpanView {
  readonly kind: "work" | "wait";
  readonly attempt: number;
  readonly reason: string | null;
  readonly from: number;
  readonly until: number | null;
}

/** Tokens and cost (US dollars) of all model requests so far. */
export interface UsageView {
  readonly requests: number;
  readonly input: number;
  readonly output: number;
  readonly cached: number;
  readonly reasoning: number;
  readonly cost: number;
}

/** An entry of the user's own data: the same name and id replaces. */
export interface DatumView {
  readonly name: string;
  readonly id: string;
  readonly data: unknown;
}

/** A run as its events tell it so far. */
export interface RunView {
  readonly id: string;
  /** The record that the last snapshot or look brought; events since then are in the other fields. */
  readonly run: Run | null;
  readonly status: Status;
  readonly attempt: number;
  readonly ended: boolean;
  readonly cursor: string | null;
  /** A retry or a new worker is under way and has said nothing yet. */
  readonly recovering: boolean;
  readonly steps: readonly StepView[];
  readonly parts: readonly PartView[];
  readonly calls: readonly CallView[];
  readonly approvals: readonly ApprovalView[];
  readonly messages: readonly MessageView[];
  readonly references: readonly ReferenceView[];
  readonly children: readonly ChildView[];
  readonly spans: readonly SpanView[];
  readonly data: readonly DatumView[];
  /** Items of the run's own streams, by name. */
  readonly streams: Readonly<Record<string, readonly unknown[]>>;
  /** `context().metadata` as it is now: progress, stage, state. */
  readonly metadata: JsonObject;
  /** How often the metadata was told anew. */
  readonly metadataRevision: number;
  readonly waiting: WaitView | null;
  readonly usage: UsageView;
  readonly output: unknown;
  readonly error: JsonObject | null;
}
