import type { AgentflowError, ConnectionState, DurableFrom, DurableSnapshot, DurableStream } from "@agentflow/client";
import { useMemo } from "react";
import { type LiveStore, useLive } from "./live.ts";
import { useAgentflow } from "./provider.tsx";

/** A stream of one's own, of JSON items. */
export interface UseDurableStreamResult<T> {
  readonly items: readonly T[];
  readonly append: (item: T) => Promise<void>;
  /** Make the stream, unless it is there. */
  readonly create: DurableStream<T>["create"];
  /** Nothing more will come. */
  readonly closed: boolean;
  readonly upToDate: boolean;
  readonly connection: ConnectionState;
  readonly error: AgentflowError | null;
}

/**
 * The items of `/v1/stream/{path}`, live.
 *
 *     const { items, append } = useDurableStream<Note>("notes/7");
 */
export function useDurableStream<T = unknown>(
  path: string,
  options: { readonly from?: DurableFrom; readonly enabled?: boolean } = {},
): UseDurableStreamResult<T> {
  const client = useAgentflow();
  const { from = "start", enabled = true } = options;
  const stream = useMemo(() => client.stream<T>(path, { from }), [client, path, from]);
  const { items, closed, upToDate, connection, failure } =
    useLive<DurableSnapshot<T>>(stream as LiveStore<DurableSnapshot<T>>, enabled) ?? EMPTY;
  return { items, append: stream.append, create: stream.create, closed, upToDate, connection, error: failure };
}

const EMPTY: DurableSnapshot<never> = { items: [], closed: false, upToDate: false, connection: "idle", failure: null };
