/** Waitpoints over HTTP: approvals, and tokens that runs wait for. */

import type { Waitpoint, WaitpointPage, WaitpointQuery } from "./generated/index.ts";
import { type Duration, defined } from "./options.ts";
import type { Requester } from "./request.ts";
import type { JsonObject } from "./view.ts";

/** An answer to an approval. `edits` changes what was proposed. */
export interface Answer {
  readonly approved: boolean;
  readonly reason?: string;
  readonly edits?: JsonObject;
  readonly by?: string;
}

/** List, look at and answer waitpoints. */
export class WaitpointsApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** Waitpoints, newest first; those that are open, unless asked otherwise. */
  list(query: WaitpointQuery = {}): Promise<WaitpointPage> {
    return this.#requester.json({ path: "/v1/waitpoints", query: { ...query } });
  }

  /** A waitpoint as it is now. */
  get(id: string): Promise<Waitpoint> {
    return this.#requester.json({ path: this.#path(id) });
  }

  /** A token that runs can wait for. */
  create(options: { readonly timeout?: Duration; readonly title?: string; readonly idempotencyKey?: string } = {}): Promise<Waitpoint> {
    const { idempotencyKey, ...body } = options;
    const headers = idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey };
    return this.#requester.json({ method: "POST", path: "/v1/waitpoints", body: defined(body), headers });
  }

  /**
   * Approve or deny. When somebody was first, the server answers 409 with the decision that counts, and 410 when it is too late:
   * the `AgentflowError` has it in its `details`.
   */
  decide(id: string, answer: Answer): Promise<Waitpoint> {
    return this.#decisions(id, answer);
  }

  /** Give a token or a callback the value that its run waits for. */
  complete(id: string, value: unknown, options: { readonly by?: string } = {}): Promise<Waitpoint> {
    return this.#decisions(id, { value: value ?? null, ...options });
  }

  #decisions(id: string, body: object): Promise<Waitpoint> {
    return this.#requester.json({ method: "POST", path: `${this.#path(id)}/decisions`, body: defined(body) });
  }

  #path(id: string): string {
    return `/v1/waitpoints/${encodeURIComponent(id)}`;
  }
}
