/** Tasks, workers and queues over HTTP. */

import type { QueueInfo, QueuePage, TaskPage, WorkerInfo, WorkerPage } from "./generated/index.ts";
import { defined } from "./options.ts";
import type { Requester } from "./request.ts";

/** Tasks and agents that some worker has served. */
export class TasksApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** All known tasks; an agent is a task of kind `agent`. */
  list(): Promise<TaskPage> {
    return this.#requester.json({ path: "/v1/tasks" });
  }
}

/** Processes that take runs. */
export class WorkersApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** All workers on the list, live or not. */
  list(): Promise<WorkerPage> {
    return this.#requester.json({ path: "/v1/workers" });
  }

  /** Have a worker take no more runs, and leave. */
  drain(id: string): Promise<WorkerInfo> {
    return this.#requester.json({ method: "POST", path: `/v1/workers/${encodeURIComponent(id)}/drain` });
  }
}

/** Where runs wait. */
export class QueuesApi {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** All queues that hold runs, that a worker serves, or that are limited or paused. */
  list(): Promise<QueuePage> {
    return this.#requester.json({ path: "/v1/queues" });
  }

  /** Let nothing of this queue begin or go on. */
  pause(name: string, by?: string): Promise<QueueInfo> {
    return this.#requester.json({ method: "POST", path: `/v1/queues/${encodeURIComponent(name)}/pause`, body: defined({ by }) });
  }

  /** Let a paused queue go on. */
  resume(name: string): Promise<QueueInfo> {
    return this.#requester.json({ method: "POST", path: `/v1/queues/${encodeURIComponent(name)}/resume` });
  }
}
