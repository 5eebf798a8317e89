/** The streams of many runs over one connection: a browser opens six to one origin, over HTTP/1.1. */

import type { ConnectionState, Next, Stream } from "./connection.ts";
import type { Connector } from "./connector.ts";
import { compareCursors } from "./cursor.ts";
import type { AgentflowError } from "./errors.ts";
import type { Entry } from "./events.ts";
import { type Feed, jointEntryOf, nextOf, type RunSink } from "./feed.ts";
import type { Ask } from "./request.ts";
import type { Frame } from "./sse.ts";

/** How many runs one request may name. */
const MOST = 200;
/** Milliseconds: components that appear together join together. */
const GATHER = 10;

/** `POST /v1/streams` for all who joined. Joining and leaving reopens it, each run goes on where it was. */
export class JointFeed {
  readonly #connection: Stream;
  readonly #sinks = new Map<string, Set<RunSink>>();
  readonly #refused: (sinks: readonly RunSink[]) => void;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** `refused` hears of those who were refused together: one of them may be the reason. */
  constructor(connector: Connector, refused: (sinks: readonly RunSink[]) => void) {
    this.#refused = refused;
    this.#connection = connector.own(this);
  }

  /** Whether one more run has room. */
  get roomy(): boolean {
    return this.#sinks.size < MOST;
  }

  /** Whether nobody is in it. */
  get empty(): boolean {
    return this.#sinks.size === 0;
  }

  join(sink: RunSink): Feed {
    const together = this.#sinks.get(sink.runId) ?? new Set();
    this.#sinks.set(sink.runId, together.add(sink));
    sink.changed("connecting", null);
    this.#reopen();
    return { stop: () => this.#leave(sink), retry: (force) => this.#connection.retry(force) };
  }

  request(): Ask {
    const runs = Object.fromEntries([...this.#sinks].map(([id, sinks]) => [id, earliest(sinks)]));
    const types = this.#types();
    return { method: "POST", path: "/v1/streams", body: types === null ? { runs } : { runs, types } };
  }

  frames(frames: readonly Frame[]): Next {
    const byRun = new Map<string, Entry[]>();
    const own: Entry[] = [];
    for (const { run, ...entry } of frames.map(jointEntryOf)) {
      if (run === null) own.push(entry);
      else byRun.set(run, [...(byRun.get(run) ?? []), entry]);
    }
    for (const [run, entries] of byRun) this.#take(run, entries);
    return this.empty ? "end" : nextOf(own);
  }

  changed(state: ConnectionState, failure: AgentflowError | null): void {
    const sinks = [...this.#sinks.values()].flatMap((together) => [...together]);
    if (state !== "error") for (const sink of sinks) sink.changed(state, failure);
    else {
      this.#sinks.clear();
      this.#refused(sinks);
    }
  }

  #take(run: string, entries: readonly Entry[]): void {
    const sinks = [...(this.#sinks.get(run) ?? [])];
    const ended = nextOf(entries) === "end";
    if (ended) this.#sinks.delete(run);
    for (const sink of sinks) {
      sink.entries(entries);
      if (ended) sink.changed("ended", null);
    }
  }

  #leave(sink: RunSink): void {
    const together = this.#sinks.get(sink.runId);
    if (!together?.delete(sink)) return;
    if (together.size === 0) this.#sinks.delete(sink.runId);
    this.#reopen();
  }

  #reopen(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (this.empty) this.#connection.stop();
      else this.#connection.reopen();
    }, GATHER);
  }

  /** What anybody wants; null, and so everything, when somebody wants everything. */
  #types(): readonly string[] | null {
    const wanted = [...this.#sinks.values()].flatMap((together) => [...together].map((sink) => sink.types));
    return wanted.includes(null) ? null : [...new Set(wanted.flatMap((types) => types ?? []))];
  }
}

function earliest(sinks: ReadonlySet<RunSink>): string | null {
  const cursors = [...sinks].map((sink) => sink.cursor);
  return cursors.reduce((a, b) => (a === null || b === null ? null : compareCursors(a, b) < 0 ? a : b));
}
