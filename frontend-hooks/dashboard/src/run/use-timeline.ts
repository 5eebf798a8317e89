import { useRunEvents } from "@agentflow/react";
import { useEffect, useRef, useState } from "react";
import { useSeen } from "../live/seen.ts";
import { advance, EMPTY, type Timeline, type Told, TYPES } from "./timeline.ts";

/** The timeline of a run, from its first event on. Events that come together are drawn together. */
export function useTimeline(id: string): Timeline {
  const seen = useSeen();
  const line = useRef(EMPTY);
  const frame = useRef(0);
  const [shown, setShown] = useState(EMPTY);
  // What was said is told from the beginning whenever somebody begins to listen.
  // biome-ignore lint/correctness/useExhaustiveDependencies: so it begins anew for another run, and when it is seen again.
  useEffect(() => {
    line.current = EMPTY;
    return () => cancelAnimationFrame(frame.current);
  }, [id, seen]);
  useRunEvents(
    id,
    [...TYPES, "sync.snapshot"],
    (event) => {
      line.current = advance(line.current, event as object as Told);
      cancelAnimationFrame(frame.current);
      // What is told again is shown once it has come as far as what stands there.
      frame.current = requestAnimationFrame(() => setShown((last) => (line.current.last < last.last ? last : line.current)));
    },
    { replay: true, enabled: seen },
  );
  return shown;
}
