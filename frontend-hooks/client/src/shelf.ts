/** Stores by key, so that everybody who asks for the same gets the same. */

/** How many stores that nobody holds are kept for those who come back. */
const SPARE = 50;

/** Something that may be let go of while it is idle. */
export interface Shelved {
  readonly idle: boolean;
  detach(): void;
}

/** Makes each store once, and forgets those that nobody has held for the longest time. */
export class StoreShelf<S extends Shelved> {
  readonly #stores = new Map<string, S>();

  /** The store of a key, made if there is none. */
  get(key: string, make: () => S): S {
    const store = this.#stores.get(key) ?? make();
    this.#stores.delete(key);
    this.#stores.set(key, store);
    if (this.#stores.size > SPARE) this.#forget();
    return store;
  }

  /** Detach them all. */
  detach(): void {
    for (const store of this.#stores.values()) store.detach();
  }

  #forget(): void {
    const idle = [...this.#stores].slice(0, -1).filter(([, store]) => store.idle);
    for (const [key] of idle.slice(0, Math.max(0, this.#stores.size - SPARE))) this.#stores.delete(key);
  }
}
