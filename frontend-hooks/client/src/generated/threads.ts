// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { RunDetail, UsageTotal } from "./models.ts";

/** `at`: the number of the last message that the new thread has; 0 for none. `id`: its id, by default a new one. */
export interface ForkThread {
  at?: number;
  id?: string;
}

/** The thread that a fork was made of: it has the messages that lead to number `at` there. */
export interface ForkedFrom {
  id: string;
  at: number;
}

/** A message of pydantic-ai, its number in the thread from 1, and the run that said it, which may be deleted by now. */
export interface Message {
  seq: number;
  run: string;
  created_at: number;
  message: unknown;
}

/** `text` takes the place of the last question. */
export interface RegenerateThread {
  text?: string;
  agent?: string;
}

/** What a person says. `steer`: the run that is at work hears it between its turns; else, and where none is, it is the next run. */
export interface SayInThread {
  text: string;
  mode?: "queue" | "steer";
  agent?: string;
}

/** `run`: the run that was shown when somebody pressed stop; one that has ended is left as it is. By default, whose turn it is. */
export interface StopThread {
  run?: string;
  reason?: string;
}

/** The run that was stopped, as it is now; null where nobody was at work. */
export interface StoppedRun {
  run: RunDetail | null;
}

/** A conversation with its messages; `next` is the `after` of those that follow, null when these are the last ones. */
export interface ThreadDetail {
  id: string;
  agent: string;
  active_run: string | null;
  forked_from: ForkedFrom | null;
  created_at: number;
  touched_at: number;
  usage: UsageTotal;
  messages: readonly Message[];
  next: number | null;
}

/** A conversation: how many places in its line were given, the number of its last message, and whose run came last. */
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
