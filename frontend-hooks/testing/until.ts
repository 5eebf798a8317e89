/** Waits for something that a store will say. */

interface Watched<S> {
  getSnapshot(): S;
  subscribe(listener: () => void): () => void;
}

const PATIENCE = 10_000;

/** The first snapshot that a test holds for. */
export function until<S>(store: Watched<S>, test: (snapshot: S) => boolean): Promise<S> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const snapshot = store.getSnapshot();
      if (!test(snapshot)) return false;
      clearTimeout(timer);
      stop();
      resolve(snapshot);
      return true;
    };
    const timer = setTimeout(() => {
      stop();
      reject(new Error(`It was never so; the last snapshot is ${JSON.stringify(store.getSnapshot())}.`));
    }, PATIENCE);
    const stop = store.subscribe(look);
    look();
  });
}
