import type { Run } from "@agentflow/client";
import { questionOf, useRuns } from "@agentflow/react";
import { type KeyboardEvent, type ReactNode, useDeferredValue, useEffect, useId, useMemo, useRef, useState } from "react";
import { count, day, length, lived } from "../format.ts";
import { LIST_KEYS, useKeys } from "../live/keys.ts";
import { useNow } from "../live/now.ts";
import { useSeen } from "../live/seen.ts";
import { useInbox, useTasks } from "../live/server.ts";
import { RunsIcon } from "../parts/icons.tsx";
import { Link } from "../parts/link.tsx";
import { Age, Bones, Empty, Trouble } from "../parts/said.tsx";
import { Mark } from "../parts/status.tsx";
import { go, paths } from "../router.ts";
import { type Filter, isEmpty, matches, parseFilter, withPart } from "../runs-filter.ts";

const CHIPS = ["running", "waiting", "failed", "completed"] as const;
const PAGE = 50;
const MOST = 500;

export function RunsPage({ query }: { query: string }) {
  const [most, setMost] = useState(PAGE);
  const filter = parseFilter(query);
  const { runs, error, isLoading } = useRuns({
    ...(filter.task === undefined ? {} : { task: filter.task }),
    ...(filter.status === undefined ? {} : { status: filter.status }),
    ...(filter.tag === undefined ? {} : { tag: filter.tag }),
    limit: most,
    enabled: useSeen(),
  });
  const shown = useDeferredValue(runs).filter((run) => matches(run, filter.words));
  useKeys(LIST_KEYS);
  return (
    <>
      <header className="page-head">
        <h1>Runs</h1>
        <span className="spring" />
        <FilterBar query={query} filter={filter} />
      </header>
      {error !== null && runs.length === 0 ? <Trouble error={error} /> : null}
      {isLoading && runs.length === 0 ? <Bones rows={8} /> : <RunList runs={shown} filter={filter} isSick={error !== null} />}
      {runs.length >= most && most < MOST ? (
        <p className="older">
          <button type="button" className="button" onClick={() => setMost(Math.min(MOST, most * 2))}>
            Older runs
          </button>
        </p>
      ) : null}
    </>
  );
}

function FilterBar({ query, filter }: { query: string; filter: Filter }) {
  function show(line: string) {
    go(paths.runs(line), { replace: true });
  }
  return (
    <search className="filter">
      <fieldset className="chips">
        <legend className="hidden">Status</legend>
        <Chip on={filter.status === undefined} onClick={() => show(withPart(query, "status", null))}>
          All
        </Chip>
        {CHIPS.map((status) => (
          <Chip
            key={status}
            on={filter.status === status}
            onClick={() => show(withPart(query, "status", filter.status === status ? null : status))}
          >
            <Mark state={status} />
            {status}
          </Chip>
        ))}
      </fieldset>
      <FilterBox query={query} onShow={show} />
    </search>
  );
}

const PAUSE = 200;

/** What is typed counts when the typing pauses: each filter is a stream of its own. */
function FilterBox({ query, onShow }: { query: string; onShow: (line: string) => void }) {
  const box = useRef<HTMLInputElement>(null);
  const tasks = useTasks().data ?? [];
  const suggestions = useId();
  const [typed, setTyped] = useState<string | null>(null);
  useKeys({ "/": () => box.current?.focus() });
  // biome-ignore lint/correctness/useExhaustiveDependencies: only more typing puts it off.
  useEffect(() => {
    if (typed === null) return;
    const timer = setTimeout(() => onShow(typed.trim()), PAUSE);
    return () => clearTimeout(timer);
  }, [typed]);
  // Whatever else changes the filter is shown here, too.
  useEffect(() => setTyped((last) => (last?.trim() === query ? last : null)), [query]);
  function pressed(event: KeyboardEvent) {
    if (event.key !== "Escape" && event.key !== "Enter") return;
    if (typed !== null) onShow(typed.trim());
    box.current?.blur();
  }
  return (
    <div className="filter-box">
      <input
        ref={box}
        className="input"
        type="search"
        aria-label="Filter runs"
        placeholder="task: tag: status: or any word"
        value={typed ?? query}
        list={suggestions}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setTyped(event.target.value)}
        onKeyDown={pressed}
      />
      <kbd>/</kbd>
      <datalist id={suggestions}>
        {tasks.map((task) => (
          <option key={task.name} value={`task:${task.name}`} />
        ))}
      </datalist>
    </div>
  );
}

