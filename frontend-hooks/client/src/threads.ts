/** Threads over HTTP: conversations of many runs. */

import type { Requester } from "./request.ts";

/** A part of a stored message. Types: text, reasoning, tool, file, source; readers ignore what they do not know. */
export interface ThreadPart {
  readonly type: string;
  readonly text?: string;
  readonly [field: string]: unknown;
}

/** A turn of a conversation. */
export interface ThreadMessage {
  readonly id: string;
  readonly role: string;
  readonly parts: readonly ThreadPart[];
  readonly run?: string | null;
  readonly created_at?: number;
}

/** A conversation. `active_run` is the run that works or waits in it now. */
export interface Thread {
  readonly id: string;
  readonly active_run: string | null;
  readonly messages: readonly ThreadMessage[];
}

/** A conversation in a list. */
export interface ThreadInfo {
  readonly id: string;
  readonly active_run: string | null;
  readonly [field: string]: unknown;
}

/** List and look at threads. */
export class ThreadsApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** Threads, the one that was used last first. */
  list(query: { readonly limit?: number } = {}): Promise<{ readonly threads: readonly ThreadInfo[] }> {
    return this.#requester.json({ path: "/v1/threads", query });
  }

  /** A thread with all that was said in it. */
  get(id: string): Promise<Thread> {
    return this.#requester.json({ path: `/v1/threads/${encodeURIComponent(id)}` });
  }
}
