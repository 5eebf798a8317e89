/** What a stream says so far: the same rules as agentflow/streams/fold.py, held together by a shared fixture. */

import { compareCursors } from "./cursor.ts";
import type { Entry, RunEvent, SyncEvent } from "./events.ts";
import { CHANGES } from "./fold-changes.ts";
import type { Run, RunDetail } from "./generated/index.ts";
import { Keyed } from "./keyed.ts";
import type {
  ApprovalView,
  CallView,
  ChildView,
  DatumView,
  JsonObject,
  MessageView,
  PartView,
  ReferenceView,
  RunView,
  SpanView,
  Status,
  StepView,
  WaitView,
} from "./view.ts";

/** An item of one of the run's own streams, and the steps that said it. */
interface StreamEntry {
  readonly stream: string;
  readonly data: unknown;
  readonly steps: readonly string[];
}

const NOTHING: JsonObject = Object.freeze({});

/**
 * A run as its events tell it. Applying an event twice changes nothing; what a retry voids is gone.
 *
 *     const fold = new RunFold(runId);
 *     for (const entry of entries) fold.apply(entry);
 *     fold.view().parts;
 */
export class RunFold {
  readonly id: string;
  run: Run | null = null;
  status: Status = "queued";
  attempt = 1;
  ended = false;
  cursor: string | null = null;
  metadata: JsonObject = NOTHING;
  waiting: WaitView | null = null;
  output: unknown = null;
  error: JsonObject | null = null;
  recovering = false;
  metadataRevision = 0;
  readonly steps = new Keyed<StepView>();
  readonly parts = new Keyed<PartView>();
  readonly calls = new Keyed<CallView>();
  readonly approvals = new Keyed<ApprovalView>();
  readonly messages = new Keyed<MessageView>();
  readonly references = new Keyed<ReferenceView>();
  readonly children = new Keyed<ChildView>();
  readonly spans = new Keyed<SpanView>();
  readonly data = new Keyed<DatumView>();
  readonly items = new Keyed<StreamEntry>();
  readonly usages = new Keyed<JsonObject>();
  readonly #void = new Set<string>();
  #count = 0;
  #view: RunView | null = null;
  #streamsOf: readonly StreamEntry[] | null = null;
  #streams: RunView["streams"] = {};

  constructor(id: string) {
    this.id = id;
  }

  /** Take an event in. False when it was known already. */
  apply(entry: Entry): boolean {
    const { event } = entry;
    const id = entry.id ?? positionOf(event);
    if (id !== null && event.type !== "sync.snapshot") {
      if (this.cursor !== null && compareCursors(id, this.cursor) <= 0) return false;
      this.cursor = id;
    }
    this.#view = null;
    if (event.type === "sync.snapshot") this.#reset(event.run, entry.id);
    else CHANGES[event.type as RunEvent["type"]]?.(this, event as never);
    return true;
  }

  /** Begin with what is known of the run; its events come on top. */
  seed(run: RunDetail): void {
    this.#know(run);
    this.output = run.output;
    this.#view = null;
  }

  /** The run so far; the same object until an event changes it. */
  view(): RunView {
    this.#view ??= Object.freeze({
      id: this.id,
      run: this.run,
      status: this.status,
      attempt: this.attempt,
      ended: this.ended,
      cursor: this.cursor,
      recovering: this.recovering,
      steps: this.steps.values(),
      parts: this.parts.values(),
      calls: this.calls.values(),
      approvals: this.approvals.values(),
      messages: this.messages.values(),
      references: this.references.values(),
      children: this.children.values(),
      spans: this.spans.values(),
      data: this.data.values(),
      streams: this.#streamItems(),
      metadata: this.metadata,
      metadataRevision: this.metadataRevision,
      waiting: this.waiting,
      usage: totalOf(this.usages.values()),
      output: this.output,
      error: this.error,
    });
    return this.#view;
  }

  /** The next place among parts, calls, files and sources. */
  place(): number {
    this.#count += 1;
    return this.#count;
  }

  /** Whether a part or call was superseded. */
  isVoid(id: string): boolean {
    return this.#void.has(id);
  }

  /** The same id is used anew. */
  revive(id: string): void {
    this.#void.delete(id);
  }

  /** Forget the steps, unless they are completed, and all that they said. */
  voidSteps(steps: Iterable<string>): void {
    for (const id of steps) {
      if (this.steps.get(id)?.state === "completed") continue;
      this.voidContent(id);
      this.steps.delete(id);
    }
  }

  /** Forget what a step said, and whatever else is named, with the open approvals of that. */
  voidContent(step: string, ids: Iterable<string> = []): void {
    const gone = new Set(ids);
    const said = (one: { readonly step: string | null }, id: string) => one.step === step || gone.has(id);
    const parts = this.parts.drop(said);
    const calls = this.calls.drop(said);
    for (const id of [...parts, ...calls]) gone.add(id);
    for (const id of gone) this.#void.add(id);
    this.approvals.drop((one) => one.decision === "" && one.call !== null && gone.has(one.call));
    const own = (one: { readonly step: string | null }) => one.step === step;
    this.references.drop(own);
    this.messages.drop(own);
    this.voidItems(step);
  }

  /** Forget the items that a step said. */
  voidItems(step: string): void {
    this.items.drop((one) => one.steps.includes(step));
  }

  #reset(run: Run, id: string | null): void {
    for (const kept of [this.steps, this.parts, this.calls, this.approvals, this.messages, this.references]) kept.clear();
    for (const kept of [this.children, this.spans, this.data, this.items, this.usages]) kept.clear();
    this.#void.clear();
    this.waiting = null;
    this.ended = this.recovering = false;
    this.output = null;
    this.cursor = id;
    this.#know(run);
  }

  #know(run: Run): void {
    this.run = run;
    this.status = run.status;
    this.attempt = run.attempt;
    this.metadata = run.metadata;
    this.error = run.error === null ? null : { ...run.error };
  }

  #streamItems(): RunView["streams"] {
    const items = this.items.values();
    if (items === this.#streamsOf) return this.#streams;
    const streams: Record<string, unknown[]> = {};
    for (const { stream, data } of items) {
      const known = streams[stream];
      if (known === undefined) streams[stream] = [data];
      else known.push(data);
    }
    this.#streamsOf = items;
    this.#streams = streams;
    return streams;
  }
}

/** The view of a run of which nothing but its record is known, like one that a server rendered a page from. */
export function viewOf(run: RunDetail): RunView {
  const fold = new RunFold(run.id);
  fold.seed(run);
  return fold.view();
}

/** What the connection says of the reader's position, beside the ids of events. */
function positionOf(event: RunEvent | SyncEvent): string | null {
  return event.type === "sync.live" || event.type === "sync.cursor" ? (event.cursor ?? null) : null;
}

function totalOf(usages: readonly JsonObject[]): RunView["usage"] {
  const sum = (name: string) => usages.reduce((total, one) => total + (Number(one[name]) || 0), 0);
  return {
    requests: usages.length,
    input: sum("input"),
    output: sum("output"),
    cached: sum("cached"),
    reasoning: sum("reasoning"),
    cost: sum("cost"),
  };
}
