/** Past events first, then those that came meanwhile, then the live ones: each once. */

import { compareCursors } from "./cursor.ts";
import type { Entry } from "./events.ts";

/** Joins a log that is read with events that come. */
export class Replay {
  readonly #hear: (entry: Entry) => void;
  #waiting: Entry[] | null = [];
  #last: string | null = null;
  #stopped = false;

  constructor(history: () => AsyncIterable<Entry>, hear: (entry: Entry) => void) {
    this.#hear = hear;
    void this.#read(history);
  }

  /** An event that came. */
  push(entry: Entry): void {
    if (this.#waiting !== null) this.#waiting.push(entry);
    else this.#tell(entry);
  }

  /** Hear no more. */
  stop(): void {
    this.#stopped = true;
  }

  async #read(history: () => AsyncIterable<Entry>): Promise<void> {
    try {
      for await (const entry of history()) {
        if (this.#stopped) return;
        this.#tell(entry);
      }
    } catch {
      // A server that cannot be asked now: the live events are what there is.
    }
    for (const entry of this.#waiting ?? []) this.#tell(entry);
    this.#waiting = null;
  }

  #tell(entry: Entry): void {
    if (this.#stopped) return;
    if (entry.id !== null) {
      if (this.#last !== null && compareCursors(entry.id, this.#last) <= 0) return;
      this.#last = entry.id;
    }
    this.#hear(entry);
  }
}
