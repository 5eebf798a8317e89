import { useSyncExternalStore } from "react";

function subscribe(listener: () => void): () => void {
  document.addEventListener("visibilitychange", listener);
  return () => document.removeEventListener("visibilitychange", listener);
}

/**
 * Whether somebody sees this tab. A browser opens six connections to one origin over HTTP/1.1, in all its tabs together: a tab that
 * nobody sees gives its stream back, and goes on where it was once it is seen again.
 */
export function useSeen(): boolean {
  return useSyncExternalStore(subscribe, () => !document.hidden);
}
