import { type AgentflowClient, AgentflowError, type Ask, Connection, type ConnectionState, type Frame, type Next } from "@agentflow/client";
import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";

/** Whom to talk to. `api` is `/ai/chat` unless given; `agent` is needed where the server has several. */
export interface ChatTransportOptions {
  readonly client: AgentflowClient;
  readonly agent?: string;
  readonly api?: string;
}

type SendOptions<M extends UIMessage> = Parameters<ChatTransport<M>["sendMessages"]>[0];
type ResumeOptions<M extends UIMessage> = Parameters<ChatTransport<M>["reconnectToStream"]>[0];

/** The major version of the AI SDK's stream that is asked for. */
const SDK = 7;

/**
 * What `useChat` talks through, so that a lost connection goes on at the very chunk where it was cut.
 *
 *     const chat = useChat({ id, transport: new AgentflowChatTransport({ client, agent: "support" }) });
 */
export class AgentflowChatTransport<M extends UIMessage = UIMessage> implements ChatTransport<M> {
  /** Who comes back to a chat is told its answer from the start; the middle of one is our own business. */
  readonly resumeStreamIsReplay = true;
  /** The run of the last answer. */
  runId: string | null = null;
  readonly #client: AgentflowClient;
  readonly #agent: string | undefined;
  readonly #api: string;

  constructor(options: ChatTransportOptions) {
    this.#client = options.client;
    this.#agent = options.agent;
    this.#api = options.api ?? "/ai/chat";
  }

  /** Say the last of the messages: the server knows the others. The same message again gets the same run. */
  async sendMessages(options: SendOptions<M>): Promise<ReadableStream<UIMessageChunk>> {
    const { chatId, messages, trigger, messageId, abortSignal, headers, body } = options;
    const said = { ...body, id: chatId, messages: messages.slice(-1), trigger, messageId, agent: this.#agent, sdk: SDK };
    const ask: Ask = { method: "POST", path: this.#api, body: said, headers: plain(headers) };
    const stream = await this.#open(ask, abortSignal);
    if (stream === null) throw new AgentflowError({ message: "The server has no answer.", hint: "Send the message again." }, 204);
    return stream;
  }

  /** The answer that is under way in a chat, from its start; null when there is none. */
  reconnectToStream({ chatId, headers }: ResumeOptions<M>): Promise<ReadableStream<UIMessageChunk> | null> {
    return this.#open({ path: this.#resume(chatId), query: { sdk: SDK }, headers: plain(headers) }, undefined);
  }

  #open(ask: Ask, abort: AbortSignal | undefined): Promise<ReadableStream<UIMessageChunk> | null> {
    const resumed = (address: string, startIndex: number): Ask => ({ path: this.#resume(address), query: { startIndex, sdk: SDK } });
    return new Promise((resolve, reject) => {
      const reading = new Answer(ask, resumed, { resolve, reject }, (runId) => {
        this.runId = runId;
      });
      reading.start(new Connection(this.#client.requester, reading), abort);
    });
  }

  #resume(address: string): string {
    return `${this.#api}/${encodeURIComponent(address)}/stream`;
  }
}

interface Promised {
  resolve(stream: ReadableStream<UIMessageChunk> | null): void;
  reject(error: unknown): void;
}

/** One answer: asked for once, and then gone on with at the chunk that is next. */
class Answer {
  readonly #ask: Ask;
  readonly #resumed: (address: string, chunks: number) => Ask;
  readonly #promised: Promised;
  readonly #named: (runId: string) => void;
  #controller: ReadableStreamDefaultController<UIMessageChunk> | null = null;
  #address: string | null = null;
  #chunks = 0;
  #over = false;
  #stop: () => void = () => {};

  constructor(ask: Ask, resumed: (address: string, chunks: number) => Ask, promised: Promised, named: (runId: string) => void) {
    this.#ask = ask;
    this.#resumed = resumed;
    this.#promised = promised;
    this.#named = named;
  }

  start(connection: Connection, abort: AbortSignal | undefined): void {
    abort?.addEventListener("abort", () => {
      connection.stop();
      this.#fail(new DOMException("The chat was left.", "AbortError"));
    });
    this.#stop = () => connection.stop();
    connection.start();
  }

  request(): Ask {
    return this.#address === null ? this.#ask : this.#resumed(this.#address, this.#chunks);
  }

  opened(headers: Headers): void {
    this.#address ??= headers.get("x-workflow-run-id");
    const run = headers.get("x-agentflow-run-id");
    if (run !== null) this.#named(run);
    if (this.#controller !== null) return;
    const start = (controller: ReadableStreamDefaultController<UIMessageChunk>) => {
      this.#controller = controller;
    };
    this.#promised.resolve(new ReadableStream({ start, cancel: () => this.#stop() }));
  }

  frames(frames: readonly Frame[]): Next {
    for (const { data } of frames) {
      if (data === "[DONE]") continue;
      const chunk = JSON.parse(data) as UIMessageChunk;
      this.#chunks += 1;
      this.#controller?.enqueue(chunk);
      if (chunk.type === "finish" || chunk.type === "abort" || chunk.type === "error") {
        this.#over = true;
        this.#controller?.close();
        return "end";
      }
    }
    return "more";
  }

  changed(state: ConnectionState, failure: AgentflowError | null): void {
    if (state === "error") this.#fail(failure);
    else if (state === "ended" && this.#controller === null) this.#promised.resolve(null);
    else if (state === "ended") this.#fail(new AgentflowError({ code: "answer_lost", message: "The rest of the answer is gone." }));
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#promised.reject(error);
    this.#controller?.error(error);
  }
}

function plain(headers: Record<string, string> | Headers | undefined): Record<string, string> {
  return headers instanceof Headers ? Object.fromEntries(headers) : (headers ?? {});
}
