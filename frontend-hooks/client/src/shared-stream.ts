/** One stream for all tabs: a browser opens six connections to an origin over HTTP/1.1, and each tab wants some. */

import { Backoff } from "./backoff.ts";
import { type ConnectionOwner, type ConnectionState, isFatal, type Next, type Stream } from "./connection.ts";
import { AgentflowError } from "./errors.ts";
import { look } from "./look.ts";
import type { Requester } from "./request.ts";
import type { Frame } from "./sse.ts";

/** Milliseconds. */
const GRACE = 1_000;

/** What the tab that reads tells the others. */
type Told = { readonly frames: readonly Frame[] } | { readonly state: "live" | "reconnecting" };

/**
 * The tab that has the lock of this name reads the stream and tells the others; when it is closed, the browser gives the lock to the next,
 * which goes on where it is. A tab that comes later reads what was said before by a request of its own.
 */
export class SharedStream implements Stream {
  readonly #name: string;
  readonly #requester: Requester;
  readonly #owner: ConnectionOwner;
  readonly #connect: (owner: ConnectionOwner) => Stream;
  #state: ConnectionState = "idle";
  #abort: AbortController | null = null;
  #channel: BroadcastChannel | null = null;
  #leading: Stream | null = null;
  /** What was told while this tab still reads what was before. */
  #early: Told[] | null = null;

  constructor(name: string, requester: Requester, owner: ConnectionOwner, connect: (owner: ConnectionOwner) => Stream) {
    this.#name = name;
    this.#requester = requester;
    this.#owner = owner;
    this.#connect = connect;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  start(): void {
    if (this.#abort !== null) return;
    this.#abort = new AbortController();
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<Told>) => this.#hear(data);
    this.#become("connecting");
    void this.#take(this.#abort.signal);
  }

  stop(): void {
    if (this.#abort === null) return;
    this.#close();
    this.#become("idle");
  }

  retry(force = false): void {
    this.#leading?.retry(force);
  }

  reopen(): void {
    this.#close();
    this.start();
  }

  /** Read the stream if nobody does; else follow, and wait for a turn. */
  async #take(signal: AbortSignal): Promise<void> {
    const held = await navigator.locks
      .request(this.#name, { ifAvailable: true }, (lock) => lock !== null && this.#lead(signal))
      // A page without an origin has no locks: it reads for itself.
      .catch(() => this.#lead(signal));
    if (held || signal.aborted) return;
    void this.#catchUp(signal);
    await navigator.locks.request(this.#name, { signal }, () => this.#lead(signal)).catch(() => undefined);
  }

  /** Read for all, until this tab stops or the stream is over. */
  #lead(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(true);
    this.#early = null;
    return new Promise((resolve) => {
      let ended = false;
      // The others are to hear the end before one of them gets the lock, and asks for what is over.
      signal.addEventListener("abort", () => setTimeout(() => resolve(true), ended ? GRACE : 0));
      this.#leading = this.#connect({
        request: () => this.#owner.request(),
        frames: (frames) => this.#pass(frames),
        changed: (state, failure) => {
          if (state === "live" || state === "reconnecting") this.#channel?.postMessage({ state } satisfies Told);
          ended = state === "ended";
          if (state === "ended" || state === "error") this.#finish(state, failure);
          else if (state !== "idle") this.#become(state, failure);
        },
      });
      this.#leading.start();
    });
  }

  #pass(frames: readonly Frame[]): Next {
    this.#channel?.postMessage({ frames } satisfies Told);
    return this.#owner.frames(frames);
  }

  #hear(told: Told): void {
    if (this.#leading !== null || this.#abort === null) return;
    if (this.#early !== null) this.#early.push(told);
    else if ("state" in told) this.#become(told.state);
    else if (this.#owner.frames(told.frames) === "end") this.#finish("ended", null);
  }

  /** What was said before this tab came, then what was told meanwhile. */
  async #catchUp(signal: AbortSignal): Promise<void> {
    this.#early = [];
    const backoff = new Backoff();
    while (!(await this.#look(signal))) await new Promise((resolve) => setTimeout(resolve, backoff.next()));
    const early = this.#early;
    this.#early = null;
    if (signal.aborted || this.#leading !== null) return;
    this.#become("live");
    for (const told of early ?? []) this.#hear(told);
  }

  /** Whether there is no need to look again. */
  async #look(signal: AbortSignal): Promise<boolean> {
    const wanted = () => this.#leading === null && !signal.aborted;
    try {
      if ((await look(this.#requester, this.#owner, signal, wanted)) === "end" && wanted()) this.#finish("ended", null);
      return true;
    } catch (error) {
      const fatal = error instanceof AgentflowError && isFatal(error);
      if (fatal && wanted()) this.#finish("error", error);
      return fatal || !wanted();
    }
  }

  #close(): void {
    this.#leading?.stop();
    this.#leading = null;
    this.#channel?.close();
    this.#channel = null;
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
