import { useSyncExternalStore } from "react";

// One clock for the page: a hundred ages on it cost one timer, and none while nobody looks.
let now = Date.now();
let timer: number | undefined;
const listeners = new Set<() => void>();

function tick(): void {
  now = Date.now();
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= window.setInterval(() => document.hidden || tick(), 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function idle(): () => void {
  return () => undefined;
}

function current(): number {
  // A clock that nobody hears has stopped: whoever begins to listen reads the time anew.
  if (listeners.size === 0) now = Date.now();
  return now;
}

/** The time, anew every second; `ticking` false holds it still. */
export function useNow(ticking = true): number {
  return useSyncExternalStore(ticking ? subscribe : idle, current);
}
