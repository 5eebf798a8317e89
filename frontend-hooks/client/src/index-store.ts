/** A list of runs that stays up to date. */

import type { ConnectionState, Next, Stream } from "./connection.ts";
import type { Connector } from "./connector.ts";
import type { AgentflowError } from "./errors.ts";
import { Flusher } from "./flusher.ts";
import type { Run, RunState } from "./generated/index.ts";
import { Hold } from "./hold.ts";
import { Listeners } from "./listeners.ts";
import type { Ask } from "./request.ts";
import type { Frame } from "./sse.ts";

/** Which runs. `thread` is short for the tag of a thread; `limit` is 50 unless given. */
export interface IndexFilter {
  readonly task?: string;
  readonly status?: RunState;
  readonly tag?: string;
  readonly parent?: string;
  readonly thread?: string;
  readonly limit?: number;
}

/** A list of runs at one moment, newest first. `loaded` is false until the server has told of it. */
export interface IndexSnapshot {
  readonly runs: readonly Run[];
  readonly loaded: boolean;
  readonly connection: ConnectionState;
  readonly failure: AgentflowError | null;
}

type IndexEvent =
  | { readonly type: "sync.snapshot"; readonly runs: readonly Run[] }
  | { readonly type: "run.changed"; readonly run: Run }
  | { readonly type: "run.gone"; readonly id: string }
  | { readonly type: "sync.reconnect"; readonly reason: string; readonly after_ms: number }
  | { readonly type: "end" };

const LIMIT = 50;

/**
 * Follows a list while anybody holds it `open`.
 *
 *     const index = client.index({ status: "waiting" });
 *     const close = index.open();
 *     index.subscribe(() => render(index.getSnapshot().runs));
 */
export class IndexStore {
  readonly #filter: IndexFilter;
  #connection: Stream | null = null;
  readonly #flusher = new Flusher(() => this.#publish());
  readonly #changes = new Listeners<[]>();
  readonly #hold: Hold;
  #runs: readonly Run[] = [];
  #loaded = false;
  #state: ConnectionState = "idle";
  #failure: AgentflowError | null = null;
  #snapshot: IndexSnapshot = { runs: [], loaded: false, connection: "idle", failure: null };

  constructor(filter: IndexFilter, connector: Connector) {
    this.#filter = filter;
    this.#hold = new Hold(
      () => {
        this.#connection = connector.list(this);
        this.#connection.start();
      },
      () => this.#connection?.stop(),
    );
  }

  /** The list as it was when it was last published. */
  readonly getSnapshot = (): IndexSnapshot => this.#snapshot;

  /** Hear of new snapshots; gives the function that ends it. */
  readonly subscribe = (listener: () => void): (() => void) => this.#changes.add(listener);

  /** Follow the list until the function that this gives is called. */
  readonly open = (): (() => void) => this.#hold.take();

  /** Whether nobody holds it open. */
  get idle(): boolean {
    return this.#hold.idle;
  }

  /** Connect now. */
  retry(): void {
    if (this.#state === "error" || this.#state === "idle") this.#connection?.start();
    else this.#connection?.retry(true);
  }

  /** Follow it no more, whoever holds it open. `retry` comes back. */
  detach(): void {
    this.#connection?.stop();
  }

  request(): Ask {
    return { path: "/v1/index/stream", query: { ...this.#filter } };
  }

  frames(frames: readonly Frame[]): Next {
    for (const frame of frames) {
      const next = this.#take(JSON.parse(frame.data) as IndexEvent);
      if (next !== "more") return next;
    }
    this.#flusher.request();
    return "more";
  }

  changed(state: ConnectionState, failure: AgentflowError | null): void {
    this.#state = state;
    this.#failure = failure;
    this.#flusher.now();
  }

  #take(event: IndexEvent): Next {
    if (event.type === "sync.snapshot") {
      this.#runs = event.runs;
      this.#loaded = true;
    } else if (event.type === "run.changed") this.#runs = placed(this.#runs, event.run, this.#filter.limit ?? LIMIT);
    else if (event.type === "run.gone") this.#runs = this.#runs.filter((one) => one.id !== event.id);
    else if (event.type === "sync.reconnect") return { after: event.after_ms, newToken: event.reason === "token" };
    return "more";
  }

  #publish(): void {
    this.#snapshot = { runs: this.#runs, loaded: this.#loaded, connection: this.#state, failure: this.#failure };
    this.#changes.tell();
  }
}

/** A known run keeps its place, a new one comes in front. */
function placed(runs: readonly Run[], run: Run, limit: number): readonly Run[] {
  const known = runs.some((one) => one.id === run.id);
  return known ? runs.map((one) => (one.id === run.id ? run : one)) : [run, ...runs].slice(0, limit);
}
