/** Browser tokens over HTTP; minted with an API key, on a server of one's own. */

import { type Duration, defined } from "./options.ts";
import type { Requester } from "./request.ts";

/** What a token lets its bearer do. */
export type Scope =
  | `run:read:${string}`
  | `task:start:${string}`
  | `waitpoint:answer:${string}`
  | `waitpoint:link:${string}`
  | "thoughts"
  | "index:read"
  | (string & {});

/** A token, and when it ends: milliseconds since 1970. */
export interface MintedToken {
  readonly token: string;
  readonly expires_at: number;
}

/** Mint what browsers come with. */
export class TokensApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** A token with these scopes, for 15 minutes unless said otherwise. Takes an API key. */
  create(scopes: readonly Scope[], options: { readonly expires?: Duration; readonly subject?: string } = {}): Promise<MintedToken> {
    return this.#requester.json({ method: "POST", path: "/v1/tokens", body: defined({ scopes, ...options }) });
  }

  /** A ticket for one `EventSource` on a run: good once, for 60 seconds, as `?ticket=`. */
  ticket(run: string): Promise<{ readonly ticket: string; readonly expires_at: number }> {
    return this.#requester.json({ method: "POST", path: "/v1/tickets", body: { run } });
  }
}
