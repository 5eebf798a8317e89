// What this browser keeps: the API key for as long as the tab lives, a name to answer approvals with, the theme.

import { useSyncExternalStore } from "react";

const KEY = "agentflow.key";
const NAME = "agentflow.name";
const GROUPS = "agentflow.groups";
const MINE = "agentflow.mine";
const THEME = "agentflow.theme";

export type Theme = "light" | "dark" | "system";

const listeners = new Set<() => void>();

function changed(): void {
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function read(storage: () => Storage, name: string): string | null {
  try {
    return storage().getItem(name);
  } catch {
    return null;
  }
}

function write(storage: () => Storage, name: string, value: string | null): void {
  try {
    if (value === null) storage().removeItem(name);
    else storage().setItem(name, value);
  } catch {
    // Storage may be closed to us; what was said holds until the page is left.
  }
}

/** Asks for the API key, once for all requests that wait for it. */
class Keyring {
  #key: string | null = read(() => sessionStorage, KEY);
  #asked: { wrong: boolean; answer: Promise<string>; resolve: (key: string) => void } | null = null;

  /** The key for the next request. After a refusal it is what the person types next. */
  token = (reason: "start" | "refused" | "expiring"): string | null | Promise<string> => {
    if (reason !== "refused") return this.#key;
    if (this.#asked === null) {
      const { promise, resolve } = Promise.withResolvers<string>();
      this.#asked = { wrong: this.#key !== null, answer: promise, resolve };
      write(() => sessionStorage, KEY, null);
      changed();
    }
    return this.#asked.answer;
  };

  /** Whether a person is asked now, and whether what they said before was wrong. */
  asks = (): "no" | "first" | "again" => (this.#asked === null ? "no" : this.#asked.wrong ? "again" : "first");

  answer(key: string): void {
    this.#key = key;
    write(() => sessionStorage, KEY, key);
    this.#asked?.resolve(key);
    this.#asked = null;
    changed();
  }

  get has(): boolean {
    return this.#key !== null;
  }

  /** Forget the key, and begin anew. */
  forget(): void {
    write(() => sessionStorage, KEY, null);
    location.reload();
  }
}

export const keyring = new Keyring();

export function useAsked(): "no" | "first" | "again" {
  return useSyncExternalStore(subscribe, keyring.asks);
}

/** Something that this browser keeps as text. */
function useKept(name: string): [string, (text: string) => void] {
  const kept = useSyncExternalStore(subscribe, () => read(() => localStorage, name) ?? "");
  const keep = (next: string) => {
    write(() => localStorage, name, next.trim() || null);
    changed();
  };
  return [kept, keep];
}

/** Under which name this browser answers; empty when nobody said. */
export function useName(): [string, (name: string) => void] {
  return useKept(NAME);
}

/** Which groups they say they are in, by commas; that shows them what is theirs, and gives them no right. */
export function useGroups(): [string, (groups: string) => void] {
  return useKept(GROUPS);
}

/** Whether the inbox shows what is for them alone. */
export function useMine(): [boolean, (mine: boolean) => void] {
  const [kept, keep] = useKept(MINE);
  return [kept !== "", (mine) => keep(mine ? "yes" : "")];
}

function currentTheme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

export function setTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  write(() => localStorage, THEME, theme === "system" ? null : theme);
  changed();
}

/** The theme that is seen now is turned into the other; the system's own choice is not written down. */
export function toggleTheme(): void {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const seen = currentTheme() === "system" ? system : currentTheme();
  const other = seen === "dark" ? "light" : "dark";
  setTheme(other === system ? "system" : other);
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, currentTheme);
}
