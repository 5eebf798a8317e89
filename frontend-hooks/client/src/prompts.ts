/** Prompts over HTTP: what there is, what differs, what is live where, and what happened. */

import type {
  DiffBody,
  GenerationDetail,
  GenerationPage,
  LintPage,
  MetricsPage,
  MoveBinding,
  Moving,
  PromptBinding,
  PromptBody,
  PromptDiff,
  PromptEventPage,
  PromptInfo,
  PromptPage,
  PromptPinPage,
  PromptRequest,
  PromptSnapshot,
  PromptVersion,
  PromptVersionPage,
  ProtectBinding,
  RenderedPrompt,
  RenderPrompt,
  RepinRun,
  RevokeVersion,
  SaveVersion,
  UpgradedThread,
  UpgradeThread,
} from "./generated/index.ts";
import { defined } from "./options.ts";
import type { Requester } from "./request.ts";

/** Which binding: `label` is `live` unless said otherwise. With `rev` it is moved only where nobody moved it since. */
export interface Binding {
  readonly env: string;
  readonly label?: string;
  readonly rev?: number;
}

/** Which model calls; `cursor` is the `next` of the page before. */
export interface GenerationFilter {
  readonly version?: number;
  readonly variant?: string;
  readonly since?: number;
  readonly cursor?: string | null;
  readonly limit?: number;
}

/** Of which time and place, and told apart by version or by variant of each rollout. */
export interface MetricsFilter {
  readonly group?: "version" | "variant";
  readonly since?: number;
  readonly env?: string;
  readonly rollout?: string;
}

/** A request that can be given up. */
export interface Stoppable {
  readonly signal?: AbortSignal;
}

/** List, look at, write and release prompts. */
export class PromptsApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** All prompts, by name, with what is live in an environment: the server's own unless said otherwise. */
  list(query: { readonly env?: string } = {}): Promise<PromptPage> {
    return this.#requester.json({ path: "/v1/prompts", query });
  }

  /** A prompt, with what holds in all environments. */
  get(name: string, query: { readonly env?: string } = {}): Promise<PromptInfo> {
    return this.#requester.json({ path: this.#path(name), query });
  }

  /** All versions, the newest first. */
  versions(name: string): Promise<PromptVersionPage> {
    return this.#requester.json({ path: `${this.#path(name)}/versions` });
  }

  /** A version by its number or hash. */
  version(name: string, version: number | string): Promise<PromptVersion> {
    return this.#requester.json({ path: `${this.#path(name)}/versions/${encodeURIComponent(version)}` });
  }

  /** Keep a body as a version, or get the version that has this content already. It is not live before it is released. */
  save(name: string, version: SaveVersion): Promise<PromptVersion> {
    return this.#post(`${this.#path(name)}/versions`, version);
  }

  /** What differs between two versions, word by word. */
  diff(name: string, before: number | string, after: number | string): Promise<PromptDiff> {
    return this.#requester.json({ path: `${this.#path(name)}/diff`, query: { before, after } });
  }

  /** What a body changes in a version; `after` is the version that has just this content, where there is one. */
  diffBody(name: string, draft: DiffBody): Promise<PromptDiff> {
    return this.#post(`${this.#path(name)}/diff`, draft);
  }

  /** What is to be looked at in a body, before it is kept. */
  lint(name: string, body: PromptBody, { signal }: Stoppable = {}): Promise<LintPage> {
    return this.#post(`${this.#path(name)}/lint`, { body }, {}, signal);
  }

  /** What would be sent to a model. Nothing of it is kept. */
  render(name: string, what: RenderPrompt, { signal }: Stoppable = {}): Promise<RenderedPrompt> {
    return this.#post(`${this.#path(name)}/render`, what, {}, signal);
  }

  /** What happened, oldest first, 200 at most; the next page is asked for with `after`. */
  events(name: string, query: { readonly env?: string; readonly after?: number } = {}): Promise<PromptEventPage> {
    return this.#requester.json({ path: `${this.#path(name)}/events`, query });
  }

  /** The runs that hold a version, or any, and have not ended. */
  pins(name: string, query: { readonly version?: number } = {}): Promise<PromptPinPage> {
    return this.#requester.json({ path: `${this.#path(name)}/pins`, query });
  }

  /** The model calls that versions spoke, newest first. */
  generations(name: string, filter: GenerationFilter = {}): Promise<GenerationPage> {
    return this.#requester.json({ path: `${this.#path(name)}/generations`, query: { ...filter } });
  }

  /** One model call, with the variables that the prompt was filled with, for who may read its run. */
  generation(name: string, id: string): Promise<GenerationDetail> {
    return this.#requester.json({ path: `${this.#path(name)}/generations/${encodeURIComponent(id)}` });
  }

  /** Calls, errors, cost and times of each version, with how far these may be off. */
  metrics(name: string, filter: MetricsFilter = {}): Promise<MetricsPage> {
    return this.#requester.json({ path: `${this.#path(name)}/metrics`, query: { ...filter } });
  }

  /** All that is live in an environment. */
  snapshot(query: { readonly env?: string } = {}): Promise<PromptSnapshot> {
    return this.#requester.json({ path: "/v1/prompt-snapshot", query });
  }

  /**
   * Have a version hold, or several, or the one that the code has. The server answers 409 with the binding as it is when its `rev` is
   * another. Where a policy has others agree first, nothing is moved yet, and this gives the request: see `isRequest`.
   */
  move(name: string, binding: Binding, to: MoveBinding): Promise<PromptBinding | PromptRequest> {
    return this.#moved(name, binding, "", to);
  }

  /** Have hold what held before the last move; again, what held before that. */
  rollback(name: string, binding: Binding, said: Moving = {}): Promise<PromptBinding> {
    return this.#moved(name, binding, "/rollback", said);
  }

  /** Let only those move a binding who may release in its environment, or everybody again who may save prompts. */
  protect(name: string, binding: Binding, said: ProtectBinding = {}): Promise<PromptBinding> {
    return this.#moved(name, binding, "/protect", said);
  }

  /** Take a version back. Runs that hold it do what the policy says when they go on. */
  revoke(name: string, version: number | string, said: RevokeVersion): Promise<PromptVersion> {
    return this.#post(`${this.#path(name)}/versions/${encodeURIComponent(version)}/revoke`, said);
  }

  /** Have a run hold another version when it goes on. */
  repin(name: string, said: RepinRun): Promise<PromptVersion> {
    return this.#post(`${this.#path(name)}/repin`, said);
  }

  /** Have the next run of a thread take what is live then. */
  upgrade(name: string, said: UpgradeThread): Promise<UpgradedThread> {
    return this.#post(`${this.#path(name)}/upgrade`, said);
  }

  #moved<T>(name: string, { env, label = "live", rev }: Binding, verb: string, said: object): Promise<T> {
    const path = `${this.#path(name)}/bindings/${encodeURIComponent(env)}/${encodeURIComponent(label)}${verb}`;
    return this.#post(path, said, rev === undefined ? {} : { "if-match": `"${rev}"` });
  }

  #post<T>(path: string, body: object, headers: Readonly<Record<string, string>> = {}, signal?: AbortSignal): Promise<T> {
    return this.#requester.json({ method: "POST", path, body: defined(body), headers, ...(signal && { signal }) });
  }

  /** A name may have slashes, and keeps them. */
  #path(name: string): string {
    return `/v1/prompts/${name.split("/").map(encodeURIComponent).join("/")}`;
  }
}
