/** Runs over HTTP. */

import type { Entry, RunEvent, SyncEvent } from "./events.ts";
import type { Journal, MovedRun, RunDetail, RunGenerationPage, RunPage, RunState } from "./generated/index.ts";
import { type Duration, defined, runOptions, type StartOptions, threadTag } from "./options.ts";
import type { Requester } from "./request.ts";
import type { JsonObject } from "./view.ts";

/** A run that was started. `token` reads it, where a browser token has started it: this client sends it by itself. */
export interface StartedRun extends RunDetail {
  readonly token?: string | null;
}

/** Which runs, newest first. `cursor` is the `next` of the page before. */
export interface RunFilter {
  readonly task?: string;
  readonly status?: RunState;
  readonly tag?: string;
  readonly parent?: string;
  readonly thread?: string;
  readonly cursor?: string | null;
  readonly limit?: number;
}

/** An event as `events` gives it: with its place where it has one. */
export interface ListedEvent {
  readonly id?: string;
  readonly event: RunEvent | SyncEvent;
}

/** A page of events. `next` is the cursor to go on after, `ended` says that there will be no more. */
export interface EventPage {
  readonly events: readonly ListedEvent[];
  readonly next: string | null;
  readonly ended: boolean;
}

/** Start, look at, and steer runs. */
export class RunsApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /**
   * Start a run of a task. The payload has an entry per argument.
   *
   *     const run = await client.runs.start("fulfil", { order_id: "o-81", express: true }, { tags: ["vip"] });
   */
  async start(task: string, payload: JsonObject = {}, options: StartOptions = {}): Promise<StartedRun> {
    const body = { task, payload, options: runOptions(options) };
    const run = await this.#requester.json<StartedRun>({ method: "POST", path: "/v1/runs", body });
    if (run.token) this.#requester.grant(run.id, run.token);
    return run;
  }

  /** A run with its values, what it waits for, and the cursor that its stream goes on after. */
  get(id: string): Promise<RunDetail> {
    return this.#requester.json({ run: id, path: this.#path(id) });
  }

  /** A page of runs, newest first. With several filters a page may be short and have a `next` all the same. */
  list(filter: RunFilter = {}): Promise<RunPage> {
    const { thread, ...query } = filter;
    return this.#requester.json({ path: "/v1/runs", query: thread === undefined ? query : { ...query, tag: threadTag(thread) } });
  }

  /** Ask a run and its children to stop; again, or after its end, this changes nothing. */
  cancel(id: string, reason?: string): Promise<RunDetail> {
    return this.#post(id, "cancel", { reason });
  }

  /** Let a paused run go on: with its record as it is, or again from the step that differs. */
  resume(id: string, options: { readonly rerun?: boolean } = {}): Promise<RunDetail> {
    return this.#post(id, "resume", options);
  }

  /** Put off a run that has not begun, or bring it forward. `at` is milliseconds since 1970. */
  reschedule(id: string, when: { readonly delay?: Duration; readonly at?: number; readonly payload?: JsonObject }): Promise<RunDetail> {
    return this.#post(id, "reschedule", when);
  }

  /** Have a run taken by another version of its code. */
  move(id: string, to: string | null, options: { readonly force?: boolean } = {}): Promise<MovedRun> {
    return this.#post(id, "move", { to, ...options });
  }

  /** Send into an input stream of a run. The same key counts once; without one each call is a message of its own. */
  send(id: string, input: string, data: unknown, options: { readonly idempotencyKey?: string } = {}): Promise<{ readonly seq: number }> {
    return this.#requester.json({
      method: "POST",
      path: `${this.#path(id)}/inputs/${encodeURIComponent(input)}`,
      body: { data },
      headers: { "idempotency-key": options.idempotencyKey ?? crypto.randomUUID() },
    });
  }

  /** What a run has recorded, in order. */
  journal(id: string): Promise<Journal> {
    return this.#requester.json({ run: id, path: `${this.#path(id)}/journal` });
  }

  /** The model calls that versions of prompts spoke in a run, in their order. */
  generations(id: string): Promise<RunGenerationPage> {
    return this.#requester.json({ run: id, path: `${this.#path(id)}/generations` });
  }

  /** A page of a run's events after a cursor. */
  events(id: string, options: { readonly after?: string | null; readonly limit?: number } = {}): Promise<EventPage> {
    return this.#requester.json({ run: id, path: `${this.#path(id)}/events`, query: options });
  }

  /** The events of a run so far, from after a cursor up to and with another one, or to where its log is now. */
  async *history(id: string, options: { readonly after?: string | null } = {}): AsyncGenerator<Entry> {
    let after = options.after ?? null;
    while (true) {
      const page = await this.events(id, { after });
      for (const { id: at, event } of page.events) yield { id: at ?? null, event };
      if (page.ended || page.events.length === 0 || page.next === null || page.next === after) return;
      after = page.next;
    }
  }

  #path(id: string): string {
    return `/v1/runs/${encodeURIComponent(id)}`;
  }

  #post<T>(id: string, verb: string, body: object): Promise<T> {
    return this.#requester.json({ method: "POST", path: `${this.#path(id)}/${verb}`, body: defined(body) });
  }
}
