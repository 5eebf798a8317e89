import { Frame } from "./frame.tsx";
import { Gate } from "./gate.tsx";
import { ApprovalPage } from "./pages/approval.tsx";
import { ApprovalsPage } from "./pages/approvals.tsx";
import { AuditPage } from "./pages/audit.tsx";
import { GrantsPage } from "./pages/grants.tsx";
import { PromptPage } from "./pages/prompt.tsx";
import { PromptsPage } from "./pages/prompts.tsx";
import { RunPage } from "./pages/run.tsx";
import { RunsPage } from "./pages/runs.tsx";
import { TaskPage } from "./pages/task.tsx";
import { TasksPage } from "./pages/tasks.tsx";
import { WorkersPage } from "./pages/workers.tsx";
import { Link } from "./parts/link.tsx";
import { Empty } from "./parts/said.tsx";
import { paths, type Route, useRoute } from "./router.ts";
import { useAsked } from "./session.ts";

export function App() {
  const route = useRoute();
  const asked = useAsked();
  if (asked !== "no") return <Gate again={asked === "again"} />;
  return (
    <Frame route={route}>
      <Page route={route} />
    </Frame>
  );
}

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case "runs":
      return <RunsPage query={route.query} />;
    case "run":
      return <RunPage key={route.id} id={route.id} />;
    case "approvals":
      return <ApprovalsPage />;
    case "approval":
      return <ApprovalPage key={route.id} id={route.id} />;
    case "approval-grants":
      return <GrantsPage />;
    case "approval-audit":
      return <AuditPage query={route.query} />;
    case "tasks":
      return <TasksPage />;
    case "task":
      return <TaskPage name={route.name} thread={route.thread} />;
    case "prompts":
      return <PromptsPage query={route.query} />;
    case "prompt":
      return <PromptPage key={route.name} name={route.name} tab={route.tab} />;
    case "workers":
      return <WorkersPage />;
    case "unknown":
      return (
        <Empty title="There is nothing at this address">
          <p className="mono">{route.path}</p>
          <Link to={paths.runs()} className="link">
            To the runs
          </Link>
        </Empty>
      );
  }
}
