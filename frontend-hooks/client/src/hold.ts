/** Counts who needs something open: the first opens it, and it is closed a while after the last has left. */

/** Milliseconds: React's StrictMode leaves and comes back, and so does a person who turns a page. */
const GRACE = 1_000;

/** What is open while anybody holds it. */
export class Hold {
  readonly #open: () => void;
  readonly #close: () => void;
  #count = 0;
  #closing: ReturnType<typeof setTimeout> | null = null;

  constructor(open: () => void, close: () => void) {
    this.#open = open;
    this.#close = close;
  }

  /** Whether nobody holds it and it is closed. */
  get idle(): boolean {
    return this.#count === 0 && this.#closing === null;
  }

  /** Need it; gives the function that lets go, once. */
  take(): () => void {
    this.#count += 1;
    if (this.#closing !== null) {
      clearTimeout(this.#closing);
      this.#closing = null;
    } else if (this.#count === 1) this.#open();
    let held = true;
    return () => {
      if (held) this.#release();
      held = false;
    };
  }

  #release(): void {
    this.#count -= 1;
    if (this.#count > 0) return;
    this.#closing = setTimeout(() => {
      this.#closing = null;
      this.#close();
    }, GRACE);
  }
}
