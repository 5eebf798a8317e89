import { questionOf, useApproval } from "@agentflow/react";
import { ApprovalCard, Asked } from "../asking/card.tsx";
import { Deliveries } from "../asking/deliveries.tsx";
import { Origin, Votes } from "../asking/facts.tsx";
import { Moves } from "../asking/moves.tsx";
import { useKeys } from "../live/keys.ts";
import { Link } from "../parts/link.tsx";
import { Bones, Id, Trouble } from "../parts/said.tsx";
import { go, paths } from "../router.ts";
import { Section } from "./run.tsx";

/** One question alone, also when it has ended: what was asked, who said what, and what it came to. */
export function ApprovalPage({ id }: { id: string }) {
  const { approval, error, reload } = useApproval(id);
  useKeys({ u: () => go(paths.approvals()) });
  if (approval === null) return error === null ? <Bones rows={4} /> : <Trouble error={error} />;
  const question = questionOf(approval);
  const isOpen = approval.state === "pending";
  return (
    <>
      <nav className="crumbs quiet" aria-label="Way back">
        <Link to={paths.approvals()} className="link">
          Approvals
        </Link>
      </nav>
      <header className="page-head">
        <h1>{question.kind === "input" ? "Question" : "Approval"}</h1>
        <Id id={approval.id} />
        <span className="spring" />
        <span className="row small">
          <Link to={paths.audit(approval.id)} className="link">
            its audit
          </Link>
          {approval.run === null ? null : (
            <Link to={paths.run(approval.run)} className="link">
              its run
            </Link>
          )}
        </span>
      </header>
      <div className="inbox">
        <ApprovalCard approval={approval} onAnswered={reload} />
        {isOpen ? <Moves approval={approval} question={question} onMoved={reload} /> : null}
        {isOpen ? null : (
          <Section name="What was asked">
            <Origin approval={approval} question={question} showsRun={false} />
            <Asked approval={approval} />
          </Section>
        )}
        <Section name="What people said">
          <Votes id={approval.id} need={question.need} shows={false} />
        </Section>
        <Deliveries approval={approval} />
      </div>
    </>
  );
}
