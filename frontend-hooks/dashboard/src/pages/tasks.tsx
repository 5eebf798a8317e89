import type { TaskInfo } from "@agentflow/client";
import { LIST_KEYS, useKeys } from "../live/keys.ts";
import { useTasks } from "../live/server.ts";
import { AgentsIcon } from "../parts/icons.tsx";
import { Link } from "../parts/link.tsx";
import { Bones, Empty, Trouble } from "../parts/said.tsx";
import { paths } from "../router.ts";

export function TasksPage() {
  const { data, error } = useTasks();
  useKeys(LIST_KEYS);
  const agents = data?.filter((task) => task.kind === "agent") ?? [];
  const tasks = data?.filter((task) => task.kind !== "agent") ?? [];
  return (
    <>
      <header className="page-head">
        <h1>Agents and tasks</h1>
      </header>
      {error !== undefined && data === undefined ? <Trouble error={error} /> : null}
      {data === undefined && error === undefined ? <Bones /> : null}
      {data?.length === 0 ? (
        <Empty icon={<AgentsIcon />} title="No task is known">
          <p>Tasks show up here when a worker that has their code has started.</p>
          <code>agentflow worker app.py</code>
        </Empty>
      ) : null}
      <TaskList name="Agents" tasks={agents} />
      <TaskList name="Tasks" tasks={tasks} />
    </>
  );
}

function TaskList({ name, tasks }: { name: string; tasks: readonly TaskInfo[] }) {
  if (tasks.length === 0) return null;
  return (
    <section className="section">
      <h2 className="section-head">{name}</h2>
      <ul className="tiles">
        {tasks.map((task) => (
          <li key={task.name}>
            <Link to={paths.task(task.name)} className="tile" data-item="" data-task={task.name}>
              <span className="tile-head">
                <b>{task.name}</b>
                <code className="faint clip">({Object.keys((task.payload_schema.properties as object | undefined) ?? {}).join(", ")})</code>
              </span>
              <span className="quiet">{firstLine(task.description)}</span>
              <Served task={task} />
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

export function Served({ task }: { task: TaskInfo }) {
  if (task.workers === 0) return <span className="small wait">no live worker has its code: runs will wait</span>;
  return (
    <span className="small faint">
      queue {task.queue}
      {task.version === null ? "" : `, version ${task.version}`}
    </span>
  );
}
