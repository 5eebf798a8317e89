import type { PromptEventInfo } from "@agentflow/client";
import { useState } from "react";
import { usePromptEvents } from "../live/prompts.ts";
import { useCapped } from "../parts/capped.tsx";
import { Link } from "../parts/link.tsx";
import { Age, Bones, Trouble } from "../parts/said.tsx";
import { paths } from "../router.ts";
import { type Told, toldBy } from "./words.ts";

const MOST = 100;

/** Who did what, when and why; the last first. */
export function Events({ name }: { name: string }) {
  const { data, error } = usePromptEvents(name);
  const [env, setEnv] = useState("");
  const envs = [...new Set((data ?? []).flatMap((one) => (one.env === null ? [] : [one.env])))].sort();
  const wanted = (data ?? []).filter((one) => env === "" || one.env === env);
  const { shown, more } = useCapped(wanted, MOST);
  if (data === undefined) return error === undefined ? <Bones rows={4} /> : <Trouble error={error} />;
  return (
    <>
      {envs.length > 1 ? (
        <fieldset className="segments" aria-label="Environment">
          {["", ...envs].map((one) => (
            <button key={one} type="button" aria-pressed={env === one} onClick={() => setEnv(one)}>
              {one || "All"}
            </button>
          ))}
        </fieldset>
      ) : null}
      <ol className="prompt-events" aria-label="What happened">
        {shown.toReversed().map((one) => (
          <Event key={one.seq} event={one} />
        ))}
      </ol>
      {more}
    </>
  );
}

function Event({ event }: { event: PromptEventInfo }) {
  const told = toldBy(event);
  const place = event.env === null ? "" : event.label === "live" || event.label === null ? event.env : `${event.env} · ${event.label}`;
  return (
    <li data-event={event.type}>
      <div>
        <b>{event.actor}</b> {told.what} <Way told={told} />
        {place === "" ? null : <span className="quiet"> in {place}</span>}
        {event.type === "run.repinned" ? (
          <>
            {" "}
            <Link to={paths.run(String(event.before))} className="link small">
              to it
            </Link>
          </>
        ) : null}
      </div>
      <Approval of={event.after} />
      {event.reason === "" ? null : <div className="event-reason">{event.reason}</div>}
      <div className="small faint">
        <Age at={event.at} />
      </div>
    </li>
  );
}

/** Where others agree to it. */
function Approval({ of }: { of: unknown }) {
  const waitpoint = (of as { waitpoint?: unknown } | null)?.waitpoint;
  if (typeof waitpoint !== "string") return null;
  return (
    <Link to={paths.approval(waitpoint)} className="link small">
      its approval
    </Link>
  );
}

/** From what to what. */
function Way({ told }: { told: Told }) {
  if (told.to === null) return null;
  return (
    <span>
      {told.from === null ? null : <span className="quiet">from {told.from} to </span>}
      <b>{told.to}</b>
    </span>
  );
}
