// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { Message } from "./threads.ts";

/** What `useChat` sends: the id of the chat, which is the thread's, and its messages. Only the last one is heard, and answers. */
export interface Chat {
  id: string;
  messages: readonly Message[];
  trigger: "submit-message" | "regenerate-message";
  agent: string | null;
  sdk: readonly number[] | null;
}

/** `agent`: who is to answer, where there are several. `sdk`: the major version of the client's `ai` package. */
export interface ChatQuery {
  agent?: string;
  sdk?: readonly number[];
}

/** `startIndex`: the number of chunks that the reader has had; below 0 it counts from the last one. */
export interface ResumeQuery {
  startIndex?: number;
  sdk?: number;
}
