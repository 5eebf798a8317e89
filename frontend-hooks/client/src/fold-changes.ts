/** What each kind of event changes. */

import type { EventOf, RunEventType } from "./events.ts";
import type { RunFold } from "./fold.ts";
import type { CallView, PartView, SpanView, StepView } from "./view.ts";

type Changes = { readonly [T in RunEventType]?: (fold: RunFold, event: EventOf<T>) => void };
type PartStart = EventOf<"text.start"> | EventOf<"reasoning.start">;
type StepTold = EventOf<"step.started"> | EventOf<"step.completed">;

function step(fold: RunFold, id: string): StepView {
  return fold.steps.get(id) ?? { ...NEW_STEP, id };
}

const NEW_STEP: Omit<StepView, "id"> = {
  name: "",
  kind: "code",
  state: "running",
  attempt: 1,
  parent: null,
  output: null,
  usage: null,
  error: null,
  startedAt: null,
  endedAt: null,
  durationMs: null,
};

function call(fold: RunFold, id: string): CallView {
  return fold.calls.get(id) ?? newCall(fold, id);
}

function newCall(fold: RunFold, id: string): CallView {
  return {
    id,
    name: "",
    state: "writing",
    written: "",
    input: null,
    output: null,
    error: null,
    executed: "server",
    step: null,
    message: null,
    order: fold.calls.get(id)?.order ?? fold.place(),
  };
}

function startSpan(fold: RunFold, kind: SpanView["kind"], reason: string | null, from: number): void {
  endSpan(fold, from);
  fold.spans.set(String(fold.spans.values().length), { kind, attempt: fold.attempt, reason, from, until: null });
}

function endSpan(fold: RunFold, until: number): void {
  const last = String(fold.spans.values().length - 1);
  const open = fold.spans.get(last);
  if (open !== undefined && open.until === null) fold.spans.set(last, { ...open, until });
}

function stepTold(event: StepTold): StepView {
  return { ...NEW_STEP, id: event.step, name: event.name, kind: event.kind, attempt: event.attempt, parent: event.parent ?? null };
}

function partStarted(fold: RunFold, event: PartStart): void {
  fold.revive(event.part);
  fold.recovering = false;
  fold.parts.set(event.part, {
    id: event.part,
    kind: event.type === "text.start" ? "text" : "reasoning",
    text: "",
    done: false,
    step: event.step ?? null,
    message: event.message ?? null,
    order: fold.parts.get(event.part)?.order ?? fold.place(),
  });
}

function partGrew(fold: RunFold, kind: PartView["kind"], id: string, delta: string): void {
  if (fold.isVoid(id)) return;
  const known = fold.parts.get(id);
  if (known !== undefined) fold.parts.set(id, { ...known, text: known.text + delta });
  else fold.parts.set(id, { id, kind, text: delta, done: false, step: null, message: null, order: fold.place() });
}

function partEnded(fold: RunFold, id: string): void {
  const known = fold.parts.get(id);
  if (known !== undefined) fold.parts.set(id, { ...known, done: true });
}

function callEnded(fold: RunFold, id: string, change: Partial<CallView>): void {
  if (!fold.isVoid(id)) fold.calls.set(id, { ...call(fold, id), ...change });
}

function refer(fold: RunFold, event: EventOf<"file"> | EventOf<"source">): void {
  const key = JSON.stringify([event.type, event.url, event.step, event.message]);
  fold.references.set(key, {
    kind: event.type,
    url: event.url,
    name: (event.type === "file" ? event.name : event.title) ?? null,
    mediaType: event.type === "file" ? event.media_type : null,
    step: event.step ?? null,
    message: event.message ?? null,
    order: fold.references.get(key)?.order ?? fold.place(),
  });
}

