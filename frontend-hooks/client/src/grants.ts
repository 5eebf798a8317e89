/** Grants over HTTP: standing yeses of people to calls of tools. */

import type { CreateGrant, GrantInfo, GrantPage, GrantQuery } from "./generated/index.ts";
import { defined } from "./options.ts";
import type { Requester } from "./request.ts";

/** List, give and take back grants. */
export class GrantsApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** Grants that count now, newest first; with `every` also those that are over. */
  list(query: GrantQuery = {}): Promise<GrantPage> {
    return this.#requester.json({ path: "/v1/grants", query: { ...query } });
  }

  /**
   * Have a yes stand for calls to come: of a `tool`, as `match` says, or like the one that the question `from_waitpoint` is about. Together
   * with the answer to a question: `waitpoints.decide(id, { approved: true, always: { scope: "thread" } })`.
   */
  create(grant: CreateGrant): Promise<GrantInfo> {
    return this.#requester.json({ method: "POST", path: "/v1/grants", body: defined(grant) });
  }

  /** Take a grant back, at once. `by` says who, where an API key vouches for them. */
  revoke(id: string, { by }: { readonly by?: string } = {}): Promise<GrantInfo> {
    const headers = by === undefined ? {} : { "x-agentflow-by": by };
    return this.#requester.json({ method: "DELETE", path: `/v1/grants/${encodeURIComponent(id)}`, headers });
  }
}
