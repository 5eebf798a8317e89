/** Waitpoints over HTTP: approvals, forms, and tokens that runs wait for. */

import type {
  DecidedMany,
  DecidedWaitpoint,
  DecideMany,
  DeliveryPage,
  Reassign,
  Remind,
  Stand,
  VotePage,
  Waitpoint,
  WaitpointPage,
  WaitpointQuery,
  Withdraw,
} from "./generated/index.ts";
import { type Duration, defined } from "./options.ts";
import type { Requester } from "./request.ts";
import type { JsonObject } from "./view.ts";

/**
 * An answer to an approval. `edits` are the arguments to take in place of those that were proposed; `stop` with a no ends the run, too;
 * `always` with a yes to a tool's call makes a grant of it: a browser token needs `grants:write` for that.
 */
export interface Answer {
  readonly approved: boolean;
  readonly reason?: string;
  readonly edits?: JsonObject;
  readonly stop?: boolean;
  readonly always?: Stand;
  readonly by?: string;
}

/** The same key is the same request. */
export interface AnswerKey {
  readonly idempotencyKey?: string;
}

/** How an answer is given. The same `idempotencyKey` is the same answer; `seen` is the `subject.digest` of what was shown. */
export interface AnswerOptions extends AnswerKey {
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

  /**
   * Decide about several calls of one turn of one run, none of them of high risk: with mode "all" (the default) all of them or none, with
   * "each" every one by itself: those that do not count are `refused`, with the `problem`.
   */
  decideMany(decisions: DecideMany["decisions"], options: Omit<DecideMany, "decisions"> & AnswerKey = {}): Promise<DecidedMany> {
    const { idempotencyKey, ...how } = options;
    return this.#post("/v1/waitpoints/decisions", { ...how, decisions }, idempotencyKey);
  }

  /** Deny a call, and stop the run that wants to make it: all else that it asks people is dropped at once. */
  stop(id: string, options: AnswerOptions & { readonly reason?: string; readonly by?: string } = {}): Promise<DecidedWaitpoint> {
    const { seen, idempotencyKey, ...said } = options;
    return this.#decisions(id, { ...said, approved: false, stop: true }, defined({ seen, idempotencyKey }) as AnswerOptions);
  }

  /** Tell all who were told of an open question again; the server answers 429 within a minute of the last time. */
  remind(id: string, options: Remind = {}): Promise<Waitpoint> {
    return this.#post(`${this.#path(id)}/remind`, options);
  }

  /** The messages about it, in order, and what became of each. */
  deliveries(id: string): Promise<DeliveryPage> {
    return this.#requester.json({ path: `${this.#path(id)}/deliveries` });
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
