import { useRunEvents } from "@agentflow/react";
import { useEffect, useRef, useState } from "react";
import { useSeen } from "../live/seen.ts";
import { advance, EMPTY, type Timeline, type Told, TYPES } from "./timeline.ts";

/** Milliseconds: a history of ten thousand steps comes in pages, and is not drawn anew for each event. */
const PACE = 60;

/** The timeline of a run, from its first event on. Events that come together are drawn together. */
export function useTimeline(id: string): Timeline {
  const seen = useSeen();
  const line = useRef(EMPTY);
  const timer = useRef<number | undefined>(undefined);
  const [shown, setShown] = useState(EMPTY);
  // What was said is told from the beginning whenever somebody begins to listen.
  // biome-ignore lint/correctness/useExhaustiveDependencies: so it begins anew for another run, and when it is seen again.
  useEffect(() => {
    line.current = EMPTY;
    return () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, [id, seen]);
  function show() {
    timer.current = undefined;
    // What is told again is shown once it has come as far as what stands there.
    setShown((last) => (line.current.last < last.last ? last : line.current));
  }
  useRunEvents(
    id,
    [...TYPES, "sync.snapshot"],
    (event) => {
      line.current = advance(line.current, event as object as Told);
      timer.current ??= window.setTimeout(show, PACE);
    },
    { replay: true, enabled: seen },
  );
  return shown;
}
