// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

/** A message begins: one turn of the assistant, or the user's. */
export interface MessageStarted {
  type: "message.started";
  ts: number;
  message: string;
  role: string;
  step?: string;
}

/** A part of text begins. */
export interface TextStart {
  type: "text.start";
  ts: number;
  part: string;
  message?: string;
  step?: string;
}

/** More text of a part. */
export interface TextDelta {
  type: "text.delta";
  part: string;
  delta: string;
}

/** The part of text is complete. */
export interface TextEnd {
  type: "text.end";
  ts: number;
  part: string;
}

/** A part of the model's thoughts begins. */
export interface ReasoningStart {
  type: "reasoning.start";
  ts: number;
  part: string;
  message?: string;
  step?: string;
  redacted?: boolean;
}

/** More thoughts of a part. */
export interface ReasoningDelta {
  type: "reasoning.delta";
  part: string;
  delta: string;
}

/** The part of thoughts is complete; the provider's signature lets it be sent back. */
export interface ReasoningEnd {
  type: "reasoning.end";
  ts: number;
  part: string;
  signature?: string;
}

/** The model begins to write the input of a tool call. */
export interface ToolInputStart {
  type: "tool.input.start";
  ts: number;
  call: string;
  name: string;
  message?: string;
  step?: string;
}

/** More of the input's JSON text. */
export interface ToolInputDelta {
  type: "tool.input.delta";
  call: string;
  delta: string;
}

/** The final, validated input of a call. `executed` is server or client. */
export interface ToolInput {
  type: "tool.input";
  ts: number;
  call: string;
  name: string;
  input?: unknown;
  executed: string;
  message?: string;
  step?: string;
}

/** What the call returned; a preliminary output is replaced by the next one. */
export interface ToolOutput {
  type: "tool.output";
  ts: number;
  call: string;
  output?: unknown;
  preliminary?: boolean;
}

/** The call failed. */
export interface ToolError {
  type: "tool.error";
  ts: number;
  call: string;
  error: Readonly<Record<string, unknown>>;
}

/** Somebody refused the call. */
export interface ToolDenied {
  type: "tool.denied";
  ts: number;
  call: string;
  reason?: string;
}

/** A person is asked. Kinds: tool, input, confirm. `expires_at` in milliseconds since 1970. */
export interface ApprovalRequested {
  type: "approval.requested";
  ts: number;
  approval: string;
  title: string;
  kind: string;
  call?: string;
  step?: string;
  input?: unknown;
  schema?: Readonly<Record<string, unknown>>;
  expires_at?: number;
  can_edit?: boolean;
  run?: string;
}

/** Whoever was told of the question is told again, by the time that was set for it or because somebody asked (`by`). */
export interface ApprovalReminded {
  type: "approval.reminded";
  ts: number;
  approval: string;
  by?: string;
}

/** Nobody has decided in time: `to` may decide from now on, too, as `group:ops` or `user:maria`. */
export interface ApprovalEscalated {
  type: "approval.escalated";
  ts: number;
  approval: string;
  to: string;
}

/** The answer, from whatever channel: approved, denied, expired or cancelled. */
export interface ApprovalResolved {
  type: "approval.resolved";
  ts: number;
  approval: string;
  decision: string;
  by?: string;
  reason?: string;
  input?: unknown;
  run?: string;
}

/** The user's own event. The same name and id replaces; a transient one need not be kept. */
export interface Data {
  type: "data";
  ts: number;
  name: string;
  data?: unknown;
  id?: string;
  transient?: boolean;
  step?: string;
}

/** An item of a stream of the user's own, with a JSON value. */
export interface StreamItem {
  type: "stream.item";
  ts: number;
  stream: string;
  data?: unknown;
  step?: string;
  item?: string;
  origin?: string;
}

/** Something the answer rests on. */
export interface Source {
  type: "source";
  ts: number;
  url: string;
  title?: string;
  message?: string;
  step?: string;
}

/** A file by reference: a stream never carries binary. */
export interface File {
  type: "file";
  ts: number;
  url: string;
  media_type: string;
  name?: string;
  message?: string;
  step?: string;
}
