import type { RunDetail, RunGeneration, RunView } from "@agentflow/client";
import { useAgentflow, useRun } from "@agentflow/react";
import { type ReactNode, useMemo, useState } from "react";
import { ApprovalCard } from "../asking/card.tsx";
import { length, moment, short } from "../format.ts";
import { useKeys } from "../live/keys.ts";
import { refresh } from "../live/polled.ts";
import { useSeen } from "../live/seen.ts";
import { useRunDetail, useRunGenerations } from "../live/server.ts";
import { useAct } from "../parts/act.ts";
import { Link } from "../parts/link.tsx";
import { Age, Bones, Dialog, Id, Trouble } from "../parts/said.tsx";
import { Status } from "../parts/status.tsx";
import { Value } from "../parts/value.tsx";
import { go, paths } from "../router.ts";
import { Journal } from "../run/journal.tsx";
import { byStep } from "../run/prompts.ts";
import { Speakers } from "../run/speakers.tsx";
import { storyOf } from "../run/story.ts";
import { Story } from "../run/story.tsx";
import { useTimeline } from "../run/use-timeline.ts";
import { Turns, Waterfall } from "../run/waterfall.tsx";
import { Took } from "./runs.tsx";

export function RunPage({ id }: { id: string }) {
  const { run: view, connection, connectionError } = useRun(id, { enabled: useSeen() });
  const detail = useRunDetail(id, view?.status ?? "");
  const spoken = useRunGenerations(id, view);
  const run = detail.data;
  useKeys({ u: () => go(paths.runs()) });
  if (run === undefined || view === null) {
    const failure = detail.error ?? connectionError;
    return (
      <>
        <Crumbs id={id} />
        {failure ? <Trouble error={failure} /> : <Bones rows={9} />}
      </>
    );
  }
  // The record knows what happened while the stream was away, the stream what happened since.
  const status = view.cursor === null ? run.status : view.status;
  return (
    <article aria-label={`Run of ${run.task}`} data-status={status}>
      <Crumbs id={id} />
      <RunHead run={run} status={status} connection={connection} />
      <Facts run={run} />
      {connection === "error" && connectionError !== null ? <Trouble error={connectionError} /> : null}
      <Waits run={run} status={status} />
      <div className="run-columns">
        <div className="run-main">
          <TimelineSection id={id} generations={spoken} />
          <StorySection view={view} />
          <Journal id={id} done={view.steps.filter((step) => step.state === "completed").length} />
        </div>
        <aside className="run-side" aria-label="Values">
          <Outcome run={run} view={view} status={status} />
          <Section name="Input">
            <Value value={run.input} />
          </Section>
          {Object.keys(view.metadata).length > 0 ? (
            <Section name="Metadata">
              <Value value={view.metadata} />
            </Section>
          ) : null}
          <Spent run={run} view={view} />
          <Prompts generations={spoken} />
        </aside>
      </div>
    </article>
  );
}

function Crumbs({ id }: { id: string }) {
  return (
    <nav className="crumbs quiet" aria-label="Way back">
      <Link to={paths.runs()} className="link">
        Runs
      </Link>
      <span aria-hidden="true">/</span>
      <Id id={id} />
    </nav>
  );
}

const AWAY: Record<string, string> = { reconnecting: "reconnecting…", error: "not live" };

function RunHead({ run, status, connection }: { run: RunDetail; status: string; connection: string }) {
  return (
    <header className="page-head">
      <h1>{run.task}</h1>
      <Status state={status} />
      {AWAY[connection] === undefined ? null : (
        <span className="quiet small" role="status">
          {AWAY[connection]}
        </span>
      )}
      <span className="spring" />
      <Actions run={run} status={status} />
    </header>
  );
}

const ENDED = new Set(["completed", "failed", "cancelled", "expired"]);

function Actions({ run, status }: { run: RunDetail; status: string }) {
  const client = useAgentflow();
  const act = useAct();
  const [asks, setAsks] = useState(false);
  async function again() {
    const next: { id?: string } = {};
    const worked = await act.run(async () =>
      Object.assign(next, await client.runs.start(run.task, (run.input ?? {}) as Record<string, unknown>, { tags: run.tags })),
    );
    if (worked && next.id !== undefined) go(paths.run(next.id));
  }
  async function resume(rerun: boolean) {
    await act.run(() => client.runs.resume(run.id, { rerun }));
    refresh(`run:${run.id}`);
  }
  return (
    <div className="row">
      {status === "paused" ? (
        <>
          <button type="button" className="button" data-kind="main" disabled={act.busy} onClick={() => resume(false)}>
            Go on
          </button>
          <button type="button" className="button" disabled={act.busy} onClick={() => resume(true)}>
            Rerun from what differs
          </button>
        </>
      ) : null}
      {ENDED.has(status) ? (
        <button type="button" className="button" disabled={act.busy} onClick={again}>
          Start again
        </button>
      ) : (
        <button type="button" className="button" data-kind="bad" onClick={() => setAsks(true)}>
          Cancel…
        </button>
      )}
      {asks ? <CancelDialog id={run.id} onClose={() => setAsks(false)} /> : null}
      {act.error === null ? null : <Trouble error={act.error} />}
    </div>
  );
}

function CancelDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const client = useAgentflow();
  const act = useAct();
  const [reason, setReason] = useState("");
  async function cancel() {
    const worked = await act.run(() => client.runs.cancel(id, reason.trim() || "cancelled in the dashboard"));
    refresh(`run:${id}`);
    if (worked) onClose();
  }
  return (
    <Dialog title="Cancel this run?" onClose={onClose}>
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault();
          void cancel();
        }}
      >
        <p className="quiet">It and its child runs are asked to stop, and have 30 seconds to clean up. What is recorded stays.</p>
        <div className="field">
          <label htmlFor="cancel-reason">
            Reason <span className="needed">optional</span>
          </label>
          <input id="cancel-reason" className="input" value={reason} onChange={(event) => setReason(event.target.value)} />
        </div>
        {act.error === null ? null : <Trouble error={act.error} />}
        <div className="row">
          <button type="submit" className="button" data-kind="bad" disabled={act.busy}>
            Cancel the run
          </button>
          <button type="button" className="button" onClick={onClose}>
            Let it go on
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Facts({ run }: { run: RunDetail }) {
  return (
    <dl className="facts">
      <Fact name="Started">
        <Age at={run.started_at ?? run.created_at} />
      </Fact>
      <Fact name="Took">
        <Took run={run} />
      </Fact>
      <Fact name="Worked">{length(run.active_ms)}</Fact>
      <Fact name="Attempt">
        {run.attempt}
        {run.recoveries > 0 ? <span className="wait"> · {run.recoveries}× recovered</span> : null}
      </Fact>
      <Fact name="Queue">{run.queue}</Fact>
      {run.worker === null ? null : <Fact name="Worker">{short(run.worker)}</Fact>}
      {run.version === null ? null : <Fact name="Version">{run.version}</Fact>}
      {run.concurrency_key === null ? null : <Fact name="Key">{run.concurrency_key}</Fact>}
      {run.parent === null ? null : (
        <Fact name="Parent">
          <Link to={paths.run(run.parent)} className="link mono">
            {short(run.parent)}
          </Link>
        </Fact>
      )}
      {run.tags.length === 0 ? null : (
        <Fact name="Tags">
          <span className="row">
            {run.tags.map((tag) => (
              <Link key={tag} to={paths.runs(`tag:${tag}`)} className="tag">
                {tag}
              </Link>
            ))}
          </span>
        </Fact>
      )}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What the run waits for: questions to be answered in place, and whatever else holds it up. */
function Waits({ run, status }: { run: RunDetail; status: string }) {
  if (ENDED.has(status)) return null;
  const approvals = run.waiting.filter((one) => (one.kind === "approval" || one.kind === "input") && one.state === "pending");
  const timer = run.waiting.find((one) => one.kind === "timer" && one.due_at !== null);
  return (
    <>
      {run.note === null ? null : (
        <p className="note" role="status">
          {run.note}
        </p>
      )}
      {approvals.map((one) => (
        <ApprovalCard key={one.id} approval={one} onAnswered={() => refresh(`run:${run.id}`)} />
      ))}
      {run.waiting.some((one) => one.kind === "callback" || one.kind === "token") ? (
        <p className="note">Waits for an answer from outside.</p>
      ) : null}
      {timer?.due_at == null ? null : (
        <p className="note" title={moment(timer.due_at)}>
          Sleeps, and wakes <Age at={timer.due_at} />.
        </p>
      )}
    </>
  );
}

export function Section({ name, children }: { name: string; children: ReactNode }) {
  return (
    <section className="section">
      <h2 className="section-head">{name}</h2>
      {children}
    </section>
  );
}

function TimelineSection({ id, generations }: { id: string; generations: readonly RunGeneration[] }) {
  const line = useTimeline(id);
  const spoken = useMemo(() => byStep(generations), [generations]);
  if (line.spans.length === 0) return null;
  return (
    <Section name="Timeline">
      <Waterfall line={line} spoken={spoken} />
      <Turns turns={line.turns} />
    </Section>
  );
}

function StorySection({ view }: { view: RunView }) {
  const parts = storyOf(view);
  if (parts.length === 0) return null;
  return (
    <Section name="What it said">
      <Story parts={parts} ended={view.ended} runs={view.children} />
    </Section>
  );
}

function Outcome({ run, view, status }: { run: RunDetail; view: RunView; status: string }) {
  if (status === "completed") {
    return (
      <Section name="Output">
        <Value value={run.output ?? view.output} />
      </Section>
    );
  }
  if (status === "cancelled") {
    return (
      <Section name="Cancelled">
        <p>{run.cancel_reason ?? "Somebody stopped it."}</p>
      </Section>
    );
  }
  if (run.error === null) return null;
  const { error } = run;
  return (
    <Section name="Error">
      <div className="trouble">
        <p>
          <b>{error.type || error.code}</b> {error.message}
        </p>
        {error.hint ? <p>{error.hint}</p> : null}
        {error.details !== null && Object.keys(error.details).length > 0 ? <Value value={error.details} /> : null}
      </div>
    </Section>
  );
}

function Prompts({ generations }: { generations: readonly RunGeneration[] }) {
  if (generations.length === 0) return null;
  return (
    <Section name="Prompts">
      <Speakers generations={generations} />
    </Section>
  );
}

function Spent({ run, view }: { run: RunDetail; view: RunView }) {
  const { usage } = view;
  const { own, total } = run.usage;
  if (usage.requests === 0 && total.calls === 0) return null;
  return (
    <Section name="Model">
      <dl className="pairs">
        <Fact name="requests">{usage.requests}</Fact>
        <Fact name="tokens in">{usage.input.toLocaleString()}</Fact>
        <Fact name="tokens out">{usage.output.toLocaleString()}</Fact>
        {usage.cost > 0 ? <Fact name="cost">${usage.cost.toFixed(4)}</Fact> : null}
        {own.unpriced > 0 ? <Fact name="of unknown price">{own.unpriced}</Fact> : null}
        {total.calls > own.calls ? (
          <Fact name="with its children">
            {(total.input + total.output).toLocaleString()} tokens{total.usd === null ? "" : `, $${total.usd}`}
          </Fact>
        ) : null}
      </dl>
    </Section>
  );
}
