/** Threads over HTTP: conversations of many runs. */

import type { RunDetail } from "./generated/index.ts";
import type { Requester } from "./request.ts";
import type { StartedRun } from "./runs.ts";

/** A message as it is stored: one of pydantic-ai, its number from 1, and the run that said it. */
export interface ThreadMessage {
  readonly seq: number;
  readonly run: string;
  readonly created_at: number;
  readonly message: {
    readonly kind: "request" | "response" | (string & {});
    readonly parts: readonly ThreadPart[];
  };
}

/** A part of a stored message: `user-prompt`, `text`, `thinking`, `tool-call`, `tool-return`, …; ignore what you do not know. */
export interface ThreadPart {
  readonly part_kind: string;
  readonly content?: unknown;
  readonly tool_name?: string;
  readonly tool_call_id?: string;
  readonly args?: unknown;
}

/** A conversation in a list. */
export interface ThreadInfo {
  readonly id: string;
  readonly agent: string;
  readonly turns: number;
  readonly messages: number;
  readonly created_at: number;
  readonly touched_at: number;
}

/** Conversations, the one that something happened in last first; `next` is the `cursor` of the next page. */
export interface ThreadPage {
  readonly threads: readonly ThreadInfo[];
  readonly next: string | null;
}

/**
 * A conversation. `active_run` is the run whose turn it is; `forked_from` the thread that it begins with, up to message `at`; `next` is the
 * `after` of the messages that follow, if there are any.
 */
export interface Thread {
  readonly id: string;
  readonly agent: string;
  readonly active_run: string | null;
  readonly forked_from?: { readonly id: string; readonly at: number } | null;
  readonly created_at: number;
  readonly touched_at: number;
  readonly messages: readonly ThreadMessage[];
  readonly next: number | null;
}

/** How something is said. `steer`: the run that is at work hears it between its turns; where none is, it is the next run. */
export interface SayOptions {
  readonly mode?: "queue" | "steer";
  /** Who is to answer, if not whoever answered last. */
  readonly agent?: string;
  readonly idempotencyKey?: string;
}

/** List and look at threads, and talk in them. */
export class ThreadsApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** A page of conversations. */
  list(query: { readonly cursor?: string; readonly limit?: number } = {}): Promise<ThreadPage> {
    return this.#requester.json({ path: "/v1/threads", query });
  }

  /** A conversation with what was said behind message number `after`. A run adds what it said when it completes. */
  get(id: string, query: { readonly after?: number; readonly limit?: number } = {}): Promise<Thread> {
    return this.#requester.json({ path: `/v1/threads/${encodeURIComponent(id)}`, query });
  }

  /** A conversation with all that was said in it, however long it is. */
  async whole(id: string): Promise<Thread> {
    const first = await this.get(id);
    const messages = [...first.messages];
    for (let after = first.next; after !== null; ) {
      const page = await this.get(id, { after });
      messages.push(...page.messages);
      after = page.next;
    }
    return { ...first, messages, next: null };
  }

  /** Say something. Returns the run that answers it: a new one, or with `mode: "steer"` the one that is at work and hears it. */
  say(id: string, text: string, options: SayOptions = {}): Promise<StartedRun> {
    const { idempotencyKey, ...chosen } = options;
    return this.#begin(id, "messages", { text, ...chosen }, idempotencyKey);
  }

  /** Have the last question answered anew, or `text` in its place. Fails with `thread_busy` while a run is under way. */
  regenerate(
    id: string,
    options: { readonly text?: string; readonly agent?: string; readonly idempotencyKey?: string } = {},
  ): Promise<StartedRun> {
    const { idempotencyKey, ...chosen } = options;
    return this.#begin(id, "regenerate", chosen, idempotencyKey);
  }

  /**
   * End the turn, not the conversation: that of `run`, if it still is, or of whoever is at work. What was said until then is kept. Returns
   * the run; null where nobody was at work.
   */
  async stop(id: string, options: { readonly run?: string; readonly reason?: string } = {}): Promise<RunDetail | null> {
    const { run } = await this.#post<{ readonly run: RunDetail | null }>(id, "stop", options);
    return run;
  }

  /** A new conversation that begins with this one up to message number `at`, by default the last. A browser token names its `id`. */
  fork(id: string, options: { readonly at?: number; readonly id?: string } = {}): Promise<Thread> {
    return this.#post(id, "fork", options);
  }

  async #begin(id: string, verb: string, body: object, key: string | undefined): Promise<StartedRun> {
    const run = await this.#post<StartedRun>(id, verb, body, key === undefined ? {} : { "idempotency-key": key });
    if (run.token) this.#requester.grant(run.id, run.token);
    return run;
  }

  #post<T>(id: string, verb: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<T> {
    return this.#requester.json({ method: "POST", path: `/v1/threads/${encodeURIComponent(id)}/${verb}`, body, headers });
  }
}
