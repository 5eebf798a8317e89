/** A small HTTP server that says what a test tells it to: faults that a real server has only now and then. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Entry } from "@agentflow/client";

/** A request as it came. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

/** Answers a request, in as many words as it likes. */
export type Handler = (asked: Asked, reply: Reply) => void | Promise<void>;

/** One answer under way. */
export class Reply {
  readonly #response: ServerResponse;

  /** The answer is over: ended, cut, or not wanted any more. */
  readonly gone: Promise<void>;

  constructor(response: ServerResponse) {
    this.#response = response;
    this.gone = new Promise((resolve) => response.once("close", resolve));
  }

  /** A whole answer of JSON. */
  json(value: unknown, status = 200, headers: Record<string, string> = {}): void {
    this.#response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
  }

  /** A whole answer of text. */
  text(text: string, headers: Record<string, string> = {}): void {
    this.#response.writeHead(200, { "access-control-expose-headers": "*", ...headers }).end(text);
  }

  /** An error in the one shape. */
  problem(status: number, code: string, headers: Record<string, string> = {}): void {
    this.json({ code, message: `This is ${code}.`, hint: "Do something else.", details: {} }, status, headers);
  }

  /** No body. */
  nothing(status = 204): void {
    this.#response.writeHead(status).end();
  }

  /** Begin an event stream. */
  stream(headers: Record<string, string> = {}): this {
    this.#response.writeHead(200, { "content-type": "text/event-stream", ...headers });
    this.#response.write("retry: 1000\n\n");
    return this;
  }

  /** Bytes of an event stream as they are. */
  raw(bytes: string | Uint8Array): this {
    this.#response.write(bytes);
    return this;
  }

  /** Events of a run's own stream. */
  tell(...entries: readonly Entry[]): this {
    return this.raw(entries.map(frameOf).join(""));
  }

  /** Data without an id. */
  say(...events: readonly object[]): this {
    return this.raw(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""));
  }

  /** A clean end. */
  end(): void {
    this.#response.end();
  }

  /** The connection breaks once what was said is out. */
  cut(): void {
    this.#response.socket?.destroySoon();
  }
}

/** Serves handlers by method and path, on a free port. */
export class ScriptedServer {
  readonly asked: Asked[] = [];
  readonly #handlers = new Map<string, Handler>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Start one; close it with `await using`. */
  static async start(): Promise<ScriptedServer> {
    const server = createServer((request, response) => void scripted.#answer(request, response));
    const scripted = new ScriptedServer(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return scripted;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What to answer to `"GET /v1/runs/run_1"`. The last one counts. */
  on(place: string, handler: Handler): this {
    this.#handlers.set(place, handler);
    return this;
  }

  /** The requests to a place. */
  to(place: string): readonly Asked[] {
    return this.asked.filter((one) => `${one.method} ${one.path}` === place);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader("access-control-allow-origin", "*").setHeader("access-control-allow-headers", "*, authorization");
    response.setHeader("access-control-allow-methods", "*");
    if (request.method === "OPTIONS") {
      response.writeHead(204).end();
      return;
    }
    const url = new URL(request.url ?? "/", "http://localhost");
    const text = await textOf(request);
    const body = text === "" ? undefined : JSON.parse(text);
    const asked = {
      method: request.method ?? "",
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      headers: request.headers,
      body,
    };
    this.asked.push(asked);
    const handler = this.#handlers.get(`${asked.method} ${asked.path}`) ?? ((_, reply) => reply.problem(404, "not_found"));
    await handler(asked, new Reply(response));
  }
}

/** An event of a run's own stream, as bytes. */
export function frameOf({ id, event }: Entry): string {
  return `${id === null ? "" : `id: ${id}\n`}data: ${JSON.stringify(event)}\n\n`;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString();
}
