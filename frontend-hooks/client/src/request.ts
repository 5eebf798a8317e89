/** HTTP with a token that is asked for anew when it no longer holds. */

import { AgentflowError } from "./errors.ts";
import type { Problem } from "./generated/index.ts";

/** Why a token is asked for: `start`, or `refused` and `expiring` when the one before does not hold (any more). */
export type TokenReason = "start" | "refused" | "expiring";

/** Gives an API key or a browser token; null for none. */
export type GetToken = (reason: TokenReason) => string | null | Promise<string | null>;

/** How to reach the server. */
export interface RequesterOptions {
  /** Where the server is, like `https://agents.example.com`; empty for the page's own origin. */
  readonly baseUrl: string;
  readonly token?: string | null;
  readonly getToken?: GetToken;
  readonly fetch?: typeof globalThis.fetch;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What to send. `query` leaves out what is null or undefined. */
export interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | null | undefined>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** The run that is read: where a token came with its start, that one is sent. */
  readonly run?: string;
}

/** Milliseconds in which a renewed token is new. */
const RENEWAL = 10_000;

/** Sends requests with the current token. One token serves all requests and streams of a client. */
export class Requester {
  readonly baseUrl: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #getToken: GetToken | undefined;
  readonly #headers: Readonly<Record<string, string>>;
  #token: Promise<string | null> | null;
  readonly #granted = new Map<string, string>();
  #renewedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RequesterOptions) {
    this.baseUrl = options.baseUrl.replace(/\/+$/, "");
    // An unbound `fetch` throws in browsers.
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#getToken = options.getToken;
    this.#headers = options.headers ?? {};
    this.#token = options.token === undefined ? null : Promise.resolve(options.token);
  }

  /** The answer as JSON. Throws `AgentflowError`. */
  async json<T>(ask: Ask): Promise<T> {
    const response = await this.send(ask);
    if (!response.ok) throw await problemOf(response);
    return (await response.json()) as T;
  }

  /** The answer as it came, after one more try with a new token where the first was refused. Throws `AgentflowError` without an answer. */
  async send(ask: Ask): Promise<Response> {
    const granted = ask.run === undefined ? undefined : this.#granted.get(ask.run);
    const used = granted ?? this.#current();
    const response = await this.#once(ask, await used);
    if (response.status !== 401 || (granted === undefined && this.#getToken === undefined)) return response;
    await response.body?.cancel();
    if (granted !== undefined && ask.run !== undefined) this.#granted.delete(ask.run);
    // Another request may have been refused before, and have a new token by now.
    else if (this.#token === used) this.#token = this.#ask("refused");
    return this.#once(ask, await this.#current());
  }

  /** Read this run with a token of its own, as long as that holds. */
  grant(run: string, token: string): void {
    this.#granted.set(run, token);
  }

  /** Whether a run is read with a token of its own. */
  isGranted(run: string): boolean {
    return this.#granted.has(run);
  }

  /** Send another token from the next request on: this one will end soon. All streams of a page are told so, and it is asked for once. */
  renewToken(run?: string): void {
    if (run !== undefined && this.#granted.delete(run)) return;
    if (this.#getToken === undefined || performance.now() - this.#renewedAt < RENEWAL) return;
    this.#renewedAt = performance.now();
    this.#token = this.#ask("expiring");
  }

  /** The address of a path, with its query. */
  url(path: string, query: Ask["query"] = {}): string {
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return `${this.baseUrl}${path}${text && `?${text}`}`;
  }

  #current(): Promise<string | null> {
    this.#token ??= this.#ask("start");
    return this.#token;
  }

  async #once(ask: Ask, token: string | null): Promise<Response> {
    const hasBody = ask.body !== undefined;
    const headers = {
      ...this.#headers,
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(hasBody && { "content-type": "application/json" }),
      ...ask.headers,
    };
    try {
      return await this.#fetch(this.url(ask.path, ask.query), {
        method: ask.method ?? "GET",
        headers,
        ...(hasBody && { body: JSON.stringify(ask.body) }),
        ...(ask.signal && { signal: ask.signal }),
        cache: "no-store",
      });
    } catch (error) {
      if (ask.signal?.aborted) throw error;
      throw new AgentflowError(
        {
          code: "network",
          message: `${this.baseUrl || "The server"} does not answer.`,
          hint: "Is it running, and may this page call it (CORS)?",
        },
        0,
        null,
        error,
      );
    }
  }

  #ask(reason: TokenReason): Promise<string | null> {
    const asked = this.#asked(reason);
    asked.catch(() => {
      // Whoever sends the next request is told, if anybody does.
      if (this.#token === asked) this.#token = null;
    });
    return asked;
  }

  async #asked(reason: TokenReason): Promise<string | null> {
    try {
      return (await this.#getToken?.(reason)) ?? null;
    } catch (error) {
      throw new AgentflowError(
        { code: "no_token", message: "getToken failed.", hint: "It is asked again with the next request." },
        0,
        null,
        error,
      );
    }
  }
}

/** The error that a server's answer tells of. */
export async function problemOf(response: Response): Promise<AgentflowError> {
  const text = await response.text().catch(() => "");
  const retryAfter = retryAfterOf(response);
  try {
    const problem = JSON.parse(text) as Partial<Problem>;
    if (typeof problem.message === "string")
      return new AgentflowError({ ...problem, message: problem.message }, response.status, retryAfter);
  } catch {
    // Not ours: a proxy's page, most likely.
  }
  const message = `The server answered ${response.status}${text ? `: ${text.slice(0, 200)}` : ""}.`;
  return new AgentflowError({ code: `http_${response.status}`, message }, response.status, retryAfter);
}

function retryAfterOf(response: Response): number | null {
  const header = response.headers.get("retry-after");
  if (header === null) return null;
  const seconds = Number(header);
  const wait = Number.isNaN(seconds) ? (Date.parse(header) - Date.now()) / 1000 : seconds;
  return Number.isFinite(wait) ? Math.max(0, wait) : null;
}
