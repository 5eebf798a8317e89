import type { LiveStore } from "./live.ts";

/** The same store, told of at most every `gap` milliseconds: the first change at once, the last one never lost. */
export function paced<S>(store: LiveStore<S>, gap: number): LiveStore<S> {
  let shown = store.getSnapshot();
  let last = Number.NEGATIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | null = null;
  let unsubscribe: (() => void) | null = null;
  const listeners = new Set<() => void>();

  const show = () => {
    timer = null;
    last = performance.now();
    shown = store.getSnapshot();
    for (const listener of [...listeners]) listener();
  };
  const changed = () => {
    const rest = last + gap - performance.now();
    if (rest <= 0 && timer === null) show();
    else timer ??= setTimeout(show, rest);
  };
  return {
    open: () => store.open(),
    getSnapshot: () => shown,
    subscribe(listener) {
      listeners.add(listener);
      unsubscribe ??= store.subscribe(changed);
      if (shown !== store.getSnapshot()) changed();
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        unsubscribe?.();
        unsubscribe = null;
        if (timer !== null) clearTimeout(timer);
        timer = null;
      };
    },
  };
}
