/** When a page comes back: online again, visible again, out of the back-forward cache, out of sleep. */

/** Milliseconds hidden after which an open socket is not trusted any more. */
const STALE = 30_000;

/** Calls back when it is worth to try again; `stale` when an open stream is most likely dead. Gives a function that ends it. */
export function onWake(wake: (stale: boolean) => void): () => void {
  if (typeof window === "undefined" || typeof document === "undefined") return () => {};
  let hiddenSince: number | null = document.visibilityState === "hidden" ? Date.now() : null;
  const online = () => wake(true);
  const shown = (event: PageTransitionEvent) => wake(event.persisted);
  const visible = () => {
    if (document.visibilityState === "hidden") {
      hiddenSince ??= Date.now();
      return;
    }
    const stale = hiddenSince !== null && Date.now() - hiddenSince > STALE;
    hiddenSince = null;
    wake(stale);
  };
  window.addEventListener("online", online);
  window.addEventListener("pageshow", shown);
  document.addEventListener("visibilitychange", visible);
  return () => {
    window.removeEventListener("online", online);
    window.removeEventListener("pageshow", shown);
    document.removeEventListener("visibilitychange", visible);
  };
}
