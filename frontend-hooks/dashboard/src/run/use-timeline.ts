import { useRunEvents } from "@agentflow/react";
import { useEffect, useRef, useState } from "react";
import { advance, EMPTY, type Timeline, type Told, TYPES } from "./timeline.ts";

/** The timeline of a run, from its first event on. Events that come together are drawn together. */
export function useTimeline(id: string): Timeline {
  const line = useRef(EMPTY);
  const frame = useRef(0);
  const [shown, setShown] = useState(EMPTY);
  useEffect(() => {
    line.current = EMPTY;
    setShown(EMPTY);
    return () => cancelAnimationFrame(frame.current);
  }, []);
  useRunEvents(
    id,
    [...TYPES],
    (event) => {
      line.current = advance(line.current, event as object as Told);
      cancelAnimationFrame(frame.current);
      frame.current = requestAnimationFrame(() => setShown(line.current));
    },
    { replay: true },
  );
  return shown;
}
