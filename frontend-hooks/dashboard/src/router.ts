// Addresses of pages. The page may be mounted below any path: `<base>` says which.

import { useSyncExternalStore } from "react";

export type Route =
  | { page: "runs"; query: string }
  | { page: "run"; id: string }
  | { page: "approvals" }
  | { page: "approval"; id: string }
  | { page: "approval-grants" }
  | { page: "approval-audit"; query: string }
  | { page: "tasks" }
  | { page: "task"; name: string; thread: string | null }
  | { page: "prompts"; query: string }
  | { page: "prompt"; name: string; tab: PromptTab }
  | { page: "workers" }
  | { page: "unknown"; path: string };

export const PROMPT_TABS = ["editor", "versions", "events", "pins", "compare"] as const;
export type PromptTab = (typeof PROMPT_TABS)[number];

/** What a path below the mount, with its query, shows. */
export function parse(address: string): Route {
  const url = new URL(address, "http://x/");
  const [first = "", ...rest] = url.pathname.slice(1).split("/").map(decoded);
  const [second, ...more] = rest;
  const query = url.searchParams.get("q") ?? "";
  if (first === "prompts") return promptsRoute(rest, url);
  if (more.length > 0 || second === null) return { page: "unknown", path: url.pathname };
  switch (first) {
    case "":
      return { page: "runs", query };
    case "runs":
      return second ? { page: "run", id: second } : { page: "runs", query };
    case "approvals":
      return second ? { page: "approval", id: second } : { page: "approvals" };
    case "grants":
      return { page: "approval-grants" };
    case "audit":
      return { page: "approval-audit", query };
    case "tasks":
      return second ? { page: "task", name: second, thread: url.searchParams.get("thread") } : { page: "tasks" };
    case "workers":
      return { page: "workers" };
    default:
      return { page: "unknown", path: url.pathname };
  }
}

/** Names of prompts may have slashes. */
function promptsRoute(name: readonly (string | null)[], { pathname, searchParams }: URL): Route {
  if (name.includes(null)) return { page: "unknown", path: pathname };
  if (name.every((part) => part === "")) return { page: "prompts", query: searchParams.get("q") ?? "" };
  const tab = PROMPT_TABS.find((one) => one === searchParams.get("tab"));
  return { page: "prompt", name: name.join("/"), tab: tab ?? "editor" };
}

/** Null for what is no text at all. */
function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

export const paths = {
  runs: (query = "") => (query ? `runs?q=${encodeURIComponent(query)}` : "runs"),
  run: (id: string) => `runs/${encodeURIComponent(id)}`,
  approvals: () => "approvals",
  approval: (id: string) => `approvals/${encodeURIComponent(id)}`,
  grants: () => "grants",
  audit: (query = "") => (query ? `audit?q=${encodeURIComponent(query)}` : "audit"),
  tasks: () => "tasks",
  task: (name: string, thread?: string) =>
    `tasks/${encodeURIComponent(name)}${thread === undefined ? "" : `?thread=${encodeURIComponent(thread)}`}`,
  prompts: (query = "") => (query ? `prompts?q=${encodeURIComponent(query)}` : "prompts"),
  prompt: (name: string, tab: PromptTab = "editor") =>
    `prompts/${name.split("/").map(encodeURIComponent).join("/")}${tab === "editor" ? "" : `?tab=${tab}`}`,
  workers: () => "workers",
};

const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("popstate", listener);
  };
}

/** Where the page is mounted, with a slash at its end. */
export function mount(): string {
  return new URL(".", document.baseURI).pathname;
}

function address(): string {
  return `/${location.pathname.slice(mount().length)}${location.search}`;
}

/** The page that the address shows. */
export function useRoute(): Route {
  return parse(useSyncExternalStore(subscribe, address));
}

/** Go to a path below the mount; `replace` leaves no trace in the history. */
export function go(path: string, { replace = false }: { replace?: boolean } = {}): void {
  const target = new URL(path, document.baseURI);
  if (target.href === location.href) return;
  if (replace) history.replaceState(null, "", target);
  else history.pushState(null, "", target);
  for (const listener of [...listeners]) listener();
  if (!replace) window.scrollTo(0, 0);
}
