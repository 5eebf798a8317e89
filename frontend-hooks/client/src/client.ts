/** The verbs of the server, and the shared live stores. */

import { AuditApi } from "./audit.ts";
import { Connector } from "./connector.ts";
import { type DurableFrom, DurableStream } from "./durable-stream.ts";
import { QueuesApi, TasksApi, WorkersApi } from "./fleet.ts";
import type { Health } from "./generated/index.ts";
import { GrantsApi } from "./grants.ts";
import { type IndexFilter, IndexStore } from "./index-store.ts";
import { PromptsApi } from "./prompts.ts";
import { ReleasesApi } from "./releases.ts";
import { Requester, type RequesterOptions } from "./request.ts";
import { RunStore, type RunStoreOptions } from "./run-store.ts";
import { RunsApi } from "./runs.ts";
import { StoreShelf } from "./shelf.ts";
import { Sources } from "./sources.ts";
import { ThreadsApi } from "./threads.ts";
import { TokensApi } from "./tokens.ts";
import { WaitpointsApi } from "./waitpoints.ts";

/** How to reach the server, and how to tell who asks. */
export interface ClientOptions extends RequesterOptions {
  /** Milliseconds without a byte after which a stream is taken for dead (30,000). */
  readonly patience?: number;
  /**
   * Share streams among the tabs of a browser: one tab reads, and tells the others. Give the user's id, or whatever tells whose tabs may
   * know the same.
   */
  readonly shareTabs?: string;
}

/**
 * Everything that goes over HTTP, and live views of runs.
 *
 *     const client = new AgentflowClient({ baseUrl: "https://agents.example.com", getToken: () => fetchToken() });
 *     const run = await client.runs.start("fulfil", { order_id: "o-81" });
 *     const store = client.watch(run.id);
 *     const close = store.open();
 *     store.subscribe(() => render(store.getSnapshot().view));
 */
export class AgentflowClient {
  readonly runs: RunsApi;
  readonly waitpoints: WaitpointsApi;
  readonly tasks: TasksApi;
  readonly workers: WorkersApi;
  readonly queues: QueuesApi;
  readonly threads: ThreadsApi;
  readonly prompts: PromptsApi;
  readonly releases: ReleasesApi;
  readonly tokens: TokensApi;
  readonly grants: GrantsApi;
  readonly audit: AuditApi;
  /** For requests that no verb here makes. */
  readonly requester: Requester;
  readonly #sources: Sources;
  readonly #runs = new StoreShelf<RunStore>();
  readonly #indexes = new StoreShelf<IndexStore>();
  readonly #streams = new StoreShelf<DurableStream<unknown>>();
  readonly #connector: Connector;

  constructor(options: ClientOptions) {
    const requester = new Requester(options);
    this.requester = requester;
    this.#connector = new Connector(requester, options.patience ?? 30_000, options.shareTabs ?? null);
    this.#sources = new Sources(this.#connector);
    this.runs = new RunsApi(requester);
    this.waitpoints = new WaitpointsApi(requester);
    this.tasks = new TasksApi(requester);
    this.workers = new WorkersApi(requester);
    this.queues = new QueuesApi(requester);
    this.threads = new ThreadsApi(requester);
    this.prompts = new PromptsApi(requester);
    this.releases = new ReleasesApi(requester);
    this.tokens = new TokensApi(requester);
    this.grants = new GrantsApi(requester);
    this.audit = new AuditApi(requester);
  }

  /** Where the server is. */
  get baseUrl(): string {
    return this.requester.baseUrl;
  }

  /** The live view of a run: everybody who asks with the same options shares one store and one connection. */
  watch(runId: string, options: RunStoreOptions = {}): RunStore {
    const key = JSON.stringify([runId, options.types ?? null, options.from ?? "start"]);
    return this.#runs.get(key, () => new RunStore(runId, this.#sources, this.runs, options));
  }

  /** The live list of runs that a filter lets through, shared as `watch` is. */
  index(filter: IndexFilter = {}): IndexStore {
    const ordered = Object.entries(filter).sort(([a], [b]) => (a < b ? -1 : 1));
    return this.#indexes.get(JSON.stringify(ordered), () => new IndexStore(filter, this.#connector));
  }

  /** A stream of one's own under `/v1/stream`, shared as `watch` is. */
  stream<T>(path: string, options: { readonly from?: DurableFrom } = {}): DurableStream<T> {
    const from = options.from ?? "start";
    const make = () => new DurableStream<unknown>(path, from, this.#connector);
    return this.#streams.get(JSON.stringify([path, from]), make) as DurableStream<T>;
  }

  /** Close all streams now, as when somebody logs out; the runs go on. */
  detach(): void {
    for (const shelf of [this.#runs, this.#indexes, this.#streams]) shelf.detach();
  }

  /** Whether the server, its database and its streams are well; a sick server tells so and does not throw. */
  async health(): Promise<Health> {
    const response = await this.requester.send({ path: "/v1/health" });
    return (await response.json()) as Health;
  }
}
