// Which prompts spoke in a run: by which version, and by which step. Pure.

import type { RunGeneration } from "@agentflow/client";

/** A version that spoke in a run. */
export interface Speaker {
  readonly prompt: string;
  /** Null for one that was never registered. */
  readonly version: number | null;
  /** The variant of a rollout that drew it. */
  readonly variant: string | null;
  readonly calls: number;
}

/** The versions that spoke, in the order in which they did first. */
export function speakersOf(generations: readonly RunGeneration[]): readonly Speaker[] {
  const found = new Map<string, Speaker>();
  for (const { prompt, version, variant, hash } of generations) {
    const key = JSON.stringify([prompt, hash, variant]);
    found.set(key, { prompt, version, variant, calls: (found.get(key)?.calls ?? 0) + 1 });
  }
  return [...found.values()];
}

/** The version that spoke in each step. */
export function byStep(generations: readonly RunGeneration[]): ReadonlyMap<string, RunGeneration> {
  return new Map(generations.map((one) => [one.step, one]));
}

/** `support v3`, as it is shown beside a step. */
export function speakerName({ prompt, version }: Pick<Speaker, "prompt" | "version">): string {
  return version === null ? prompt : `${prompt} v${version}`;
}
