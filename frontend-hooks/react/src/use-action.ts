import type { AgentflowError } from "@agentflow/client";
import { useCallback, useState } from "react";
import { useLatest, useMounted } from "./latest.ts";
import { errorOf } from "./use-request.ts";

/** An action under way. */
export interface Action<A extends readonly unknown[], R> {
  readonly run: (...given: A) => Promise<R>;
  readonly isPending: boolean;
  readonly error: AgentflowError | null;
  readonly reset: () => void;
}

/** Does something once it is called, and tells how that goes. `run` fails as the action does, too. */
export function useAction<A extends readonly unknown[], R>(act: (...given: A) => Promise<R>): Action<A, R> {
  const [state, setState] = useState<{ readonly isPending: boolean; readonly error: AgentflowError | null }>(RESTING);
  const latest = useLatest(act);
  const mounted = useMounted();
  const run = useCallback(
    async (...given: A): Promise<R> => {
      const tell = (isPending: boolean, error: AgentflowError | null) => mounted.current && setState({ isPending, error });
      tell(true, null);
      try {
        const result = await latest.current(...given);
        tell(false, null);
        return result;
      } catch (error) {
        tell(false, errorOf(error));
        throw errorOf(error);
      }
    },
    [latest, mounted],
  );
  const reset = useCallback(() => setState(RESTING), []);
  return { run, ...state, reset };
}

const RESTING = { isPending: false, error: null } as const;
