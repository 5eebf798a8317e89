/** What callers say in TypeScript, and the same as the server reads it. */

import type { RunOptions } from "./generated/index.ts";
import type { JsonObject } from "./view.ts";

/** Seconds, or a text like "30s", "5m", "2h", "3d". */
export type Duration = number | string;

/** How a run starts. `thread` makes it the next turn of that conversation. */
export interface StartOptions {
  readonly idempotencyKey?: string;
  readonly idempotencyScope?: "run" | "global";
  readonly tags?: readonly string[];
  readonly thread?: string;
  readonly metadata?: JsonObject;
  readonly delay?: Duration;
  readonly ttl?: Duration;
  readonly priority?: number;
  readonly weight?: number;
  readonly concurrencyKey?: string;
  readonly dedupeKey?: string;
  readonly debounce?: {
    readonly key: string;
    readonly delay: Duration;
    readonly maxDelay?: Duration;
    readonly mode?: "trailing" | "leading";
  };
}

/** The tag of the runs of a thread. */
export function threadTag(thread: string): string {
  return `thread:${thread}`;
}

/** The options as the server reads them. */
export function runOptions(options: StartOptions): RunOptions {
  const { idempotencyKey, idempotencyScope, concurrencyKey, dedupeKey, debounce, ...same } = options;
  const { maxDelay, ...settled } = debounce ?? {};
  return defined({
    ...same,
    idempotency_key: idempotencyKey,
    idempotency_scope: idempotencyScope,
    concurrency_key: concurrencyKey,
    dedupe_key: dedupeKey,
    debounce: debounce && defined({ ...settled, max_delay: maxDelay }),
  }) as RunOptions;
}

/** Without the fields that are undefined: the server refuses null where a value is not optional. */
export function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}
