/** The audit over HTTP: who did what about questions. */

import type { AuditEntry, AuditQuery } from "./generated/index.ts";
import { problemOf, type Requester } from "./request.ts";

/** Entries, and where the whole chain ends: the number of its `last` entry, and its `head`, `NUMBER:HASH`, to be kept elsewhere. */
export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  readonly last: number;
  readonly head: string;
}

/** Read the audit. */
export class AuditApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** Entries after number `after`, in order. */
  async list(query: AuditQuery = {}): Promise<AuditPage> {
    const response = await this.#export(query);
    const lines = (await response.text()).split("\n").filter(Boolean);
    const head = response.headers.get("x-agentflow-audit-head") ?? "";
    return { entries: lines.map((line) => JSON.parse(line) as AuditEntry), last: Number.parseInt(head, 10) || 0, head };
  }

  /** The same as it is kept in a file: a line of JSON for each, to the byte. `agentflow audit verify FILE` checks it. */
  async lines(query: AuditQuery = {}): Promise<string> {
    return (await this.#export(query)).text();
  }

  async #export(query: AuditQuery): Promise<Response> {
    const response = await this.#requester.send({ path: "/v1/audit", query: { ...query } });
    if (!response.ok) throw await problemOf(response);
    return response;
  }
}
