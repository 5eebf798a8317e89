/** A reader and writer of `/v1/stream/{path}`, which speaks the durable-streams protocol; JSON streams only. */

import type { ConnectionState, Next, Stream } from "./connection.ts";
import type { Connector } from "./connector.ts";
import type { AgentflowError } from "./errors.ts";
import { Flusher } from "./flusher.ts";
import { Hold } from "./hold.ts";
import { Listeners } from "./listeners.ts";
import { type Ask, problemOf, type Requester } from "./request.ts";
import type { Frame } from "./sse.ts";

/** A stream at one moment. `closed`: nothing more will come. */
export interface DurableSnapshot<T> {
  readonly items: readonly T[];
  readonly closed: boolean;
  readonly upToDate: boolean;
  readonly connection: ConnectionState;
  readonly failure: AgentflowError | null;
}

/** Where to begin: the first item (`start`), the next one (`now`), or an offset that a stream gave. */
export type DurableFrom = "start" | "now" | (string & {});

interface Control {
  readonly streamNextOffset: string;
  readonly streamCursor?: string;
  readonly upToDate?: boolean;
  readonly streamClosed?: boolean;
}

/**
 * Follows a stream while anybody holds it `open`.
 *
 *     const stream = client.stream<Reading>("sensors/7");
 *     const close = stream.open();
 *     await stream.append({ celsius: 21 });
 */
export class DurableStream<T> {
  readonly #path: string;
  readonly #requester: Requester;
  readonly #connection: Stream;
  readonly #flusher = new Flusher(() => this.#publish());
  readonly #changes = new Listeners<[]>();
  readonly #hold: Hold;
  #offset: string;
  #cursor: string | null = null;
  #items: readonly T[] = [];
  #pending: T[] = [];
  #closed = false;
  #upToDate = false;
  #state: ConnectionState = "idle";
  #failure: AgentflowError | null = null;
  #snapshot: DurableSnapshot<T> = { items: [], closed: false, upToDate: false, connection: "idle", failure: null };

  constructor(path: string, from: DurableFrom, connector: Connector) {
    this.#path = `/v1/stream/${path.split("/").map(encodeURIComponent).join("/")}`;
    this.#offset = from === "start" ? "-1" : from;
    this.#requester = connector.requester;
    this.#connection = connector.own(this);
    this.#hold = new Hold(
      () => (this.#closed ? undefined : this.#connection.start()),
      () => this.#connection.stop(),
    );
  }

  /** The stream as it was when it was last published. */
  readonly getSnapshot = (): DurableSnapshot<T> => this.#snapshot;

  /** Hear of new snapshots; gives the function that ends it. */
  readonly subscribe = (listener: () => void): (() => void) => this.#changes.add(listener);

  /** Follow the stream until the function that this gives is called. */
  readonly open = (): (() => void) => this.#hold.take();

  /** Whether nobody holds it open. */
  get idle(): boolean {
    return this.#hold.idle;
  }

  /** Make the stream, unless it is there; `ttl` in seconds since it was last used. */
  readonly create = async (options: { readonly ttl?: number } = {}): Promise<void> => {
    const headers = { "content-type": "application/json", ...(options.ttl !== undefined && { "stream-ttl": String(options.ttl) }) };
    await this.#done({ method: "PUT", path: this.#path, headers });
    if (this.#connection.state === "error") this.#connection.start();
  };

  /** Add an item at the end. An array is one item, too. Throws `AgentflowError`: 409 when the stream is closed. */
  readonly append = async (item: T): Promise<void> => {
    // The protocol takes an array apart, one level deep.
    await this.#done({ method: "POST", path: this.#path, body: [item] });
  };

  /** Follow it no more, whoever holds it open. */
  detach(): void {
    this.#connection.stop();
  }

  request(): Ask {
    return { path: this.#path, query: { offset: this.#offset, live: "sse", cursor: this.#cursor } };
  }

  /** Items count once their control has come: it has the offset behind them. */
  frames(frames: readonly Frame[]): Next {
    const batch: T[] = [];
    for (const { event, data } of frames) {
      if (event === "data") this.#pending.push(...(JSON.parse(data) as readonly T[]));
      else if (event === "control") batch.push(...this.#control(JSON.parse(data) as Control));
    }
    if (batch.length > 0) this.#items = [...this.#items, ...batch];
    this.#flusher.request();
    return this.#closed ? "end" : "more";
  }

  async #done(ask: Ask): Promise<void> {
    const response = await this.#requester.send(ask);
    if (!response.ok) throw await problemOf(response);
    await response.body?.cancel();
  }

  #control(control: Control): readonly T[] {
    const items = this.#pending;
    this.#pending = [];
    this.#offset = control.streamNextOffset;
    this.#cursor = control.streamCursor ?? null;
    this.#closed = control.streamClosed ?? false;
    this.#upToDate = control.upToDate ?? this.#closed;
    return items;
  }

  changed(state: ConnectionState, failure: AgentflowError | null): void {
    if (state === "connecting" || state === "reconnecting") this.#pending = [];
    this.#state = state;
    this.#failure = failure;
    this.#flusher.now();
  }

  #publish(): void {
    const [items, closed, upToDate] = [this.#items, this.#closed, this.#upToDate];
    this.#snapshot = { items, closed, upToDate, connection: this.#state, failure: this.#failure };
    this.#changes.tell();
  }
}
