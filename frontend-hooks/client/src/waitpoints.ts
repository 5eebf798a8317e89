/** Waitpoints over HTTP: approvals, forms, and tokens that runs wait for. */

import type { DecidedWaitpoint, Reassign, VotePage, Waitpoint, WaitpointPage, WaitpointQuery, Withdraw } from "./generated/index.ts";
import { type Duration, defined } from "./options.ts";
import type { Requester } from "./request.ts";
import type { JsonObject } from "./view.ts";

/** An answer to an approval. `edits` are the arguments to take in place of those that were proposed. */
export interface Answer {
  readonly approved: boolean;
  readonly reason?: string;
  readonly edits?: JsonObject;
  readonly by?: string;
}

/** How an answer is given. The same `idempotencyKey` is the same answer; `seen` is the `subject.digest` of what was shown. */
export interface AnswerOptions {
  readonly idempotencyKey?: string;
  readonly seen?: string;
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

  /** What people said to it, in order; also what did not count, and why. */
  votes(id: string): Promise<VotePage> {
    return this.#requester.json({ path: `${this.#path(id)}/votes` });
  }

  /** A token that runs can wait for. */
  create(options: { readonly timeout?: Duration; readonly title?: string; readonly idempotencyKey?: string } = {}): Promise<Waitpoint> {
    const { idempotencyKey, ...body } = options;
    return this.#post("/v1/waitpoints", body, idempotencyKey);
  }

  /**
   * Approve or deny. When somebody was first, the server answers 409 with the decision that counts, 410 when it is too late, 412 when
   * what is asked about is not what was `seen`, 403 when this person may not decide: the `AgentflowError` tells of it in its `details`.
   */
  decide(id: string, answer: Answer, options: AnswerOptions = {}): Promise<DecidedWaitpoint> {
    return this.#decisions(id, answer, options);
  }

  /** Fill in a form, or give a token or a callback the value that its run waits for. */
  complete(id: string, value: unknown, options: AnswerOptions & { readonly by?: string } = {}): Promise<DecidedWaitpoint> {
    const { by, ...how } = options;
    return this.#decisions(id, { value: value ?? null, by }, how);
  }

  /** Take a question back: its run goes on without an answer. `superseded`: something else took its place. */
  cancel(id: string, options: Withdraw = {}): Promise<Waitpoint> {
    return this.#post(`${this.#path(id)}/cancel`, options);
  }

  /** Give an open question to other people. */
  reassign(id: string, to: Reassign): Promise<Waitpoint> {
    return this.#post(`${this.#path(id)}/reassign`, to);
  }

  #decisions(id: string, body: object, { seen, idempotencyKey }: AnswerOptions): Promise<DecidedWaitpoint> {
    return this.#post(`${this.#path(id)}/decisions`, { ...body, seen_digest: seen }, idempotencyKey);
  }

  #post<T>(path: string, body: object, idempotencyKey?: string): Promise<T> {
    const headers = idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey };
    return this.#requester.json({ method: "POST", path, body: defined(body), headers });
  }

  #path(id: string): string {
    return `/v1/waitpoints/${encodeURIComponent(id)}`;
  }
}
