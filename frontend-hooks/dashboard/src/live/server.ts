import type {
  DeliveryInfo,
  Health,
  QueueInfo,
  RunDetail,
  RunGeneration,
  RunView,
  TaskInfo,
  ThreadInfo,
  VoteInfo,
  Waitpoint,
  WorkerInfo,
} from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { useEffect } from "react";
import { type Polled, refresh, usePolled } from "./polled.ts";

// What the server knows and has no stream for.

type Asked<T> = Polled<T> & { refresh: () => void };

export function useTasks(): Asked<readonly TaskInfo[]> {
  const client = useAgentflow();
  return usePolled("tasks", async () => (await client.tasks.list()).tasks, 15_000);
}

export function useWorkers(): Asked<readonly WorkerInfo[]> {
  const client = useAgentflow();
  return usePolled("workers", async () => (await client.workers.list()).workers, 3_000);
}

export function useQueues(): Asked<readonly QueueInfo[]> {
  const client = useAgentflow();
  return usePolled("queues", async () => (await client.queues.list()).queues, 3_000);
}

export function useHealth(): Asked<Health> {
  const client = useAgentflow();
  return usePolled("health", () => client.health(), 3_000);
}

/** Approvals and forms that are open; the title of a tab in the background counts them, too. */
export function useInbox(): Asked<readonly Waitpoint[]> {
  const client = useAgentflow();
  return usePolled(
    "inbox",
    async () => {
      const kinds = ["approval", "input"] as const;
      const pages = await Promise.all(kinds.map((kind) => client.waitpoints.list({ kind, limit: 200 })));
      return pages.flatMap((page) => page.waitpoints);
    },
    3_000,
    30_000,
  );
}

/** What people said to a waitpoint: a vote that decides nothing yet changes no run, so no stream tells of it. */
export function useVotes(id: string): Asked<readonly VoteInfo[]> {
  const client = useAgentflow();
  return usePolled(`votes:${id}`, async () => (await client.waitpoints.votes(id)).votes, 3_000);
}

/** The messages about a waitpoint, and what became of each. */
export function useDeliveries(id: string): Asked<readonly DeliveryInfo[]> {
  const client = useAgentflow();
  return usePolled(`deliveries:${id}`, async () => (await client.waitpoints.deliveries(id)).deliveries, 5_000);
}

/** A run with its values, anew whenever its stream tells of another state; the rest of the time it changes little. */
export function useRunDetail(id: string, status: string): Asked<RunDetail> {
  const client = useAgentflow();
  const key = `run:${id}`;
  useEffect(() => {
    if (status !== "") refresh(key);
  }, [key, status]);
  return usePolled(key, () => client.runs.get(id), 10_000);
}

const NONE: readonly RunGeneration[] = [];

/** The model calls of a run that prompts spoke; anew when it has asked a model again. */
export function useRunGenerations(id: string, view: RunView | null): readonly RunGeneration[] {
  const client = useAgentflow();
  const key = `generations:${id}`;
  const requests = view?.usage.requests ?? 0;
  useEffect(() => {
    if (requests > 0) refresh(key);
  }, [key, requests]);
  return usePolled(key, async () => (await client.runs.generations(id)).generations, 15_000).data ?? NONE;
}

/** The conversations that something happened in last. */
export function useConversations(): Asked<readonly ThreadInfo[]> {
  const client = useAgentflow();
  return usePolled("threads", async () => (await client.threads.list({ limit: 50 })).threads, 30_000);
}

/** A waitpoint, as it was when it was last asked for. */
export function useWaitpoint(id: string): Asked<Waitpoint> {
  const client = useAgentflow();
  return usePolled(`waitpoint:${id}`, () => client.waitpoints.get(id), 5_000);
}
