// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { RunDetail } from "./models.ts";

/** A ticket to be sent once, as `?ticket=`, with a request for the run's stream or events. */
export interface BrowserTicket {
  ticket: string;
  expires_at: number;
}

/** A token to be sent as `Authorization: Bearer <token>`. */
export interface BrowserToken {
  token: string;
  expires_at: number;
}

/** The run to be read. */
export interface IssueTicket {
  run: string;
}

/** What a token is to be good for, for how long (a duration, at most 24 hours), whose it is, and their groups. */
export interface MintToken {
  scopes: readonly string[];
  expires?: number | string;
  subject?: string;
  groups?: readonly string[];
}

/** A run that was started. `token` reads it, where a browser token has started it. */
export interface StartedRun extends RunDetail {
  token: string | null;
}
