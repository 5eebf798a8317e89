import type { TaskInfo } from "@agentflow/client";
import { type DraftObject, draftsOf, Fields, fieldsOf, type Read, readAll, readJson, useTrigger } from "@agentflow/react";
import { type FormEvent, type ReactNode, useEffect, useId, useState } from "react";
import { FORM } from "../asking/form-classes.ts";
import { useKeys } from "../live/keys.ts";
import { useTasks } from "../live/server.ts";
import { useAct } from "../parts/act.ts";
import { AgentsIcon } from "../parts/icons.tsx";
import { Link } from "../parts/link.tsx";
import { Bones, Empty, Trouble } from "../parts/said.tsx";
import { go, paths } from "../router.ts";
import { Conversation } from "../talk/conversation.tsx";
import { Served } from "./tasks.tsx";

export function TaskPage({ name, thread }: { name: string; thread: string | null }) {
  const { data, error } = useTasks();
  useKeys({ u: () => go(paths.tasks()) });
  if (data === undefined) return error === undefined ? <Bones /> : <Trouble error={error} />;
  const task = data.find((one) => one.name === name);
  if (task === undefined) {
    return (
      <Empty icon={<AgentsIcon />} title={`There is no task ${name}`}>
        <Link to={paths.tasks()} className="link">
          All tasks
        </Link>
      </Empty>
    );
  }
  return (
    <>
      <nav className="crumbs quiet" aria-label="Way back">
        <Link to={paths.tasks()} className="link">
          Agents and tasks
        </Link>
      </nav>
      {talks(task) ? <Talk task={task} thread={thread} /> : <Start task={task} />}
    </>
  );
}

/** A conversation has a box for the prompt; an agent that takes more than that has a form. */
function talks(task: TaskInfo): boolean {
  return task.kind === "agent" && Object.keys((task.payload_schema.properties as object | undefined) ?? {}).join() === "prompt";
}

function TaskHead({ task, children }: { task: TaskInfo; children: ReactNode }) {
  return (
    <header className="page-head">
      <h1>{task.name}</h1>
      <Served task={task} />
      <span className="spring" />
      {children}
    </header>
  );
}

function Start({ task }: { task: TaskInfo }) {
  return (
    <>
      <TaskHead task={task}>
        <Link to={paths.runs(`task:${task.name}`)} className="link small">
          its runs
        </Link>
      </TaskHead>
      <Starter key={task.name} task={task} />
    </>
  );
}

/** A conversation has its name before its first word, so that a reload finds it. */
function Talk({ task, thread }: { task: TaskInfo; thread: string | null }) {
  useEffect(() => {
    if (thread === null) go(paths.task(task.name, freshId()), { replace: true });
  }, [task.name, thread]);
  if (thread === null) return null;
  return (
    <>
      <TaskHead task={task}>
        <Link to={paths.task(task.name)} className="button">
          New conversation
        </Link>
        <Link to={paths.runs(`tag:thread:${thread}`)} className="link small">
          its runs
        </Link>
      </TaskHead>
      <Conversation key={`${task.name}/${thread}`} agent={task.name} thread={thread} />
    </>
  );
}

/** `crypto.randomUUID` is not there for a page that came over plain HTTP from another machine. */
function freshId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function Starter({ task }: { task: TaskInfo }) {
  const [fields] = useState(() => fieldsOf(task.payload_schema));
  const [drafts, setDrafts] = useState<DraftObject>(() => draftsOf(fields, {}));
  const [json, setJson] = useState<string | null>(null);
  const [problems, setProblems] = useState<Read["problems"]>({});
  const [tags, setTags] = useState("");
  const { trigger } = useTrigger(task.name);
  const act = useAct();
  const ids = useId();

  async function start(event: FormEvent) {
    event.preventDefault();
    const read = json === null ? readAll(fields, drafts) : readJson(json, "json");
    setProblems(read.problems);
    if (!("value" in read)) return;
    const marks = tags.split(/[\s,]+/).filter(Boolean);
    const started: { id?: string } = {};
    const worked = await act.run(async () => {
      started.id = (await trigger(read.value as Record<string, unknown>, marks.length > 0 ? { tags: marks } : {})).runId;
    });
    if (worked && started.id !== undefined) go(paths.run(started.id));
  }

  function turn() {
    if (json === null) setJson(JSON.stringify(readAll(fields, drafts).value ?? {}, null, 2));
    else {
      const read = readJson(json);
      if (typeof read.value === "object" && read.value !== null) setDrafts(draftsOf(fields, read.value as Record<string, unknown>));
      setJson(null);
    }
    setProblems({});
  }

  return (
    <form className="form starter" onSubmit={start} noValidate>
      {task.description ? <p className="quiet pre">{task.description}</p> : null}
      {json === null ? (
        <Fields fields={fields} drafts={drafts} problems={problems} onChange={setDrafts} classes={FORM} />
      ) : (
        <div className="field">
          <label htmlFor={`${ids}-json`}>Payload</label>
          <textarea
            id={`${ids}-json`}
            className="input code"
            rows={8}
            spellCheck={false}
            value={json}
            onChange={(event) => setJson(event.target.value)}
          />
          {problems.json ? (
            <p className="problem" role="alert">
              {problems.json}
            </p>
          ) : null}
        </div>
      )}
      <div className="field">
        <label htmlFor={`${ids}-tags`}>
          Tags <span className="needed">optional</span>
        </label>
        <input id={`${ids}-tags`} className="input" value={tags} onChange={(event) => setTags(event.target.value)} autoComplete="off" />
      </div>
      {act.error === null ? null : <Trouble error={act.error} />}
      <div className="row">
        <button type="submit" className="button" data-kind="main" disabled={act.busy}>
          Start {task.name}
        </button>
        <button type="button" className="button" onClick={turn}>
          {json === null ? "As JSON" : "As a form"}
        </button>
      </div>
    </form>
  );
}
