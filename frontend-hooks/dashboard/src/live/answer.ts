import { useEffect, useState } from "react";

export interface Answer<T> {
  data: T | null;
  error: Error | null;
}

const NOTHING: Answer<never> = { data: null, error: null };

/**
 * The answer to a question that is asked once, when `key` changes and after a pause; null asks nothing. What was answered before stays
 * until the next answer is there; an answer that comes after the next question is for nobody.
 */
export function useAnswer<T>(key: string | null, ask: (signal: AbortSignal) => Promise<T>, pause = 0): Answer<T> & { asking: boolean } {
  const [state, setState] = useState<Answer<T> & { of: string | null }>({ ...NOTHING, of: null });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says what is asked
  useEffect(() => {
    if (key === null) return;
    const stop = new AbortController();
    const show = (answer: Answer<T>) => stop.signal.aborted || setState({ ...answer, of: key });
    const timer = setTimeout(() => {
      ask(stop.signal).then(
        (data) => show({ data, error: null }),
        (error: Error) => show({ data: null, error }),
      );
    }, pause);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [key]);
  if (key === null) return { ...NOTHING, asking: false };
  return { data: state.data, error: state.error, asking: state.of !== key };
}
