/** One stream over fetch that comes back by itself: the only place that opens, watches and reopens streams. */

import { Backoff } from "./backoff.ts";
import { AgentflowError } from "./errors.ts";
import { type Ask, problemOf, type Requester } from "./request.ts";
import { type Frame, SseParser } from "./sse.ts";
import { onWake } from "./wake.ts";
import { Watchdog } from "./watchdog.ts";

/** `connecting` until the first answer, `live` while bytes may come, `reconnecting` after a loss, `ended` and `error` for good. */
export type ConnectionState = "idle" | "connecting" | "live" | "reconnecting" | "ended" | "error";

/** What a frame asks of its connection: go on, stop for good, or come again after so many milliseconds (with a new token). */
export type Next = "more" | "end" | { readonly after: number; readonly newToken?: boolean };

/** What the owner of a connection says and hears. */
export interface ConnectionOwner {
  /** The request to open the stream with, asked for each time: it carries the cursor. */
  request(): Ask;
  /** The server has answered, and will stream. */
  opened?(headers: Headers): void;
  /** Frames that came together. What the last one asks counts. */
  frames(frames: readonly Frame[]): Next;
  /** The state changed; `failure` says why for `error` and, where it is known, `reconnecting`. */
  changed(state: ConnectionState, failure: AgentflowError | null): void;
}

/** A stream that can be opened and closed. */
export interface Stream {
  readonly state: ConnectionState;
  /** Open it, unless it is open. */
  start(): void;
  /** Close it. */
  stop(): void;
  /** Try now rather than later; with `force` also when it seems to be open. */
  retry(force?: boolean): void;
  /** Open it anew: what `request` says has changed. */
  reopen(): void;
}

/** Whether a stream takes up a connection, or will. */
export function isOpen(stream: Stream): boolean {
  return stream.state === "connecting" || stream.state === "live" || stream.state === "reconnecting";
}

/** How a connection behaves. Times in milliseconds. */
export interface ConnectionOptions {
  /** Without a byte for so long the stream is dead. */
  readonly patience?: number;
}

/** What no later try can heal: it is told, and not tried again. */
const FATAL = new Set([400, 401, 403, 404, 405, 410, 422]);

/** Whether no later try can heal it. */
export function isFatal(error: AgentflowError): boolean {
  return FATAL.has(error.status);
}

/** A stream that is opened with `start` and closed with `stop`; in between it reopens itself, for ever. */
export class Connection implements Stream {
  readonly #requester: Requester;
  readonly #owner: ConnectionOwner;
  readonly #patience: number;
  readonly #backoff = new Backoff();
  #state: ConnectionState = "idle";
  #abort: AbortController | null = null;
  #wait: { readonly done: () => void } | null = null;
  #unwake: (() => void) | null = null;

  constructor(requester: Requester, owner: ConnectionOwner, options: ConnectionOptions = {}) {
    this.#requester = requester;
    this.#owner = owner;
    this.#patience = options.patience ?? 30_000;
  }

  /** Where the connection is. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Open the stream, unless it is open. */
  start(): void {
    if (this.#abort !== null) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.#backoff.reset();
    this.#unwake = onWake((stale) => this.retry(stale));
    this.#become("connecting");
    void this.#run(abort.signal);
  }

  /** Close the stream; the run goes on. */
  stop(): void {
    if (this.#abort === null) return;
    this.#close();
    this.#become("idle");
  }

  /** Try now rather than after the back-off; with `force` also when the stream seems to be open. */
  retry(force = false): void {
    this.#backoff.reset();
    if (this.#wait !== null) this.#wait.done();
    else if (force && this.#abort !== null) this.reopen();
  }

  /** Open anew, at once: what `request` says has changed. */
  reopen(): void {
    this.#close();
    this.start();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const next = await this.#attempt(signal);
      if (signal.aborted) return;
      if (next === "end") return this.#finish("ended", null);
      if (next instanceof AgentflowError && isFatal(next)) return this.#finish("error", next);
      this.#become("reconnecting", next instanceof AgentflowError ? next : null);
      await this.#pause(this.#delay(next), signal);
    }
  }

  /** One life of the stream. A clean end of it says nothing: only the owner knows the last event. */
  async #attempt(signal: AbortSignal): Promise<Next | AgentflowError> {
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    signal.addEventListener("abort", abort);
    const watchdog = new Watchdog(this.#patience, abort);
    try {
      const response = await this.#requester.send({ ...this.#owner.request(), signal: attempt.signal });
      watchdog.feed();
      if (response.status === 204) return "end";
      if (!response.ok || response.body === null) return await problemOf(response);
      this.#owner.opened?.(response.headers);
      return await this.#read(response.body, watchdog, signal);
    } catch (error) {
      return error instanceof AgentflowError ? error : lost(error);
    } finally {
      watchdog.stop();
      signal.removeEventListener("abort", abort);
      attempt.abort();
    }
  }

  async #read(body: ReadableStream<Uint8Array>, watchdog: Watchdog, signal: AbortSignal): Promise<Next> {
    const parser = new SseParser();
    const reader = body.getReader();
    while (true) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return "more";
      watchdog.feed();
      this.#become("live");
      const frames = parser.push(value);
      if (frames.length === 0) continue;
      this.#backoff.reset();
      const next = this.#owner.frames(frames);
      if (next !== "more") return next;
    }
  }

  #delay(next: Exclude<Next, "end"> | AgentflowError): number {
    if (next instanceof AgentflowError) return next.retryAfter === null ? this.#backoff.next() : next.retryAfter * 1000;
    if (next === "more") return this.#backoff.next();
    if (next.newToken) this.#requester.renewToken(this.#owner.request().run);
    return next.after;
  }

  #pause(delay: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#wait = null;
        resolve();
      };
      const timer = setTimeout(done, delay);
      signal.addEventListener("abort", done);
      this.#wait = { done };
    });
  }

  #close(): void {
    this.#unwake?.();
    this.#unwake = null;
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

function lost(cause: unknown): AgentflowError {
  return new AgentflowError({ code: "network", message: "The stream was cut." }, 0, null, cause);
}
