/** How long to wait before another try: 250 ms, doubled each time up to 5 s, of which half is chance. */

const FIRST = 250;
const LONGEST = 5_000;

/** Counts tries that failed in a row. */
export class Backoff {
  #failures = 0;

  /** Milliseconds to wait before the next try. */
  next(): number {
    const whole = Math.min(LONGEST, FIRST * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    return whole * (0.5 + Math.random() / 2);
  }

  /** The last try went well. */
  reset(): void {
    this.#failures = 0;
  }
}
