import { AgentflowError } from "@agentflow/client";
import { useCallback, useEffect, useRef, useState } from "react";

/** What was asked for, as it was last answered. `data` stays while it is asked for anew. */
export interface Requested<T> {
  readonly data: T | null;
  readonly error: AgentflowError | null;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

interface State<T> {
  readonly of: unknown;
  readonly data: T | null;
  readonly error: AgentflowError | null;
  readonly isLoading: boolean;
}

/** Asks when `load` changes and on `reload`; null asks nothing. The answer to an older question never overwrites a newer one. */
export function useRequest<T>(load: (() => Promise<T>) | null): Requested<T> {
  const [state, setState] = useState<State<T>>({ of: load, data: null, error: null, isLoading: load !== null });
  const [round, setRound] = useState(0);
  const asked = useRef(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round asks the same question again.
  useEffect(() => {
    if (load === null) return;
    asked.current += 1;
    const own = asked.current;
    setState((last) => (last.of === load ? { ...last, isLoading: true } : { of: load, data: null, error: null, isLoading: true }));
    load().then(
      (data) => own === asked.current && setState({ of: load, data, error: null, isLoading: false }),
      (error: unknown) => own === asked.current && setState((last) => ({ ...last, error: errorOf(error), isLoading: false })),
    );
    return () => {
      asked.current += 1;
    };
  }, [load, round]);
  const reload = useCallback(() => setRound((last) => last + 1), []);
  const current = state.of === load ? state : { data: null, error: null, isLoading: load !== null };
  return { data: current.data, error: current.error, isLoading: current.isLoading, reload };
}

/** Any failure as the one error of the client. */
export function errorOf(error: unknown): AgentflowError {
  return error instanceof AgentflowError ? error : new AgentflowError({ message: String(error) }, 0, null, error);
}
