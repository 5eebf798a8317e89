/** A run as it is now, for whoever renders it. */

import type { ConnectionState } from "./connection.ts";
import { AgentflowError } from "./errors.ts";
import type { Entry, EventsOf, RunEvent, RunEventType, SyncEvent } from "./events.ts";
import type { Feed, From, RunSink } from "./feed.ts";
import { Flusher } from "./flusher.ts";
import { RunFold } from "./fold.ts";
import { Hold } from "./hold.ts";
import { Listeners } from "./listeners.ts";
import { Replay } from "./replay.ts";
import type { RunsApi } from "./runs.ts";
import type { Sources } from "./sources.ts";
import type { RunView } from "./view.ts";

/** What to follow of a run. `types`: names of events, or of groups of them; all unless given. */
export interface RunStoreOptions {
  readonly types?: readonly string[];
  readonly from?: From;
}

/** A run and its stream at one moment; the same object until something changes. */
export interface RunSnapshot {
  readonly view: RunView;
  readonly connection: ConnectionState;
  /** Why the stream is lost or refused; null while all is well. */
  readonly failure: AgentflowError | null;
}

/** Hears of events one by one, also of those that no snapshot shows alone. */
export type EventListener<T extends string> = (event: EventsOf<T>, id: string | null) => void;

/**
 * Follows a run while anybody holds it `open`, and publishes snapshots at the pace of the screen.
 *
 *     const store = client.watch(runId);
 *     const close = store.open();
 *     const stop = store.subscribe(() => render(store.getSnapshot()));
 */
export class RunStore implements RunSink {
  readonly runId: string;
  readonly types: readonly string[] | null;
  readonly from: From;
  readonly #sources: Sources;
  readonly #runs: RunsApi;
  readonly #fold: RunFold;
  readonly #flusher = new Flusher(() => this.#publish());
  readonly #hold = new Hold(
    () => this.#follow(),
    () => this.detach(),
  );
  readonly #changes = new Listeners<[]>();
  readonly #events = new Listeners<[Entry, boolean]>();
  #feed: Feed | null = null;
  /** Nothing is on its way but what happens now. */
  #live = false;
  /** Was `live` at some time: what comes after that is news, also when it comes late. */
  #caughtUp = false;
  #connection: ConnectionState = "idle";
  #failure: AgentflowError | null = null;
  #snapshot: RunSnapshot;

  constructor(runId: string, sources: Sources, runs: RunsApi, options: RunStoreOptions = {}) {
    this.runId = runId;
    this.types = options.types ?? null;
    this.from = options.from ?? "start";
    this.#sources = sources;
    this.#runs = runs;
    this.#fold = new RunFold(runId);
    this.#snapshot = { view: this.#fold.view(), connection: "idle", failure: null };
  }

  /** The run as it was when it was last published. */
  readonly getSnapshot = (): RunSnapshot => this.#snapshot;

  /** Hear of new snapshots; gives the function that ends it. */
  readonly subscribe = (listener: () => void): (() => void) => this.#changes.add(listener);

  /** Follow the run until the function that this gives is called; many may hold it open, and share one connection. */
  readonly open = (): (() => void) => this.#hold.take();

  /** Whether nobody holds it open. */
  get idle(): boolean {
    return this.#hold.idle;
  }

  /** The last event that was applied. */
  get cursor(): string | null {
    return this.#fold.cursor;
  }

  /**
   * Hear of events of these types, or groups of types, one by one. What was said before counts only with `replay`: then it is read
   * first, and each event is heard once.
   */
  listen<T extends RunEventType | (string & {})>(
    types: readonly T[],
    listener: EventListener<T>,
    options: { readonly replay?: boolean } = {},
  ): () => void {
    const wanted = (type: string) => types.some((name) => type === name || type.startsWith(`${name}.`));
    const hear = ({ id, event }: Entry) => {
      if (wanted(event.type)) listener(event as EventsOf<T>, id);
    };
    if (!options.replay) return this.#events.add((entry, live) => (live ? hear(entry) : undefined));
    const replay = new Replay(() => this.#runs.history(this.runId), hear);
    const stop = this.#events.add((entry) => replay.push(entry));
    return () => {
      stop();
      replay.stop();
    };
  }

  /** Connect now: again after an error or `detach`, without waiting while the stream is lost. */
  retry(): void {
    if (this.#feed === null || this.#connection === "error") this.#follow();
    else this.#feed.retry(true);
  }

  /** Follow it no more; the run goes on. `retry` comes back. */
  detach(): void {
    this.#feed?.stop();
    this.#feed = null;
    this.#flusher.stop();
    if (this.#connection !== "ended" && this.#connection !== "error") this.#connection = "idle";
    this.#publish();
  }

  // -- what the feed tells -----------------------------------------------------------------------------------------------------------------

  entries(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.event.type === "sync.live") this.#live = this.#caughtUp = true;
      if (this.#fold.apply(entry)) this.#events.tell(entry, this.#caughtUp);
    }
    if (this.#live || this.#fold.ended) this.#flusher.request();
    else this.#flusher.hold();
  }

  changed(state: ConnectionState, failure: AgentflowError | null): void {
    if (state === "connecting" || state === "reconnecting") this.#live = false;
    this.#connection = state;
    this.#failure = failure;
    // The log is gone; what became of the run is not.
    if (state === "error" && failure?.status === 410) void this.#look();
    this.#flusher.now();
  }

  #follow(): void {
    this.#feed?.stop();
    this.#feed = null;
    if (this.#fold.ended) return;
    this.#feed = this.#sources.follow(this);
  }

  async #look(): Promise<void> {
    try {
      this.#fold.seed(await this.#runs.get(this.runId));
      this.#fold.ended = true;
      this.#connection = "ended";
      this.#failure = null;
    } catch (error) {
      this.#failure = error instanceof AgentflowError ? error : this.#failure;
    }
    this.#publish();
  }

  #publish(): void {
    const now = { view: this.#fold.view(), connection: this.#connection, failure: this.#failure };
    const last = this.#snapshot;
    if (now.view === last.view && now.connection === last.connection && now.failure === last.failure) return;
    this.#snapshot = Object.freeze(now);
    this.#changes.tell();
  }
}

/** Whether an event is of the run's log, and not of the connection. */
export function isLogged(event: RunEvent | SyncEvent): event is RunEvent {
  return !event.type.startsWith("sync.");
}
