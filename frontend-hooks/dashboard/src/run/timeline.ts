// A run as spans of time: what its steps, waits, approvals and children did, and when. Pure: events in, spans out.

export type SpanKind = "queue" | "llm" | "tool" | "code" | "sleep" | "child" | "approval" | "wait";
export type SpanState = "running" | "retrying" | "waiting" | "completed" | "failed" | "denied" | "cancelled" | "void";

/** One try of a step; `end` is missing while it goes on. */
export interface Try {
  start: number;
  end?: number;
  error?: string;
}

export interface Span {
  id: string;
  kind: SpanKind;
  name: string;
  state: SpanState;
  start: number;
  end?: number;
  tries: readonly Try[];
  parent?: string;
  /** Why it failed, who answered, what is waited for. */
  note?: string;
  /** The child run, if it is one. */
  run?: string;
}

/** A moment at which the run changed hands or began anew. */
export interface Turn {
  at: number;
  reason: string;
  attempt: number;
}

export interface Timeline {
  spans: readonly Span[];
  turns: readonly Turn[];
  /** When the last event was said. */
  last: number;
  ended: boolean;
}

export const EMPTY: Timeline = { spans: [], turns: [], last: 0, ended: false };

/** An event, as far as a timeline reads it. */
export interface Told {
  readonly type: string;
  readonly ts?: number;
  readonly [field: string]: unknown;
}

/** The types of events that a timeline needs: no deltas. */
export const TYPES = ["run", "step", "approval", "child", "end"] as const;

const OPEN: readonly SpanState[] = ["running", "retrying", "waiting"];
const SPAN_KINDS = new Set<string>(["llm", "tool", "code", "sleep", "child"]);

export function isOpen(span: Span): boolean {
  return OPEN.includes(span.state);
}

/** The timeline after one more event. Events must come in their order; one that is not known changes nothing. */
export function advance(line: Timeline, event: Told): Timeline {
  if (event.type === "sync.snapshot") return EMPTY;
  const at = event.ts ?? line.last;
  const change = CHANGES[event.type];
  return change === undefined ? line : { ...change(line, event, at), last: Math.max(line.last, at) };
}

export function advanceAll(line: Timeline, events: readonly Told[]): Timeline {
  return events.reduce(advance, line);
}

type Change = (line: Timeline, event: Told, at: number) => Timeline;

const CHANGES: Record<string, Change> = {
  "run.queued": (line, _, at) => put(line, fresh("queue", "queue", "queued", "waiting", at)),
  "run.started": (line, _, at) => endWaits(line, at),
  "run.attempt": (line, event, at) => {
    const spans = line.spans.map((span) => (isStep(span) && isOpen(span) ? close(span, "void", at) : span));
    const reason = text(event.reason);
    const turn = { at, reason, attempt: number(event.attempt) ?? line.turns.at(-1)?.attempt ?? 1 };
    // Going on after a wait is the ordinary course of things.
    const turns = reason === "resume" ? line.turns : [...line.turns, turn];
    return endWaits({ ...line, spans, turns }, at);
  },
  "run.waiting": (line, event, at) => {
    const on = text(event.on);
    // Approvals and children tell of themselves.
    if (on === "approval" || on === "child") return line;
    const until = number(event.until);
    return put(line, {
      ...fresh(`wait:${at}`, "wait", WAITS[on] ?? on, "waiting", at),
      ...(until === undefined ? {} : { note: `until:${until}` }),
    });
  },
  "step.started": (line, event, at) => {
    const id = text(event.step);
    const known = find(line, id);
    if (known?.state === "completed") return line;
    const base = known !== undefined && known.state !== "void" ? known : { ...fresh(id, "code", id, "running", at), tries: [] };
    return put(line, { ...base, ...described(event, base), state: "running", tries: [...ended(base.tries, at), { start: at }] });
  },
  "step.retrying": (line, event, at) => {
    const known = find(line, text(event.step));
    if (known === undefined) return line;
    const error = message(event.error);
    const next = at + (number(event.delay_ms) ?? 0);
    return put(line, { ...known, state: "retrying", note: error, tries: [...ended(known.tries, at, error), { start: next }] });
  },
  "step.completed": (line, event, at) => finishStep(line, event, at, "completed"),
  "step.failed": (line, event, at) => finishStep(line, event, at, "failed"),
  "approval.requested": (line, event, at) => {
    const span = fresh(text(event.approval), "approval", text(event.title) || "Approval", "waiting", at);
    return put(line, { ...span, ...(typeof event.step === "string" ? { parent: event.step } : {}) });
  },
  "approval.resolved": (line, event, at) => {
    const known = find(line, text(event.approval));
    if (known === undefined) return line;
    const decision = text(event.decision);
    const state = decision === "approved" ? "completed" : decision === "denied" ? "denied" : "cancelled";
    const by = text(event.by);
    return put(line, { ...close(known, state, at), note: by ? `${decision} by ${by}` : decision });
  },
  "child.started": (line, event, at) => {
    const run = text(event.run);
    return put(line, { ...fresh(run, "child", text(event.name), "running", at), run });
  },
  "child.finished": (line, event, at) => {
    const known = find(line, text(event.run));
    if (known === undefined) return line;
    const status = text(event.status);
    const state = CHILD_ENDS[status] ?? "cancelled";
    return put(line, close(known, state, at));
  },
  end: (line, event, at) => {
    const left: SpanState = event.status === "failed" ? "failed" : "cancelled";
    const spans = line.spans.map((span) =>
      isOpen(span) ? close(span, span.kind === "queue" || span.kind === "wait" ? "completed" : left, at) : span,
    );
    return { ...line, spans, ended: true };
  },
};

