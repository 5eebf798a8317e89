/** Functions that want to hear of something. */
export class Listeners<A extends readonly unknown[]> {
  readonly #all = new Set<(...told: A) => void>();

  /** Listen; gives the function that ends it. The same function may listen twice. */
  add(listener: (...told: A) => void): () => void {
    const own = (...told: A) => listener(...told);
    this.#all.add(own);
    return () => this.#all.delete(own);
  }

  /** Tell all. One that throws keeps nobody else from hearing it. */
  tell(...told: A): void {
    for (const listener of [...this.#all]) {
      try {
        listener(...told);
      } catch (error) {
        reportError(error);
      }
    }
  }
}

/** As an uncaught error: seen by the page's error handling and the developer, harmless to the stream. */
function reportError(error: unknown): void {
  if (typeof globalThis.reportError === "function") globalThis.reportError(error);
  else
    setTimeout(() => {
      throw error;
    });
}
