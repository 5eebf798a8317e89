import { useCallback, useSyncExternalStore } from "react";

// What has no stream is asked for again and again: once for all who show it, and only while the page is seen.

export interface Polled<T> {
  /** The last answer; it stays while the server is away. */
  data: T | undefined;
  error: Error | undefined;
}

/** Milliseconds until what failed is asked for again. */
const AGAIN = 2_000;

const NOTHING: Polled<never> = { data: undefined, error: undefined };

class Poll<T> {
  state: Polled<T> = NOTHING;
  readonly #ask: () => Promise<T>;
  readonly #every: number;
  readonly #unseen: number | null;
  readonly #listeners = new Set<() => void>();
  #timer: number | undefined;
  #asking = false;
  /** The answer that is on its way may be older than what it is asked for. */
  #outdated = false;

  constructor(ask: () => Promise<T>, every: number, unseen: number | null) {
    this.#ask = ask;
    this.#every = every;
    this.#unseen = unseen;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) {
      document.addEventListener("visibilitychange", this.refresh);
      this.refresh();
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      document.removeEventListener("visibilitychange", this.refresh);
      clearTimeout(this.#timer);
    };
  };

  snapshot = (): Polled<T> => this.state;

  refresh = (): void => {
    clearTimeout(this.#timer);
    this.#outdated = this.#asking;
    if (this.#asking || (document.hidden && this.#unseen === null)) return;
    this.#asking = true;
    this.#ask()
      .then(
        (data) => this.#show({ data, error: undefined }),
        (error: Error) => this.#show({ data: this.state.data, error }),
      )
      .finally(() => {
        this.#asking = false;
        if (this.#listeners.size > 0) this.#timer = window.setTimeout(this.refresh, this.#pause());
      });
  };

  #pause(): number {
    if (this.#outdated) return 0;
    if (document.hidden && this.#unseen !== null) return this.#unseen;
    return this.state.error === undefined ? this.#every : Math.min(this.#every, AGAIN);
  }

  #show(state: Polled<T>): void {
    // The same answer is no news: nothing is drawn anew for it.
    const same =
      state.error === undefined && this.state.error === undefined && JSON.stringify(state.data) === JSON.stringify(this.state.data);
    if (!same) this.state = state;
    for (const listener of [...this.#listeners]) listener();
  }
}

const polls = new Map<string, Poll<unknown>>();

/** The answer to `ask`, at most `every` milliseconds old; `key` names it for the whole page. A tab that nobody sees asks every `unseen`. */
export function usePolled<T>(
  key: string,
  ask: () => Promise<T>,
  every: number,
  unseen: number | null = null,
): Polled<T> & { refresh: () => void } {
  let poll = polls.get(key) as Poll<T> | undefined;
  if (poll === undefined) {
    poll = new Poll(ask, every, unseen);
    polls.set(key, poll as Poll<unknown>);
  }
  const state = useSyncExternalStore(poll.subscribe, poll.snapshot);
  return { ...state, refresh: useCallback(() => refresh(key), [key]) };
}

/** Ask again at once, for what this page has just changed. */
export function refresh(key: string): void {
  polls.get(key)?.refresh();
}
