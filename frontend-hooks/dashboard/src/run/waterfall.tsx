import type { RunGeneration } from "@agentflow/client";
import { useMemo } from "react";
import { clock, length, lived, plainName } from "../format.ts";
import { useNow } from "../live/now.ts";
import { useCapped } from "../parts/capped.tsx";
import { Link } from "../parts/link.tsx";
import { Mark, toneOf } from "../parts/status.tsx";
import { paths } from "../router.ts";
import { nested } from "./nested.ts";
import { speakerName } from "./prompts.ts";
import { type Scale, scaleOf, ticks } from "./scale.ts";
import { isOpen, type Span, type Timeline, type Turn } from "./timeline.ts";

const REASONS: Record<string, string> = {
  worker_lost: "its worker was lost",
  retry: "it failed, in a new attempt",
  deploy: "new code",
};

const MOST = 60;

interface WaterfallProps {
  line: Timeline;
  /** The versions of prompts that spoke, by the steps in which they did. */
  spoken: ReadonlyMap<string, RunGeneration>;
}

/** When everything happened. Long waits are folded, so that what was worked on can be seen. */
export function Waterfall({ line, spoken }: WaterfallProps) {
  const now = useNow(!line.ended);
  const end = line.ended ? line.last : Math.max(now, line.last);
  const { shown, more } = useCapped(line.spans, MOST);
  const scale = useMemo(() => scaleOf(shown, end), [shown, end]);
  return (
    <>
      {more}
      <div className="waterfall">
        <ol className="bars">
          {nested(shown).map(([span, depth]) => (
            <Row key={span.id} span={span} depth={depth} scale={scale} end={end} spoken={spoken.get(span.id)} />
          ))}
        </ol>
        <Under scale={scale} turns={line.turns} />
      </div>
    </>
  );
}

const KINDS: Record<string, string> = { llm: "model", code: "step", queue: "", wait: "" };

interface RowProps {
  span: Span;
  depth: number;
  scale: Scale;
  end: number;
  spoken: RunGeneration | undefined;
}

function Row({ span, depth, scale, end, spoken }: RowProps) {
  const took = (span.end ?? end) - span.start;
  const told = span.note?.startsWith("until:") ? "" : span.note;
  const kind = KINDS[span.kind] ?? span.kind;
  const label = span.kind === "llm" && span.name === "llm" ? "model" : plainName(span.name);
  const name = span.run === undefined ? <span>{label}</span> : <Link to={paths.run(span.run)}>{label}</Link>;
  return (
    <li className="bar-row" data-kind={span.kind} data-state={span.state} data-depth={Math.min(depth, 3)}>
      <span className="bar-name clip" title={told ? `${span.name}: ${told}` : span.name}>
        <Mark state={span.state} title={span.state} />
        {name}
        {spoken === undefined ? (
          <span className="bar-kind">{kind === label ? "" : kind}</span>
        ) : (
          <Link to={paths.prompt(spoken.prompt, "versions")} className="bar-kind link" title={`by ${speakerName(spoken)}`}>
            {speakerName(spoken)}
          </Link>
        )}
      </span>
      <Track span={span} scale={scale} end={end} />
      <span className="bar-took">{isOpen(span) ? lived(took) : length(took)}</span>
    </li>
  );
}

function Track({ span, scale, end }: { span: Span; scale: Scale; end: number }) {
  return (
    <span className="track" aria-hidden="true">
      {span.tries.map((one) => {
        const from = scale.x(one.start);
        const to = scale.x(Math.max(one.end ?? end, one.start));
        return (
          <span
            key={one.start}
            className="bar"
            data-tone={toneOf(one.error === undefined ? span.state : "failed")}
            data-open={(one.end === undefined && isOpen(span)) || undefined}
            title={one.error ?? `${clock(one.start)} – ${one.end === undefined ? "now" : clock(one.end)}`}
            style={{ left: `${from * 100}%`, width: `max(3px, ${(to - from) * 100}%)` }}
          />
        );
      })}
    </span>
  );
}

/** What stands behind the bars: times, folded stretches, and where the run changed hands. */
function Under({ scale, turns }: { scale: Scale; turns: readonly Turn[] }) {
  return (
    <div className="under" aria-hidden="true">
      <div className="under-track">
        {ticks(scale).map((at) => (
          <span key={at} className="tick" style={{ left: `${scale.x(at) * 100}%` }}>
            {at === scale.from ? clock(at) : `+${length(at - scale.from)}`}
          </span>
        ))}
        {scale.folds.map((fold) => (
          <span
            key={fold.from}
            className="fold"
            data-edge={fold.x1 > 0.96 || undefined}
            title={`${length(fold.to - fold.from)} of waiting, folded`}
            style={{ left: `${fold.x0 * 100}%`, width: `${(fold.x1 - fold.x0) * 100}%` }}
          >
            <span>{length(fold.to - fold.from)}</span>
          </span>
        ))}
        {turns.map((turn) => (
          <span
            key={turn.at}
            className="turn"
            title={`${clock(turn.at)}: ${REASONS[turn.reason] ?? turn.reason}`}
            style={{ left: `${scale.x(turn.at) * 100}%` }}
          />
        ))}
      </div>
    </div>
  );
}

/** The same in words, for those who do not see the drawing. */
export function Turns({ turns }: { turns: readonly Turn[] }) {
  if (turns.length === 0) return null;
  return (
    <ul className="turns">
      {turns.map((turn) => (
        <li key={turn.at} className="quiet">
          <time dateTime={new Date(turn.at).toISOString()}>{clock(turn.at)}</time> went on after {REASONS[turn.reason] ?? turn.reason}
        </li>
      ))}
    </ul>
  );
}
