/** Releases that others agree to: what has to be before a prompt is moved, and what was asked for. */

import type {
  FoundPolicy,
  PromptBinding,
  PromptPolicy,
  PromptPolicyPage,
  PromptRequest,
  PromptRequestPage,
  SetPolicy,
} from "./generated/index.ts";
import type { Requester } from "./request.ts";

/** Whether a move was asked for, and nothing is moved yet: the server answered 202. */
export function isRequest(moved: PromptBinding | PromptRequest): moved is PromptRequest {
  return "target" in moved;
}

/** Policies of releases, and requests under them. */
export class ReleasesApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** All policies; that of `*` holds for prompts that have none of their own. */
  policies(): Promise<PromptPolicyPage> {
    return this.#requester.json({ path: "/v1/prompt-policies" });
  }

  /** What has to be before a prompt is moved in an environment. */
  policy(name: string, env: string): Promise<FoundPolicy> {
    return this.#requester.json({ path: `${path(name)}/policies/${encodeURIComponent(env)}` });
  }

  /** Say what has to be. It needs an API key. */
  setPolicy(name: string, env: string, body: SetPolicy): Promise<PromptPolicy> {
    return this.#requester.json({ method: "POST", path: `${path(name)}/policies/${encodeURIComponent(env)}`, body });
  }

  /** What was asked for of a prompt, in one environment or all, the newest first. */
  requests(name: string, query: { readonly env?: string } = {}): Promise<PromptRequestPage> {
    return this.#requester.json({ path: `${path(name)}/requests`, query });
  }

  /** What became of a request. */
  request(id: string): Promise<PromptRequest> {
    return this.#requester.json({ path: `/v1/prompt-requests/${encodeURIComponent(id)}` });
  }
}

/** Names of prompts have slashes. */
const path = (name: string) => `/v1/prompts/${name.split("/").map(encodeURIComponent).join("/")}`;
