/** Barks when it is not fed for a while. It is fed with bytes and not with events: heartbeats are comments, which reach no parser's user. */
export class Watchdog {
  readonly #patience: number;
  readonly #bark: () => void;
  #timer: ReturnType<typeof setTimeout>;

  constructor(patience: number, bark: () => void) {
    this.#patience = patience;
    this.#bark = bark;
    this.#timer = setTimeout(bark, patience);
  }

  /** Something came. */
  feed(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#bark, this.#patience);
  }

  /** Bark no more. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
