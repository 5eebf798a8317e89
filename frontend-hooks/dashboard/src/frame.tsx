import { type ReactNode, useEffect, useRef, useState } from "react";
import { useKeys } from "./live/keys.ts";
import { useHealth, useInbox } from "./live/server.ts";
import { AgentsIcon, ApprovalsIcon, BrandMark, HelpIcon, LeaveIcon, PromptsIcon, RunsIcon, SunIcon, WorkersIcon } from "./parts/icons.tsx";
import { Link } from "./parts/link.tsx";
import { Dialog } from "./parts/said.tsx";
import { go, paths, type Route } from "./router.ts";
import { keyring, toggleTheme } from "./session.ts";

/** What is around every page: where one can go, how the server is, and the keys that work everywhere. */
export function Frame({ route, children }: { route: Route; children: ReactNode }) {
  const [helps, setHelps] = useState(false);
  const main = useRef<HTMLElement>(null);
  useKeys({
    "g r": () => go(paths.runs()),
    "g a": () => go(paths.approvals()),
    "g t": () => go(paths.tasks()),
    "g p": () => go(paths.prompts()),
    "g w": () => go(paths.workers()),
    t: toggleTheme,
    "?": () => setHelps(true),
  });
  useTitle(route);
  return (
    <div className="frame">
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        To the content
      </button>
      <div className="rail">
        <Link to={paths.runs()} className="brand">
          <BrandMark /> agentflow
        </Link>
        <Places route={route} />
        <div className="rail-foot">
          <HealthLine />
          <div className="rail-tools">
            <Tool name="Turn light and dark (t)" onClick={toggleTheme}>
              <SunIcon />
            </Tool>
            <Tool name="Keys (?)" onClick={() => setHelps(true)}>
              <HelpIcon />
            </Tool>
            {keyring.has ? (
              <Tool name="Forget the API key" onClick={() => keyring.forget()}>
                <LeaveIcon />
              </Tool>
            ) : null}
          </div>
        </div>
      </div>
      <div className="content">
        <Banner />
        <main ref={main} id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
      {helps ? <Help onClose={() => setHelps(false)} /> : null}
    </div>
  );
}

function Places({ route }: { route: Route }) {
  const waiting = useInbox().data?.length ?? 0;
  const places = [
    { name: "Runs", to: paths.runs(), on: route.page === "runs" || route.page === "run", icon: <RunsIcon /> },
    { name: "Approvals", to: paths.approvals(), on: route.page.startsWith("approval"), icon: <ApprovalsIcon />, count: waiting },
    { name: "Agents", to: paths.tasks(), on: route.page === "tasks" || route.page === "task", icon: <AgentsIcon /> },
    { name: "Prompts", to: paths.prompts(), on: route.page.startsWith("prompt"), icon: <PromptsIcon /> },
    { name: "Workers", to: paths.workers(), on: route.page === "workers", icon: <WorkersIcon /> },
  ];
  return (
    <nav aria-label="Pages">
      <ul className="places">
        {places.map((place) => (
          <li key={place.name}>
            <Link to={place.to} aria-current={place.on ? "page" : undefined}>
              {place.icon}
              {place.name}
              {place.count ? (
                <span className="count" title={`${place.count} open`}>
                  {place.count}
                </span>
              ) : null}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function HealthLine() {
  const { data, error } = useHealth();
  if (error !== undefined) return <HealthText state="away">server away</HealthText>;
  if (data === undefined) return null;
  if (data.status === "ok") return <HealthText state="ok">{data.workers === 1 ? "1 worker" : `${data.workers} workers`}</HealthText>;
  return <HealthText state="degraded">{data.workers === 0 ? "no worker" : "not well"}</HealthText>;
}

function HealthText({ state, children }: { state: string; children: ReactNode }) {
  return (
    <span className="health" data-health={state}>
      <span className="health-text">{children}</span>
    </span>
  );
}

/** What is wrong with everything, and what to do about it. */
function Banner() {
  const { data, error } = useHealth();
  if (error !== undefined) {
    return (
      <div className="banner" data-kind="away" role="status">
        <b>The server does not answer.</b> What is shown here may be old; it goes on by itself when the server is back.
      </div>
    );
  }
  if (data === undefined || data.status === "ok") return null;
  if (!data.database.ok) {
    return (
      <div className="banner" data-kind="away" role="status">
        <b>The database does not answer.</b> Runs cannot start until it does.
      </div>
    );
  }
  if (!data.streams.ok) {
    return (
      <div className="banner" role="status">
        <b>The stream server does not answer.</b> Runs go on; what they say is shown again when it is back.
      </div>
    );
  }
  return (
    <div className="banner" role="status">
      <b>No live worker.</b> Runs are kept, and wait. Start one: <code>agentflow worker app.py</code>
    </div>
  );
}

function Tool({ name, onClick, children }: { name: string; onClick: () => void; children: ReactNode }) {
  return (
    <button type="button" className="icon-button" aria-label={name} title={name} onClick={onClick}>
      {children}
    </button>
  );
}

const SHORTCUTS = [
  ["j k", "down and up in a list"],
  ["Enter", "open what is marked"],
  ["/", "filter"],
  ["u", "back to the list"],
  ["a d e", "approve, deny, edit the marked approval; Esc leaves it"],
  ["g r", "runs"],
  ["g a", "approvals"],
  ["g t", "agents and tasks"],
  ["g p", "prompts"],
  ["g w", "workers and queues"],
  ["t", "light and dark"],
] as const;

function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="shortcuts">
        {SHORTCUTS.map(([keys, what]) => (
          <div key={what} style={{ display: "contents" }}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit" className="button">
          Close
        </button>
      </form>
    </Dialog>
  );
}

const TITLES: Record<Route["page"], string> = {
  runs: "Runs",
  run: "Run",
  approvals: "Approvals",
  approval: "Approval",
  "approval-grants": "Grants",
  "approval-audit": "Audit",
  tasks: "Agents and tasks",
  task: "Start",
  prompts: "Prompts",
  prompt: "Prompt",
  workers: "Workers and queues",
  unknown: "Not here",
};

function useTitle(route: Route): void {
  const waiting = useInbox().data?.length ?? 0;
  const name = route.page === "task" || route.page === "prompt" ? route.name : TITLES[route.page];
  useEffect(() => {
    document.title = `${waiting > 0 ? `(${waiting}) ` : ""}${name} · agentflow`;
  }, [name, waiting]);
}
