/** How the streams of a client are opened: by this page alone, or once for all tabs of the browser. */

import { Connection, type ConnectionOwner, isOpen, type Stream } from "./connection.ts";
import { PolledStream } from "./polled-stream.ts";
import type { Requester } from "./request.ts";
import { SharedStream } from "./shared-stream.ts";

/** How many lists are followed over connections of their own; the runs of a page have three, and requests need one. */
const LISTS = 2;

/** Makes streams that know how to reach the server. */
export class Connector {
  readonly requester: Requester;
  readonly #patience: number;
  readonly #tabs: string | null;
  readonly #lists = new Set<Stream>();

  /** `patience`: milliseconds without a byte; `tabs`: whose tabs share streams, null for no sharing. */
  constructor(requester: Requester, patience: number, tabs: string | null) {
    this.requester = requester;
    this.#patience = patience;
    this.#tabs = typeof navigator !== "undefined" && navigator.locks && typeof BroadcastChannel !== "undefined" ? tabs : null;
  }

  /** A stream of this page. */
  own(owner: ConnectionOwner): Stream {
    return new Connection(this.requester, owner, { patience: this.#patience });
  }

  /** A stream that one tab reads for all that ask for the same. */
  shared(owner: ConnectionOwner): Stream {
    if (this.#tabs === null) return this.own(owner);
    const { path, query } = owner.request();
    const name = JSON.stringify(["agentflow", this.#tabs, this.requester.url(path, query)]);
    return new SharedStream(name, this.requester, owner, (leading) => this.own(leading));
  }

  /** A stream of a list: from the third at once on, it is looked at every few seconds. */
  list(owner: ConnectionOwner): Stream {
    for (const stream of this.#lists) if (!isOpen(stream)) this.#lists.delete(stream);
    if (this.#lists.size >= LISTS) return new PolledStream(this.requester, owner);
    const stream = this.shared(owner);
    this.#lists.add(stream);
    return stream;
  }
}
