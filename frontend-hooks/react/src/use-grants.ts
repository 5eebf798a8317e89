import type { AgentflowError, GrantInfo, GrantQuery } from "@agentflow/client";
import { useCallback, useMemo } from "react";
import { useByValue } from "./latest.ts";
import { useAgentflow } from "./provider.tsx";
import { useRequest } from "./use-request.ts";
import { useChanges } from "./use-thread.ts";

/** Standing yeses to calls of tools. */
export interface UseGrantsResult {
  /** The newest first. */
  readonly grants: readonly GrantInfo[];
  /** Take one back, at once; `by` says who, where an API key vouches for them. Fails as the server refuses. */
  readonly revoke: (id: string, options?: { readonly by?: string }) => Promise<GrantInfo>;
  readonly isLoading: boolean;
  readonly error: AgentflowError | null;
  readonly reload: () => void;
}

/**
 * Grants that count now, of one `tool` or of all; `every` one with those that are over. Looked at anew when a run begins, or its state
 * changes: that is when one is used.
 *
 *     const { grants, revoke } = useGrants({ tool: "refund" });
 */
export function useGrants(query: GrantQuery = {}): UseGrantsResult {
  const client = useAgentflow();
  const wanted = useByValue(query);
  const load = useCallback(async () => (await client.grants.list(wanted)).grants, [client, wanted]);
  const { data, error, isLoading, reload } = useRequest(load);
  useChanges(
    useMemo(() => client.index(), [client]),
    reload,
  );
  const revoke = useCallback<UseGrantsResult["revoke"]>(
    async (id, options = {}) => {
      const gone = await client.grants.revoke(id, options);
      reload();
      return gone;
    },
    [client, reload],
  );
  return { grants: data ?? NONE, revoke, isLoading: isLoading && data === null, error, reload };
}

const NONE: readonly GrantInfo[] = [];
