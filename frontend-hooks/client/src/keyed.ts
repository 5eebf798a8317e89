/** A map whose values are read as one array that stays the same object until something changes. */
export class Keyed<V> {
  readonly #map = new Map<string, V>();
  #values: readonly V[] | null = null;

  get(key: string): V | undefined {
    return this.#map.get(key);
  }

  /** A known key keeps its place. */
  set(key: string, value: V): void {
    this.#map.set(key, value);
    this.#values = null;
  }

  delete(key: string): void {
    if (this.#map.delete(key)) this.#values = null;
  }

  /** Delete what a test holds for; gives the keys. */
  drop(test: (value: V, key: string) => boolean): string[] {
    const gone = [...this.#map].filter(([key, value]) => test(value, key)).map(([key]) => key);
    for (const key of gone) this.delete(key);
    return gone;
  }

  clear(): void {
    this.#map.clear();
    this.#values = null;
  }

  values(): readonly V[] {
    this.#values ??= [...this.#map.values()];
    return this.#values;
  }
}
