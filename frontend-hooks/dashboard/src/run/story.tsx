import type { ApprovalView, CallView, ChildView } from "@agentflow/client";
import type { AgentPart } from "@agentflow/react";
import { memo, type ReactNode, useState } from "react";
import { plainName } from "../format.ts";
import { Link } from "../parts/link.tsx";
import { Mark } from "../parts/status.tsx";
import { Value } from "../parts/value.tsx";
import { paths } from "../router.ts";
import { same, speaking } from "./story.ts";

interface StoryProps {
  parts: readonly AgentPart[];
  /** Nothing more will be said. */
  ended: boolean;
  /** Calls that are done show their first line only. */
  brief?: boolean;
  /** Child runs, to link to from the calls that began them. */
  runs?: readonly ChildView[];
}

/** What an agent says, while it says it. */
export function Story({ parts, ended, brief = false, runs = [] }: StoryProps) {
  const now = speaking(parts, ended);
  return (
    <ol className="story">
      {parts.map((part) => (
        <Part key={`${part.type}:${part.id}`} part={part} isNow={part.id === now} run={runOf(part, runs)} brief={brief} />
      ))}
    </ol>
  );
}

/** The child run that a call became. */
function runOf(part: AgentPart, runs: readonly ChildView[]): string | null {
  return part.type === "tool" ? (runs.findLast((one) => one.call === part.call.id)?.run ?? null) : null;
}

interface PartProps {
  part: AgentPart;
  isNow: boolean;
  run: string | null;
  brief: boolean;
}

const Part = memo(
  Told,
  (before, after) =>
    before.isNow === after.isNow && before.run === after.run && before.brief === after.brief && same(before.part, after.part),
);

function Told({ part, isNow, run, brief }: PartProps) {
  switch (part.type) {
    case "reasoning":
      return <Thought text={part.text} isNow={isNow} />;
    case "text":
      return (
        <li className="beat said" data-now={isNow || undefined}>
          <p>{part.text}</p>
        </li>
      );
    case "tool":
      return <Called call={part.call} approval={part.approval} run={run} brief={brief} />;
    case "file":
    case "source":
      return (
        <li className="beat">
          <a className="link" href={safe(part.reference.url)} rel="noreferrer noopener" target="_blank">
            {part.reference.name ?? part.reference.url}
          </a>
        </li>
      );
    case "data":
      return (
        <li className="beat call">
          <Side name={part.name}>
            <Value value={part.data} />
          </Side>
        </li>
      );
    case "approval":
      return part.approval.decision === "" ? null : (
        <li className="beat quiet">
          {part.approval.title} <Decided approval={part.approval} />
        </li>
      );
  }
}

/** What a model names as its source may be no address of a page. */
function safe(url: string): string | undefined {
  return /^https?:/i.test(url) ? url : undefined;
}

const PEEK = 160;

/** Thoughts are shown as they come, and folded to their first lines when there are many. */
function Thought({ text, isNow }: { text: string; isNow: boolean }) {
  const [open, setOpen] = useState<boolean | null>(null);
  const isOpen = open ?? (isNow || text.length <= PEEK);
  return (
    <li className="beat thought" data-now={isNow || undefined}>
      <p>{isOpen ? text : `${text.slice(0, PEEK).trimEnd()}…`}</p>
      {text.length > PEEK ? (
        <button type="button" className="link small" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? "Less" : "The whole thought"}
        </button>
      ) : null}
    </li>
  );
}

const STATES: Record<string, string> = { writing: "is being asked", running: "runs", completed: "", failed: "failed", denied: "denied" };

function Called({ call, approval, run, brief }: { call: CallView; approval: ApprovalView | null; run: string | null; brief: boolean }) {
  const waits = approval?.decision === "";
  const state = waits ? "waiting" : call.state;
  const told = waits ? "waits for approval" : (STATES[call.state] ?? call.state);
  return (
    <li className="beat call" data-call={call.id} data-state={state}>
      <details open={!brief || call.state === "failed"}>
        <summary className="call-head">
          <Mark state={state} title={state} />
          <b className="mono">{plainName(call.name) || "…"}</b>
          <span className="call-peek clip">{told || peek(call.input)}</span>
          {run === null ? null : (
            <Link to={paths.run(run)} className="link small">
              its run
            </Link>
          )}
        </summary>
        <div className="call-body">
          <Side name="In">
            {call.state === "writing" ? <pre className="v-text">{call.written || "…"}</pre> : <Value value={call.input} />}
          </Side>
          <Result call={call} />
          {approval === null || waits ? null : (
            <Side name="Answer">
              <Decided approval={approval} />
            </Side>
          )}
        </div>
      </details>
    </li>
  );
}

/** The arguments on one line. */
function peek(input: unknown): string {
  if (typeof input !== "object" || input === null) return "";
  return Object.values(input)
    .map((one) => (typeof one === "string" ? one : JSON.stringify(one)))
    .join(", ")
    .slice(0, PEEK);
}

function Result({ call }: { call: CallView }) {
  if (call.error !== null) {
    return (
      <Side name="Error">
        <span className="bad">{String(call.error.message ?? call.error.code ?? "failed")}</span>
      </Side>
    );
  }
  if (call.output === undefined || call.output === null) return null;
  return (
    <Side name="Out">
      <Value value={call.output} />
    </Side>
  );
}

function Side({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="side">
      <span className="side-name">{name}</span>
      <div className="side-value">{children}</div>
    </div>
  );
}

function Decided({ approval }: { approval: Pick<ApprovalView, "decision" | "by" | "reason"> }) {
  return (
    <span>
      {approval.decision}
      {approval.by ? ` by ${approval.by}` : ""}
      {approval.reason ? <span className="quiet">: {approval.reason}</span> : null}
    </span>
  );
}