// A child's end is told by the wait for it, too.
const CHILD_ENDS: Record<string, SpanState> = { completed: "completed", answered: "completed", failed: "failed" };

const WAITS: Record<string, string> = {
  timer: "sleep",
  callback: "answer from outside",
  token: "token",
  event: "event",
  concurrency: "a free slot",
};

function finishStep(line: Timeline, event: Told, at: number, state: "completed" | "failed"): Timeline {
  const id = text(event.step);
  const known = find(line, id);
  // A recorded step may be told of again; when it ended does not change.
  if (known?.state === "completed") return line;
  const started = at - (number(event.duration_ms) ?? 0);
  const base = begun(known, id, started);
  const error = state === "failed" ? message(event.error) : undefined;
  const whole = { ...base, ...described(event, base) };
  return put(line, { ...close(whole, state, at, error), ...(error === undefined ? {} : { note: error }) });
}

/** The step as its last try began. One that failed, in an attempt before, and says only that it is done, has a try more. */
function begun(known: Span | undefined, id: string, started: number): Span {
  if (known === undefined || known.state === "void") return fresh(id, "code", id, "running", started);
  return isOpen(known) ? known : { ...known, tries: [...known.tries, { start: started }] };
}

function described(event: Told, base: Span): Pick<Span, "name" | "kind"> & { parent?: string } {
  const kind = text(event.kind);
  return {
    name: text(event.name) || base.name,
    kind: SPAN_KINDS.has(kind) ? (kind as SpanKind) : base.kind,
    ...(typeof event.parent === "string" ? { parent: event.parent } : {}),
  };
}

function fresh(id: string, kind: SpanKind, name: string, state: SpanState, at: number): Span {
  return { id, kind, name, state, start: at, tries: [{ start: at }] };
}

function close(span: Span, state: SpanState, at: number, error?: string): Span {
  return { ...span, state, end: at, tries: ended(span.tries, at, error) };
}

function ended(tries: readonly Try[], at: number, error?: string): readonly Try[] {
  return tries.map((one) => (one.end === undefined ? { start: Math.min(one.start, at), end: at, ...(error ? { error } : {}) } : one));
}

/** Whether it belongs to the worker that began it; children, approvals and waits outlive it. */
function isStep(span: Span): boolean {
  return span.run === undefined && span.kind !== "approval" && span.kind !== "wait" && span.kind !== "queue";
}

/** Whoever waited in the queue or for a moment goes on. */
function endWaits(line: Timeline, at: number): Timeline {
  const waits = (span: Span) => (span.kind === "queue" || span.kind === "wait") && isOpen(span);
  if (!line.spans.some(waits)) return line;
  return { ...line, spans: line.spans.map((span) => (waits(span) ? close(span, "completed", at) : span)) };
}

function find(line: Timeline, id: string): Span | undefined {
  return line.spans.findLast((span) => span.id === id);
}

function put(line: Timeline, span: Span): Timeline {
  const place = line.spans.findLastIndex((one) => one.id === span.id);
  const known = line.spans[place];
  if (known === undefined) return { ...line, spans: [...line.spans, span] };
  if (known.state !== "void" || span.state === "void") return { ...line, spans: line.spans.with(place, span) };
  // A step that was void and begins again is a bar of its own: what was lost stays to be seen.
  return { ...line, spans: [...line.spans.with(place, { ...known, id: `${known.id}@${known.start}` }), span] };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function message(error: unknown): string {
  if (typeof error !== "object" || error === null) return "";
  const told = error as { message?: unknown; code?: unknown };
  return text(told.message) || text(told.code);
}
