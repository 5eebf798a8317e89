// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { UsageTotal } from "./models.ts";

/** A message of pydantic-ai, its number in the thread from 1, and the run that said it, which may be deleted by now. */
export interface Message {
  seq: number;
  run: string;
  created_at: number;
  message: unknown;
}

/** A conversation with its messages; `next` is the `after` of those that follow, null when these are the last ones. */
export interface ThreadDetail {
  id: string;
  agent: string;
  active_run: string | null;
  created_at: number;
  touched_at: number;
  usage: UsageTotal;
  messages: readonly Message[];
  next: number | null;
}

/** A conversation: how many runs took a turn in it or wait for one, how many messages it has, and whose run came last. */
export interface ThreadInfo {
  id: string;
  agent: string;
  turns: number;
  messages: number;
  created_at: number;
  touched_at: number;
}

/** Conversations, the one that something happened in last first; `next` is the `cursor` of the next page. */
export interface ThreadPage {
  threads: readonly ThreadInfo[];
  next: string | null;
}

/** Which messages: `after` is the number of the last one that is known. */
export interface ThreadQuery {
  after?: number;
  limit?: number;
}

/** `cursor` is the `next` of the page before. */
export interface ThreadsQuery {
  cursor?: string;
  limit?: number;
}
