import type {
  AgentflowClient,
  Generation,
  PromptEventInfo,
  PromptInfo,
  PromptPin,
  PromptPolicy,
  PromptRequest,
  PromptVersion,
  VersionMetrics,
} from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { type Polled, refresh, usePolled } from "./polled.ts";

// Prompts have no stream: what is live changes when somebody moves it, and then all that shows it is asked for anew.

type Asked<T> = Polled<T> & { refresh: () => void };

export function usePrompts(): Asked<readonly PromptInfo[]> {
  const client = useAgentflow();
  return usePolled("prompts", async () => (await client.prompts.list()).prompts, 5_000);
}

export function usePrompt(name: string): Asked<PromptInfo> {
  const client = useAgentflow();
  return usePolled(`prompt:${name}`, () => client.prompts.get(name), 5_000);
}

export function useVersions(name: string): Asked<readonly PromptVersion[]> {
  const client = useAgentflow();
  return usePolled(`prompt-versions:${name}`, async () => (await client.prompts.versions(name)).versions, 10_000);
}

/** All that happened, oldest first. */
export function usePromptEvents(name: string): Asked<readonly PromptEventInfo[]> {
  const client = useAgentflow();
  return usePolled(`prompt-events:${name}`, () => eventsOf(client, name), 5_000);
}

const known = new Map<string, readonly PromptEventInfo[]>();

/** What was told is never told otherwise: only what came since is asked for. */
async function eventsOf(client: AgentflowClient, name: string): Promise<readonly PromptEventInfo[]> {
  let told = known.get(name) ?? [];
  while (true) {
    const { events } = await client.prompts.events(name, { after: told.at(-1)?.seq ?? 0 });
    if (events.length === 0) return told;
    told = [...told, ...events];
    known.set(name, told);
  }
}

/** The runs that hold a version and have not ended. */
export function usePins(name: string): Asked<readonly PromptPin[]> {
  const client = useAgentflow();
  return usePolled(`prompt-pins:${name}`, async () => (await client.prompts.pins(name)).pins, 5_000);
}

/** What was asked for and waits for others, the newest first. */
export function useRequests(name: string): Asked<readonly PromptRequest[]> {
  const client = useAgentflow();
  const ask = async () => (await client.releases.requests(name)).requests.filter((one) => one.status === "asked");
  return usePolled(`prompt-requests:${name}`, ask, 5_000);
}

/** What has to be before a prompt is moved there; null for nothing. */
export function usePolicy(name: string, env: string): Asked<PromptPolicy | null> {
  const client = useAgentflow();
  return usePolled(`prompt-policy:${name} ${env}`, async () => (await client.releases.policy(name, env)).policy, 15_000);
}

/** Ask anew for all of a prompt that this page has just changed. */
export function refreshPrompt(name: string): void {
  for (const key of ["prompt", "prompt-versions", "prompt-events", "prompt-pins", "prompt-requests"]) refresh(`${key}:${name}`);
  refresh("prompts");
}

/** The last model calls that versions of a prompt spoke. */
export function useGenerations(name: string): Asked<readonly Generation[]> {
  const client = useAgentflow();
  return usePolled(`prompt-generations:${name}`, async () => (await client.prompts.generations(name, { limit: 20 })).generations, 10_000);
}

/** What was measured of each version, or each variant of a rollout, in the last `days`. */
export function useMetrics(name: string, group: "version" | "variant", days: number): Asked<readonly VersionMetrics[]> {
  const client = useAgentflow();
  const ask = async () => (await client.prompts.metrics(name, { group, since: Date.now() - days * 86_400_000 })).metrics;
  return usePolled(`prompt-metrics:${name} ${group} ${days}`, ask, 10_000);
}