/** By type. An event of a kind that is not here changes nothing but the cursor. */
export const CHANGES: Changes = {
  "run.started": (fold, event) => {
    fold.status = "running";
    fold.attempt = event.attempt;
    fold.waiting = null;
    startSpan(fold, "work", null, event.ts);
  },
  "run.attempt": (fold, event) => {
    fold.status = "running";
    fold.waiting = null;
    fold.attempt = event.attempt ?? fold.attempt;
    fold.recovering = event.reason === "worker_lost" || event.reason === "retry";
    // A lost worker may have begun more after the new one looked: whatever an earlier epoch left open is void, named or not.
    const open = fold.steps.values().filter((one) => one.state === "running" || one.state === "retrying");
    fold.voidSteps(new Set([...(event.supersedes ?? []), ...open.map((one) => one.id)]));
    startSpan(fold, "work", event.reason, event.ts);
  },
  "run.waiting": (fold, event) => {
    fold.status = "waiting";
    fold.recovering = false;
    fold.waiting = { on: event.on, ids: event.ids ?? [], until: event.until ?? null, since: event.ts };
    startSpan(fold, "wait", event.on, event.ts);
  },
  "run.progress": (fold, event) => {
    fold.metadata = event.data;
    fold.metadataRevision += 1;
  },
  "step.started": (fold, event) => {
    fold.recovering = false;
    // It says all that it has to say from here on: anew, or again.
    fold.voidItems(event.step);
    fold.steps.set(event.step, { ...stepTold(event), startedAt: event.ts });
  },
  "step.retrying": (fold, event) => {
    fold.recovering = true;
    fold.steps.set(event.step, { ...step(fold, event.step), state: "retrying", attempt: event.attempt, error: event.error ?? null });
    fold.voidContent(event.step, event.supersedes ?? []);
  },
  "step.completed": (fold, event) => {
    fold.recovering = false;
    const told = event.duration_ms === undefined ? null : event.ts - event.duration_ms;
    fold.steps.set(event.step, {
      ...stepTold(event),
      state: "completed",
      output: event.output ?? null,
      usage: event.usage ?? null,
      startedAt: fold.steps.get(event.step)?.startedAt ?? told,
      endedAt: event.ts,
      durationMs: event.duration_ms ?? null,
    });
  },
  "step.failed": (fold, event) => {
    const known = step(fold, event.step);
    const told = { name: event.name ?? known.name, kind: event.kind ?? known.kind };
    fold.steps.set(event.step, { ...known, ...told, state: "failed", error: event.error, endedAt: event.ts });
  },
  "message.started": (fold, event) => {
    fold.messages.set(event.message, { id: event.message, role: event.role, step: event.step ?? null });
  },
  "text.start": partStarted,
  "text.delta": (fold, event) => partGrew(fold, "text", event.part, event.delta),
  "text.end": (fold, event) => partEnded(fold, event.part),
  "reasoning.start": partStarted,
  "reasoning.delta": (fold, event) => partGrew(fold, "reasoning", event.part, event.delta),
  "reasoning.end": (fold, event) => partEnded(fold, event.part),
  "tool.input.start": (fold, event) => {
    fold.revive(event.call);
    fold.recovering = false;
    const place = { step: event.step ?? null, message: event.message ?? null };
    fold.calls.set(event.call, { ...newCall(fold, event.call), name: event.name, ...place });
  },
  "tool.input.delta": (fold, event) => {
    if (fold.isVoid(event.call)) return;
    const known = call(fold, event.call);
    fold.calls.set(event.call, { ...known, written: known.written + event.delta });
  },
  "tool.input": (fold, event) => {
    fold.revive(event.call);
    const known = call(fold, event.call);
    const place = { step: event.step ?? known.step, message: event.message ?? known.message };
    const told = { name: event.name, input: event.input ?? null, executed: event.executed };
    fold.calls.set(event.call, { ...known, ...told, ...place, state: "running" });
  },
  "tool.output": (fold, event) => {
    callEnded(fold, event.call, { output: event.output ?? null, state: event.preliminary ? "running" : "completed" });
  },
  "tool.error": (fold, event) => callEnded(fold, event.call, { error: event.error, state: "failed" }),
  "tool.denied": (fold, event) => callEnded(fold, event.call, { state: "denied" }),
  "approval.requested": (fold, event) => {
    fold.approvals.set(event.approval, {
      id: event.approval,
      title: event.title,
      kind: event.kind,
      call: event.call ?? null,
      step: event.step ?? null,
      input: event.input ?? null,
      schema: event.schema ?? null,
      expiresAt: event.expires_at ?? null,
      canEdit: event.can_edit ?? false,
      decision: "",
      by: null,
      reason: null,
      run: event.run ?? null,
    });
  },
  "approval.resolved": (fold, event) => {
    const known = fold.approvals.get(event.approval) ?? { ...UNASKED, id: event.approval, run: event.run ?? null };
    const answer = { decision: event.decision, by: event.by ?? null, reason: event.reason ?? null };
    fold.approvals.set(event.approval, { ...known, ...answer });
  },
  data: (fold, event) => {
    const id = event.id ?? "";
    fold.data.set(JSON.stringify([event.name, id]), { name: event.name, id, data: event.data ?? null });
  },
  file: refer,
  source: refer,
  "stream.item": (fold, event) => {
    const name = JSON.stringify([event.stream, event.item ?? fold.cursor ?? fold.place()]);
    const steps = [...(fold.items.get(name)?.steps ?? []), ...(event.step === undefined ? [] : [event.step])];
    fold.items.set(name, { stream: event.stream, data: event.data ?? null, steps });
  },
  "child.started": (fold, event) => {
    const place = { call: event.call ?? null, step: event.step ?? null };
    fold.children.set(event.run, { run: event.run, name: event.name, status: null, ...place });
  },
  "child.finished": (fold, event) => {
    const known = fold.children.get(event.run);
    const place = { call: event.call ?? known?.call ?? null, step: event.step ?? known?.step ?? null };
    fold.children.set(event.run, { run: event.run, name: known?.name ?? "", status: event.status, ...place });
  },
  usage: (fold, event) => {
    // What a recorded step said may be told again: a step's try counts once.
    const own = event.step === undefined ? String(fold.place()) : JSON.stringify([event.step, fold.steps.get(event.step)?.attempt]);
    const { type: _, ts: __, ...told } = event;
    fold.usages.set(own, told);
  },
  "run.completed": (fold, event) => {
    fold.status = "completed";
    fold.output = event.output ?? null;
  },
  "run.failed": (fold, event) => {
    fold.status = "failed";
    fold.error = event.error;
  },
  "run.cancelled": (fold) => {
    fold.status = "cancelled";
  },
  "run.expired": (fold) => {
    fold.status = "expired";
  },
  end: (fold, event) => {
    fold.status = event.status;
    fold.ended = true;
    fold.waiting = null;
    fold.recovering = false;
    endSpan(fold, event.ts);
  },
};

const UNASKED = {
  title: "",
  kind: "tool",
  call: null,
  step: null,
  input: null,
  schema: null,
  expiresAt: null,
  canEdit: false,
} as const;
