/** The stream of one run over a connection of its own. */

import { type ConnectionState, isOpen, type Next, type Stream } from "./connection.ts";
import type { Connector } from "./connector.ts";
import type { AgentflowError } from "./errors.ts";
import { entryOf, type Feed, nextOf, type RunSink } from "./feed.ts";
import type { Ask } from "./request.ts";
import type { Frame } from "./sse.ts";

/** `GET /v1/runs/{id}/stream`, from where the sink is. */
export class DirectFeed implements Feed {
  readonly #sink: RunSink;
  readonly #connection: Stream;

  constructor(connector: Connector, sink: RunSink) {
    this.#sink = sink;
    this.#connection = sink.from === "start" ? connector.shared(this) : connector.own(this);
    this.#connection.start();
  }

  /** Whether it takes up a connection. */
  get open(): boolean {
    return isOpen(this.#connection);
  }

  stop(): void {
    this.#connection.stop();
  }

  retry(force = false): void {
    this.#connection.retry(force);
  }

  request(): Ask {
    const { runId, cursor, types, from } = this.#sink;
    return {
      run: runId,
      path: `/v1/runs/${encodeURIComponent(runId)}/stream`,
      query: { types: types?.join(","), from: cursor === null && from !== "start" ? from : null },
      // A header and no query: the address stays the same, and so does the browser's leave to call it.
      headers: cursor === null ? {} : { "last-event-id": cursor },
    };
  }

  frames(frames: readonly Frame[]): Next {
    const entries = frames.map(entryOf);
    this.#sink.entries(entries);
    return nextOf(entries);
  }

  changed(state: ConnectionState, failure: AgentflowError | null): void {
    this.#sink.changed(state, failure);
  }
}
