/** A stream that is looked at now and then, for a page that has all the connections that it may have. */

import { Backoff } from "./backoff.ts";
import { type ConnectionOwner, type ConnectionState, isFatal, type Stream } from "./connection.ts";
import { AgentflowError } from "./errors.ts";
import { look } from "./look.ts";
import type { Requester } from "./request.ts";

/** Milliseconds between two looks. */
const PAUSE = 2_000;

/** Asks for what there is, again and again. */
export class PolledStream implements Stream {
  readonly #requester: Requester;
  readonly #owner: ConnectionOwner;
  readonly #backoff = new Backoff();
  #state: ConnectionState = "idle";
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(requester: Requester, owner: ConnectionOwner) {
    this.#requester = requester;
    this.#owner = owner;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  start(): void {
    if (this.#abort !== null) return;
    this.#abort = new AbortController();
    this.#become("connecting");
    void this.#look(this.#abort.signal);
  }

  stop(): void {
    if (this.#abort === null) return;
    this.#close();
    this.#become("idle");
  }

  retry(): void {
    if (this.#timer === null || this.#abort === null) return;
    clearTimeout(this.#timer);
    void this.#look(this.#abort.signal);
  }

  reopen(): void {
    this.#close();
    this.start();
  }

  async #look(signal: AbortSignal): Promise<void> {
    this.#timer = null;
    try {
      const next = await look(this.#requester, this.#owner, signal, () => !signal.aborted);
      if (signal.aborted) return;
      if (next === "end") return this.#finish("ended", null);
      this.#backoff.reset();
      this.#become("live");
      this.#again(PAUSE, signal);
    } catch (error) {
      if (signal.aborted) return;
      const failure =
        error instanceof AgentflowError ? error : new AgentflowError({ code: "network", message: String(error) }, 0, null, error);
      if (isFatal(failure)) return this.#finish("error", failure);
      this.#become("reconnecting", failure);
      this.#again(failure.retryAfter === null ? this.#backoff.next() : failure.retryAfter * 1000, signal);
    }
  }

  #again(delay: number, signal: AbortSignal): void {
    this.#timer = setTimeout(() => void this.#look(signal), delay);
  }

  #close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#abort?.abort();
    this.#abort = null;
  }

  #finish(state: "ended" | "error", failure: AgentflowError | null): void {
    this.#close();
    this.#become(state, failure);
  }

  #become(state: ConnectionState, failure: AgentflowError | null = null): void {
    if (state === this.#state && failure === null) return;
    this.#state = state;
    this.#owner.changed(state, failure);
  }
}
