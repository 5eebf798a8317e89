import type { Waitpoint } from "@agentflow/client";
import { approvalStatus, type Question, questionOf, type UseDecisionResult, useDecision } from "@agentflow/react";
import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from "react";
import { refresh } from "../live/polled.ts";
import { Exact, Visible } from "../parts/exact.tsx";
import { Link } from "../parts/link.tsx";
import { Trouble } from "../parts/said.tsx";
import { Mark } from "../parts/status.tsx";
import { go, paths } from "../router.ts";
import { useName } from "../session.ts";
import { Always } from "./always.tsx";
import { Answer, Buttons, Edit, type Mode, Returned, WithReason } from "./answers.tsx";
import { Changed } from "./changed.tsx";
import { changes } from "./diff.ts";
import { Deadline, Fact, Origin, RiskBadge, Standing, Votes } from "./facts.tsx";
import { editsOf, isGrave } from "./words.ts";

interface ApprovalCardProps {
  approval: Waitpoint;
  /** One of a list, reached with j and k. */
  isItem?: boolean;
  /** The waitpoint after it was answered, here or, before us, elsewhere. */
  onAnswered: (one: Waitpoint) => void;
}

/** What a person is asked, and the answer to it; once there is one, what it was. */
export function ApprovalCard({ approval, isItem = false, onAnswered }: ApprovalCardProps) {
  const [name] = useName();
  const [mode, setMode] = useState<Mode>("look");
  const question = questionOf(approval);
  const box = useRef<HTMLElement>(null);
  const decision = useDecision(approval, {
    by: name || "dashboard",
    onSettled: (one, refusal) => {
      if (refusal?.why !== "does_not_fit") setMode("look");
      refresh("inbox");
      refresh(`votes:${approval.id}`);
      onAnswered(one);
    },
  });
  const isOpen = approval.state === "pending";
  useKeptFocus(box, `${mode} ${isOpen}`);
  const approve = () => (isGrave(question) ? setMode("approve") : void decision.decide({ approved: true }).catch(() => undefined));
  const keys =
    isOpen && question.kind === "approval" ? { a: approve, d: () => setMode("deny"), e: () => question.canEdit && setMode("edit") } : {};
  const look = () => go(paths.approval(approval.id));
  const acts = isItem ? { ...keys, Enter: look } : {};
  return (
    <article
      ref={box}
      className={isOpen ? "approval" : "approval settled"}
      aria-label={question.title}
      data-approval={approval.id}
      data-status={approvalStatus(approval)}
      {...(isItem ? { "data-item": "", tabIndex: 0 } : {})}
      onKeyDown={pressed(acts, () => setMode("look"))}
    >
      <Head approval={approval} question={question} isItem={isItem} />
      {isOpen ? <Open {...{ approval, question, decision, mode, setMode, approve, isItem }} /> : null}
      {decision.refusal === null || decision.refusal.why === "does_not_fit" ? null : (
        <Fact refusal={decision.refusal} question={question} />
      )}
      {decision.error === null ? null : <Trouble error={decision.error} />}
    </article>
  );
}

/** What keys do while the card itself has the focus, once even if they are held down; Escape leaves whatever was begun in it. */
function pressed(keys: Readonly<Record<string, () => void>>, leave: () => void) {
  return (event: KeyboardEvent) => {
    if (event.key === "Escape") leave();
    if (event.target !== event.currentTarget || event.metaKey || event.ctrlKey || event.altKey || event.repeat) return;
    const act = keys[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  };
}

/** What had the focus may be gone with another state of the card: the card itself has it then, so that j and k go on from here. */
function useKeptFocus(box: RefObject<HTMLElement | null>, state: string): void {
  const last = useRef(state);
  useEffect(() => {
    if (last.current === state) return;
    last.current = state;
    if (document.activeElement === document.body) box.current?.focus({ preventScroll: true });
  }, [box, state]);
}

function Head({ approval, question, isItem }: { approval: Waitpoint; question: Question; isItem: boolean }) {
  const isOpen = approval.state === "pending";
  const title = <Visible text={question.title} />;
  return (
    <header className="approval-head">
      <Mark state={isOpen ? "waiting" : MARKS[approvalStatus(approval)]} />
      <h3>{isItem ? <Link to={paths.approval(approval.id)}>{title}</Link> : title}</h3>
      {question.risk === null || !isOpen ? null : <RiskBadge risk={question.risk} />}
      <span className="spring" />
      {isOpen ? approval.due_at !== null && <Deadline at={approval.due_at} silence={question.silence} /> : <Standing approval={approval} />}
    </header>
  );
}

const MARKS: Record<ReturnType<typeof approvalStatus>, string> = {
  pending: "waiting",
  approved: "completed",
  answered: "completed",
  denied: "failed",
  expired: "expired",
  cancelled: "cancelled",
};

interface OpenProps {
  approval: Waitpoint;
  question: Question;
  decision: UseDecisionResult;
  mode: Mode;
  setMode: (mode: Mode) => void;
  approve: () => void;
  isItem: boolean;
}

function Open(props: OpenProps) {
  const { approval, question, decision, mode, setMode, isItem } = props;
  const isEdited = mode === "edit" && question.cutOff === null;
  return (
    <>
      <Origin approval={approval} question={question} showsRun={isItem} />
      {question.problem === null ? null : <p className="fact">Asked again: {question.problem}</p>}
      {isEdited ? (
        <Edit approval={approval} question={question} decision={decision} onClose={() => setMode("look")} />
      ) : (
        <>
          {question.cutOff === null ? <Body body={question.body} /> : <CutOff made={question.cutOff.arguments} />}
          {question.need > 1 ? <Votes id={approval.id} need={question.need} /> : null}
          {question.kind === "input" ? <Answer approval={approval} decision={decision} /> : <Say {...props} />}
        </>
      )}
    </>
  );
}

/** What is to be pressed, or, once something was, what goes along with it. */
function Say({ approval, question, decision, mode, setMode, approve, isItem }: OpenProps) {
  const look = () => setMode("look");
  switch (mode) {
    case "look":
      return <Buttons question={question} decision={decision} onApprove={approve} onMode={setMode} showsKeys={isItem} />;
    case "edit":
      return <Returned decision={decision} onClose={look} />;
    case "always":
      return <Always approval={approval} question={question} decision={decision} onClose={look} />;
    default:
      return <WithReason key={mode} approved={mode === "approve"} question={question} decision={decision} onClose={look} />;
  }
}

function Body({ body }: { body: unknown }) {
  return body === null ? null : (
    <div className="approval-body">
      {typeof body === "string" ? (
        <p className="v-text">
          <Visible text={body} />
        </p>
      ) : (
        <Exact value={body} />
      )}
    </div>
  );
}

/** A call of which nobody knows how it ended. */
function CutOff({ made }: { made: unknown }) {
  return (
    <>
      <p className="fact">It may have done all of its work, some of it, or none. Look there before you say what is to happen.</p>
      <Body body={made} />
    </>
  );
}

/** What was asked, and what was changed in it: for one that has ended. */
export function Asked({ approval }: { approval: Waitpoint }) {
  const { body, kind, cutOff } = questionOf(approval);
  const edits = editsOf(approval);
  return (
    <>
      <Body body={cutOff === null ? body : cutOff.arguments} />
      {edits === null || cutOff !== null ? null : <Changed changes={changes(body, edits)} />}
      {cutOff === null || edits === null ? null : <Body body={edits} />}
      {kind === "input" && approval.state === "answered" ? <Body body={approval.answer} /> : null}
    </>
  );
}
