import type { QueueInfo, WorkerInfo } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { useState } from "react";
import { count, distance } from "../format.ts";
import { LIST_KEYS, useKeys } from "../live/keys.ts";
import { useNow } from "../live/now.ts";
import { refresh } from "../live/polled.ts";
import { useQueues, useWorkers } from "../live/server.ts";
import { useAct } from "../parts/act.ts";
import { WorkersIcon } from "../parts/icons.tsx";
import { Age, Bones, Dialog, Empty, Trouble } from "../parts/said.tsx";
import { Status } from "../parts/status.tsx";
import { useName } from "../session.ts";

export function WorkersPage() {
  useKeys(LIST_KEYS);
  return (
    <>
      <header className="page-head">
        <h1>Workers and queues</h1>
      </header>
      <section className="section">
        <h2 className="section-head">Workers</h2>
        <Workers />
      </section>
      <section className="section">
        <h2 className="section-head">Queues</h2>
        <Queues />
      </section>
    </>
  );
}

function Workers() {
  const { data, error } = useWorkers();
  if (data === undefined) return error === undefined ? <Bones rows={3} /> : <Trouble error={error} />;
  if (data.length === 0) {
    return (
      <Empty icon={<WorkersIcon />} title="No worker">
        <p>Runs are kept, and wait for one.</p>
        <code>agentflow worker app.py</code>
      </Empty>
    );
  }
  return (
    <ul className="rows">
      {data.map((worker) => (
        <WorkerRow key={worker.id} worker={worker} />
      ))}
    </ul>
  );
}

function WorkerRow({ worker }: { worker: WorkerInfo }) {
  const [asks, setAsks] = useState(false);
  const state = !worker.live ? "failed" : worker.state === "draining" ? "paused" : "running";
  const told = !worker.live ? "lost" : worker.state === "draining" ? "draining" : "works";
  return (
    <li className="fleet-row" data-worker={worker.id} data-item="" tabIndex={-1}>
      <div className="fleet-what">
        <b>
          {worker.host} <span className="faint">{worker.pid}</span>
        </b>
        <span className="small quiet">
          {worker.queues.join(", ")} · since <Age at={worker.started_at} />
        </span>
      </div>
      <Status state={state}>{told}</Status>
      <Slots worker={worker} />
      <span className="small quiet fleet-tasks clip" title={worker.tasks.map((task) => task.name).join(", ")}>
        {count(worker.tasks.length, "task")}
      </span>
      {worker.live && worker.state !== "draining" ? (
        <button type="button" className="button" onClick={() => setAsks(true)}>
          Drain…
        </button>
      ) : (
        <span />
      )}
      {asks ? <DrainDialog worker={worker} onClose={() => setAsks(false)} /> : null}
    </li>
  );
}

function Slots({ worker }: { worker: WorkerInfo }) {
  return (
    <span className="slots">
      <meter min={0} max={Math.max(1, worker.slots)} value={worker.runs} aria-label="Slots in use" />
      <span className="small quiet">
        {worker.runs} of {worker.slots}
      </span>
    </span>
  );
}

function DrainDialog({ worker, onClose }: { worker: WorkerInfo; onClose: () => void }) {
  const client = useAgentflow();
  const act = useAct();
  async function drain() {
    const worked = await act.run(() => client.workers.drain(worker.id));
    refresh("workers");
    refresh("health");
    if (worked) onClose();
  }
  return (
    <Dialog title="Drain this worker?" onClose={onClose}>
      <div className="form">
        <p className="quiet">
          {worker.host} {worker.pid} takes no more runs, finishes the steps that it is in, hands its runs back, and leaves.
        </p>
        {act.error === null ? null : <Trouble error={act.error} />}
        <div className="row">
          <button type="button" className="button" data-kind="main" disabled={act.busy} onClick={drain}>
            Drain
          </button>
          <button type="button" className="button" onClick={onClose}>
            Keep it
          </button>
        </div>
      </div>
    </Dialog>
  );
}

function Queues() {
  const { data, error } = useQueues();
  if (data === undefined) return error === undefined ? <Bones rows={3} /> : <Trouble error={error} />;
  if (data.length === 0) return <p className="quiet">No queue holds a run, and no worker serves one.</p>;
  return (
    <ul className="rows">
      {data.map((queue) => (
        <QueueRow key={queue.name} queue={queue} />
      ))}
    </ul>
  );
}

function QueueRow({ queue }: { queue: QueueInfo }) {
  const client = useAgentflow();
  const [name] = useName();
  const act = useAct();
  const paused = queue.paused_at !== null;
  async function turn() {
    await act.run(() => (paused ? client.queues.resume(queue.name) : client.queues.pause(queue.name, name || "dashboard")));
    refresh("queues");
  }
  return (
    <li className="fleet-row queue-row" data-queue={queue.name} data-paused={paused || undefined} data-item="" tabIndex={-1}>
      <div className="fleet-what">
        <b>{queue.name}</b>
        <span className="small quiet">
          <Limits queue={queue} />
        </span>
      </div>
      <Counts queue={queue} />
      <Wait queue={queue} />
      <button type="button" className="button" data-kind={paused ? "main" : undefined} disabled={act.busy} onClick={turn}>
        {paused ? "Resume" : "Pause"}
      </button>
      {act.error === null ? null : <Trouble error={act.error} />}
    </li>
  );
}

function Limits({ queue }: { queue: QueueInfo }) {
  const told = [
    queue.concurrency === null ? null : `${queue.concurrency} at once`,
    queue.key_concurrency === null ? null : `${queue.key_concurrency} per key`,
    queue.rate,
    queue.key_rate === null ? null : `${queue.key_rate} per key`,
  ].filter((one) => one !== null);
  if (queue.paused_at !== null) {
    return (
      <span className="wait">
        paused <Age at={queue.paused_at} />
        {queue.paused_by === null ? "" : ` by ${queue.paused_by}`}
      </span>
    );
  }
  return told.length > 0 ? told.join(", ") : count(queue.workers, "worker");
}

const COUNTED = ["running", "queued", "waiting", "scheduled", "paused"] as const;

function Counts({ queue }: { queue: QueueInfo }) {
  return (
    <dl className="counts">
      {COUNTED.filter((state) => state !== "paused" || queue.paused > 0).map((state) => (
        <div key={state} data-none={queue[state] === 0 || undefined}>
          <dd>{queue[state].toLocaleString()}</dd>
          <dt>{state}</dt>
        </div>
      ))}
    </dl>
  );
}

function Wait({ queue }: { queue: QueueInfo }) {
  const now = useNow(queue.oldest_queued_at !== null);
  if (queue.workers === 0 && queue.queued > 0) return <span className="small wait">no worker serves it</span>;
  if (queue.oldest_queued_at === null) return <span className="small faint">nothing waits</span>;
  return <span className="small quiet">oldest {distance(queue.oldest_queued_at, now)}</span>;
}
