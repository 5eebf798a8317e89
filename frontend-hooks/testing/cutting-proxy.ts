/** A proxy in front of a real server that cuts answers of event streams after some bytes. */

import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** Cuts the first streams that come, one after each number of bytes; lets everything else through. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #cuts: number[];

  private constructor(target: string, cuts: readonly number[]) {
    this.#cuts = [...cuts];
    this.#server = createServer((asked, reply) => {
      const forwarded = request(new URL(asked.url ?? "/", target), { method: asked.method, headers: asked.headers }, (answer) => {
        const streams = answer.headers["content-type"] === "text/event-stream";
        let left = (streams ? this.#cuts.shift() : undefined) ?? Number.POSITIVE_INFINITY;
        reply.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.on("data", (bytes: Buffer) => {
          reply.write(bytes.subarray(0, left));
          left -= bytes.length;
          if (left <= 0) reply.socket?.destroySoon();
        });
        answer.on("end", () => reply.end());
        answer.on("error", () => reply.destroy());
      });
      reply.on("close", () => forwarded.destroy());
      forwarded.on("error", () => reply.destroy());
      asked.pipe(forwarded);
    });
  }

  /** Start one; close it with `await using`. */
  static async start(target: string, cuts: readonly number[]): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, cuts);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
