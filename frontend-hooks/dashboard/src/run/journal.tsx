import type { JournalRecord } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { useEffect, useState } from "react";
import { clock, count, length, plainName } from "../format.ts";
import { refresh, usePolled } from "../live/polled.ts";
import { useCapped } from "../parts/capped.tsx";
import { Bones, Trouble } from "../parts/said.tsx";
import { Mark } from "../parts/status.tsx";
import { Value } from "../parts/value.tsx";

/** What is recorded, and will never run again. Asked for when somebody opens it; `done` counts steps that were completed since. */
export function Journal({ id, done }: { id: string; done: number }) {
  const [open, setOpen] = useState(false);
  return (
    <details className="journal" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <h2>Journal</h2>
      </summary>
      {open ? <Entries id={id} done={done} /> : null}
    </details>
  );
}

const MOST = 100;

function Entries({ id, done }: { id: string; done: number }) {
  const client = useAgentflow();
  const key = `journal:${id}`;
  const { data, error } = usePolled(key, async () => (await client.runs.journal(id)).entries, 10_000);
  useEffect(() => {
    if (done > 0) refresh(key);
  }, [key, done]);
  const { shown, more } = useCapped(data ?? [], MOST);
  if (error !== undefined && data === undefined) return <Trouble error={error} />;
  if (data === undefined) return <Bones rows={3} />;
  if (data.length === 0) return <p className="quiet">Nothing is recorded yet.</p>;
  return (
    <>
      <p className="quiet small">{count(data.length, "record")}: after a crash the run goes on behind the last one.</p>
      {more}
      <ol className="rows">
        {shown.map((entry) => (
          <li key={entry.seq}>
            <Entry entry={entry} />
          </li>
        ))}
      </ol>
    </>
  );
}

function Entry({ entry }: { entry: JournalRecord }) {
  return (
    <details className="entry">
      <summary>
        <span className="faint mono">{entry.seq}</span>
        <Mark state={entry.kind === "error" ? "failed" : "completed"} title={entry.kind} />
        <span className="clip mono" title={entry.step}>
          {plainName(entry.step)}
        </span>
        <span className="quiet">{entry.tries > 1 ? `${entry.tries} tries` : ""}</span>
        <span className="quiet">{length(entry.ended_at - entry.started_at)}</span>
        <time className="quiet" dateTime={new Date(entry.ended_at).toISOString()}>
          {clock(entry.ended_at)}
        </time>
      </summary>
      <div className="entry-value">
        <Value value={entry.value} />
      </div>
    </details>
  );
}
