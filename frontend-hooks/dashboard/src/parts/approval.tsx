import type { JsonObject, Waitpoint } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { distance, moment } from "../format.ts";
import { Fields } from "../forms/form.tsx";
import { type DraftObject, draftsOf, type Field, fieldsOf, readAll, type Schema, schemaOf } from "../forms/schema.ts";
import { useNow } from "../live/now.ts";
import { refresh } from "../live/polled.ts";
import { paths } from "../router.ts";
import { useName } from "../session.ts";
import { useAct } from "./act.ts";
import { Link } from "./link.tsx";
import { Age, Trouble } from "./said.tsx";
import { Mark } from "./status.tsx";
import { Value } from "./value.tsx";

/** What a person is asked. */
interface Question {
  title: string;
  body: unknown;
  agent: string | null;
  tool: string | null;
  groups: readonly string[];
  canEdit: boolean;
}

/** What a waitpoint asks, in the shape in which approvals are asked for. */
export function questionOf(one: Waitpoint): Question {
  const subject = (typeof one.subject === "object" && one.subject !== null ? one.subject : {}) as JsonObject;
  const text = (name: string) => (typeof subject[name] === "string" && subject[name] !== "" ? subject[name] : null);
  return {
    title: text("title") ?? "Approve?",
    body: subject.body ?? null,
    agent: text("agent"),
    tool: text("tool"),
    groups: Array.isArray(subject.groups) ? (subject.groups as string[]) : [],
    canEdit: subject.can_edit === true && isRecord(subject.body),
  };
}

function isRecord(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
}

type Mode = "look" | "deny" | "edit";

interface ApprovalCardProps {
  approval: Waitpoint;
  /** One of a list, reached with j and k. */
  isItem?: boolean;
  /** It was answered, here or, before us, elsewhere. */
  onAnswered: () => void;
}

/** An open approval: what is asked, and the answer to it. */
export function ApprovalCard({ approval, isItem = false, onAnswered }: ApprovalCardProps) {
  const [mode, setMode] = useState<Mode>("look");
  const question = questionOf(approval);
  const answer = useAnswer(approval, onAnswered);
  function pressed(event: KeyboardEvent) {
    if (event.target !== event.currentTarget || event.metaKey || event.ctrlKey || event.altKey) return;
    const act = { a: () => void answer.give({ approved: true }), d: () => setMode("deny"), e: () => question.canEdit && setMode("edit") }[
      event.key
    ];
    if (act === undefined) return;
    event.preventDefault();
    act();
  }
  return (
    <article
      className="approval"
      aria-label={question.title}
      data-approval={approval.id}
      {...(isItem ? { "data-item": "", tabIndex: 0, onKeyDown: pressed } : {})}
    >
      <header className="approval-head">
        <Mark state="waiting" />
        <h3>{question.title}</h3>
      </header>
      <Origin approval={approval} question={question} showsRun={isItem} />
      {mode === "edit" ? (
        <Edit body={question.body as Schema} schema={approval.schema} answer={answer} onClose={() => setMode("look")} />
      ) : (
        <>
          {question.body === null ? null : (
            <div className="approval-body">
              <Value value={question.body} />
            </div>
          )}
          {mode === "deny" ? (
            <Deny answer={answer} onClose={() => setMode("look")} />
          ) : (
            <Buttons question={question} answer={answer} onMode={setMode} isItem={isItem} />
          )}
        </>
      )}
      {answer.error === null ? null : <Trouble error={answer.error} />}
    </article>
  );
}

interface Given {
  approved: boolean;
  reason?: string;
  edits?: JsonObject;
}

interface Answering {
  busy: boolean;
  error: Error | null;
  give: (given: Given) => Promise<boolean>;
}

function useAnswer(approval: Waitpoint, onAnswered: () => void): Answering {
  const client = useAgentflow();
  const [name] = useName();
  const act = useAct();
  async function give(given: Given): Promise<boolean> {
    const done = await act.run(() => client.waitpoints.decide(approval.id, { ...given, by: name || "dashboard" }));
    refresh("inbox");
    onAnswered();
    return done;
  }
  return { busy: act.busy, error: act.error, give };
}

