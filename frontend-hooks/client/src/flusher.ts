/** Tells of changes no more often than people can see: at once after a quiet time, else with the next frame of the screen. */

const FRAME = 16;
const HIDDEN = 50;
/** Milliseconds after which a frame that the browser owes us is not waited for: it paints nothing in a hidden tab. */
const OVERDUE = 100;
/** The longest time that a catch-up is kept together. */
const CATCH_UP = 150;

/** Calls `flush` for any number of requests once. */
export class Flusher {
  readonly #flush: () => void;
  #last = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | null = null;

  constructor(flush: () => void) {
    this.#flush = flush;
  }

  /** Something changed. */
  request(): void {
    if (this.#cancel !== null) return;
    const hidden = typeof document !== "undefined" && document.visibilityState === "hidden";
    const rest = this.#last + (hidden ? HIDDEN : FRAME) - performance.now();
    if (rest <= 0) this.now();
    else this.#cancel = hidden || typeof requestAnimationFrame === "undefined" ? after(rest, this.now) : nextFrame(this.now);
  }

  /** Something changed that belongs together with what follows: wait for `now`, though not for long. */
  hold(): void {
    this.#cancel ??= after(CATCH_UP, this.now);
  }

  /** Tell now. */
  readonly now = (): void => {
    this.stop();
    this.#last = performance.now();
    this.#flush();
  };

  /** Forget what was asked for. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}

function after(delay: number, call: () => void): () => void {
  const timer = setTimeout(call, delay);
  return () => clearTimeout(timer);
}

function nextFrame(call: () => void): () => void {
  const frame = requestAnimationFrame(call);
  const cancelNet = after(OVERDUE, call);
  return () => {
    cancelAnimationFrame(frame);
    cancelNet();
  };
}