function Chip({ on, onClick, children }: { on: boolean; onClick: () => void; children: ReactNode }) {
  return (
    <button type="button" className="chip" aria-pressed={on} onClick={onClick}>
      {children}
    </button>
  );
}

function RunList({ runs, filter, isSick }: { runs: readonly Run[]; filter: Filter; isSick: boolean }) {
  const now = useNow();
  const questions = useQuestions();
  if (runs.length === 0) return isSick ? null : <NoRuns filter={filter} />;
  return (
    <>
      <p className="hidden" role="status">
        {count(runs.length, "run")}
      </p>
      {byDay(runs, now).map(([name, some]) => (
        <section key={name} className="day">
          <h2>{name}</h2>
          <ul className="rows">
            {some.map((run) => (
              <RunRow key={run.id} run={run} asks={questions.get(run.id)} />
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}

/** What runs ask people, by run. */
function useQuestions(): ReadonlyMap<string, string> {
  const { data } = useInbox();
  return useMemo(() => new Map(data?.flatMap((one) => (one.run === null ? [] : [[one.run, questionOf(one).title]]))), [data]);
}

function byDay(runs: readonly Run[], now: number): [string, Run[]][] {
  const days = new Map<string, Run[]>();
  for (const run of runs) {
    const name = day(run.created_at, now);
    days.set(name, [...(days.get(name) ?? []), run]);
  }
  return [...days];
}

function RunRow({ run, asks }: { run: Run; asks: string | undefined }) {
  return (
    <li>
      <Link to={paths.run(run.id)} className="run-row" data-item="" data-run={run.id} data-status={run.status}>
        <Mark state={run.status} title={run.status} />
        <span className="run-what clip">
          <b>{run.task}</b>
          <span className="run-note clip">{asks === undefined ? noteOf(run) : `asks: ${asks}`}</span>
        </span>
        <span className="run-tags">
          {run.tags.slice(0, 3).map((tag) => (
            <span key={tag} className="tag">
              {tag}
            </span>
          ))}
        </span>
        <span className="run-took">
          <Took run={run} />
        </span>
        <span className="run-age quiet">
          <Age at={run.created_at} />
        </span>
      </Link>
    </li>
  );
}

/** What is worth knowing of a run beside its state. */
function noteOf(run: Run): string {
  if (run.error !== null) return run.error.message || run.error.code;
  if (run.cancel_reason !== null) return run.cancel_reason;
  if (run.note !== null) return run.note;
  const stage = run.metadata.stage;
  if (typeof stage === "string" && run.finished_at === null) return stage;
  return run.attempt > 1 ? `attempt ${run.attempt}` : "";
}

/** How long it took, or takes so far. */
export function Took({ run }: { run: Pick<Run, "started_at" | "finished_at" | "status"> }) {
  const goes = run.started_at !== null && run.finished_at === null;
  const now = useNow(goes);
  if (run.started_at === null) return <span className="faint">–</span>;
  const end = run.finished_at ?? now;
  return <>{goes ? lived(end - run.started_at) : length(end - run.started_at)}</>;
}

function NoRuns({ filter }: { filter: Filter }) {
  const tasks = useTasks().data;
  if (!isEmpty(filter)) {
    return (
      <Empty icon={<RunsIcon />} title="No run matches">
        <p>
          <Link to={paths.runs()} className="link">
            Show all runs
          </Link>
        </p>
      </Empty>
    );
  }
  return (
    <Empty icon={<RunsIcon />} title="Nothing has run yet">
      <p>Start a task here, or from code; it shows up at once.</p>
      {tasks !== undefined && tasks.length > 0 ? (
        <Link to={paths.tasks()} className="button" data-kind="main">
          Start a task
        </Link>
      ) : (
        <code>agentflow dev app.py</code>
      )}
    </Empty>
  );
}
