import { useEffect, useRef } from "react";

// Keys work wherever nobody types, and never with a modifier: those are the browser's.

/** What a key does, by `event.key`; `"g r"` is one key after the other. */
export type Keys = Readonly<Record<string, () => void>>;

const PATIENCE = 1_000;
const shown: { current: Keys }[] = [];
let first = "";
let pressedAt = 0;

function pressed(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey || isTyping(event)) return;
  if (document.querySelector("dialog[open]") !== null) return;
  const key = first !== "" && event.timeStamp - pressedAt < PATIENCE ? `${first} ${event.key}` : event.key;
  first = "";
  const act = shown.map((keys) => keys.current[key]).findLast((one) => one !== undefined);
  if (act !== undefined) {
    event.preventDefault();
    act();
  } else if (shown.some((keys) => Object.keys(keys.current).some((name) => name.startsWith(`${event.key} `)))) {
    first = event.key;
    pressedAt = event.timeStamp;
  }
}

function isTyping(event: KeyboardEvent): boolean {
  return (event.target as Element | null)?.closest("input, textarea, select, [contenteditable]") != null;
}

/** Keys for as long as this is shown; those of the innermost count first. */
export function useKeys(keys: Keys): void {
  const current = useRef(keys);
  useEffect(() => {
    current.current = keys;
  });
  useEffect(() => {
    if (shown.length === 0) document.addEventListener("keydown", pressed);
    shown.push(current);
    return () => {
      shown.splice(shown.indexOf(current), 1);
      if (shown.length === 0) document.removeEventListener("keydown", pressed);
    };
  }, []);
}

/** Move the focus among the items of the page: whatever is marked with `data-item`. */
function move(by: 1 | -1): void {
  const items = [...document.querySelectorAll<HTMLElement>("main [data-item]")];
  const at = items.findIndex((item) => item.contains(document.activeElement));
  const next = at < 0 ? (by > 0 ? 0 : items.length - 1) : Math.min(items.length - 1, Math.max(0, at + by));
  items[next]?.focus({ preventScroll: true });
  items[next]?.scrollIntoView({ block: "nearest" });
}

export const LIST_KEYS: Keys = { j: () => move(1), k: () => move(-1) };
