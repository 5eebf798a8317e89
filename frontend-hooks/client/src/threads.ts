/** Threads over HTTP: conversations of many runs. */

import type { Requester } from "./request.ts";

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

/** A conversation. `active_run` is the run whose turn it is; `next` is the `after` of the messages that follow, if there are any. */
export interface Thread {
  readonly id: string;
  readonly agent: string;
  readonly active_run: string | null;
  readonly created_at: number;
  readonly touched_at: number;
  readonly messages: readonly ThreadMessage[];
  readonly next: number | null;
}

/** List and look at threads. */
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
}