function Origin({ approval, question, showsRun }: { approval: Waitpoint; question: Question; showsRun: boolean }) {
  const asker =
    question.agent === null ? null : question.tool === null ? question.agent : `${question.agent} wants to call ${question.tool}`;
  return (
    <p className="approval-origin quiet">
      {asker === null ? null : <span>{asker}</span>}
      {showsRun && approval.run !== null ? (
        <Link to={paths.run(approval.run)} className="link">
          see the run
        </Link>
      ) : null}
      <span>
        asked <Age at={approval.created_at} />
      </span>
      {approval.due_at === null ? null : <Deadline at={approval.due_at} />}
      {question.groups.map((group) => (
        <span key={group} className="tag">
          {group}
        </span>
      ))}
    </p>
  );
}

function Deadline({ at }: { at: number }) {
  const now = useNow();
  return <span title={`${moment(at)}: then it counts as denied`}>{at > now ? `expires ${distance(at, now)}` : "too late"}</span>;
}

function Buttons({
  question,
  answer,
  onMode,
  isItem,
}: {
  question: Question;
  answer: Answering;
  onMode: (mode: Mode) => void;
  isItem: boolean;
}) {
  const key = (name: string) => (isItem ? <kbd>{name}</kbd> : null);
  return (
    <div className="row">
      <button type="button" className="button" data-kind="main" disabled={answer.busy} onClick={() => answer.give({ approved: true })}>
        Approve {key("a")}
      </button>
      <button type="button" className="button" disabled={answer.busy} onClick={() => onMode("deny")}>
        Deny… {key("d")}
      </button>
      {question.canEdit ? (
        <button type="button" className="button" disabled={answer.busy} onClick={() => onMode("edit")}>
          Edit and approve… {key("e")}
        </button>
      ) : null}
    </div>
  );
}

function Deny({ answer, onClose }: { answer: Answering; onClose: () => void }) {
  const id = useId();
  const box = useRef<HTMLTextAreaElement>(null);
  const form = useRef<HTMLFormElement>(null);
  function pressed(event: KeyboardEvent) {
    if (event.key === "Escape") onClose();
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    form.current?.requestSubmit();
  }
  async function deny(event: FormEvent) {
    event.preventDefault();
    const reason = box.current?.value.trim() ?? "";
    await answer.give({ approved: false, ...(reason === "" ? {} : { reason }) });
  }
  return (
    <form ref={form} className="form" onSubmit={deny}>
      <div className="field">
        <label htmlFor={id}>
          Why not? <span className="needed">optional; the agent reads it</span>
        </label>
        {/* biome-ignore lint/a11y/noAutofocus: the person has just asked for this box */}
        <textarea id={id} ref={box} className="input line" rows={1} autoFocus onKeyDown={pressed} />
      </div>
      <div className="row">
        <button type="submit" className="button" data-kind="bad" disabled={answer.busy}>
          Deny
        </button>
        <button type="button" className="button" onClick={onClose}>
          Back
        </button>
      </div>
    </form>
  );
}

function Edit({ body, schema, answer, onClose }: { body: Schema; schema: unknown; answer: Answering; onClose: () => void }) {
  const [fields] = useState<readonly Field[]>(() => fieldsOf(isRecord(schema) ? schema : schemaOf(body)));
  const [drafts, setDrafts] = useState<DraftObject>(() => draftsOf(fields, body));
  const [problems, setProblems] = useState<Readonly<Record<string, string>>>({});
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLElement>("input, select, textarea")?.focus(), []);
  async function approve(event: FormEvent) {
    event.preventDefault();
    const read = readAll(fields, drafts);
    setProblems(read.problems);
    if (read.value !== undefined) await answer.give({ approved: true, edits: read.value as JsonObject });
  }
  return (
    <form ref={form} className="form" onSubmit={approve} noValidate>
      <Fields fields={fields} drafts={drafts} problems={problems} onChange={setDrafts} />
      <div className="row">
        <button type="submit" className="button" data-kind="main" disabled={answer.busy}>
          Approve with these
        </button>
        <button type="button" className="button" onClick={onClose}>
          Back
        </button>
      </div>
    </form>
  );
}
