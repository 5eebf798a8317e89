import type { Waitpoint } from "@agentflow/client";
import { type Question, type UseDecisionResult, WaitpointForm } from "@agentflow/react";
import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef } from "react";
import { Changed } from "./changed.tsx";
import { changes } from "./diff.ts";
import { FORM } from "./form-classes.ts";

// The ways to answer: at a press, with a reason, with other arguments.

export type Mode = "look" | "approve" | "deny" | "edit";

/** Whether a yes is asked for twice. */
export function isGrave({ risk }: Question): boolean {
  return risk === "high" || risk === "critical";
}

interface ButtonsProps {
  question: Question;
  decision: UseDecisionResult;
  onApprove: () => void;
  onMode: (mode: Mode) => void;
  showsKeys: boolean;
}

export function Buttons({ question, decision, onApprove, onMode, showsKeys }: ButtonsProps) {
  const key = (name: string) => (showsKeys ? <kbd>{name}</kbd> : null);
  const busy = decision.state === "sending";
  return (
    <div className="row answers">
      <button type="button" className="button" data-kind="main" disabled={busy} onClick={onApprove}>
        {isGrave(question) ? "Approve…" : "Approve"} {key("a")}
      </button>
      <button type="button" className="button" disabled={busy} onClick={() => onMode("deny")}>
        Deny… {key("d")}
      </button>
      {question.canEdit ? (
        <button type="button" className="button" disabled={busy} onClick={() => onMode("edit")}>
          Edit and approve… {key("e")}
        </button>
      ) : null}
    </div>
  );
}

interface WithReasonProps {
  approved: boolean;
  decision: UseDecisionResult;
  onClose: () => void;
}

/** Yes or no, with a reason for it. */
export function WithReason({ approved, decision, onClose }: WithReasonProps) {
  const id = useId();
  const box = useRef<HTMLTextAreaElement>(null);
  const form = useRef<HTMLFormElement>(null);
  function pressed(event: KeyboardEvent) {
    if (event.key !== "Enter" || event.shiftKey || event.repeat || event.nativeEvent.isComposing) return;
    event.preventDefault();
    form.current?.requestSubmit();
  }
  async function send(event: FormEvent) {
    event.preventDefault();
    const reason = box.current?.value.trim() ?? "";
    await decision.decide({ approved, ...(reason === "" ? {} : { reason }) }).catch(() => undefined);
  }
  return (
    <form ref={form} className="form" onSubmit={send}>
      <div className="field">
        <label htmlFor={id}>
          {approved ? "Why?" : "Why not?"} <span className="needed">optional; {approved ? "it is kept" : "the agent reads it"}</span>
        </label>
        {/* biome-ignore lint/a11y/noAutofocus: the person has just asked for this box */}
        <textarea id={id} ref={box} className="input line" rows={1} autoFocus onKeyDown={pressed} />
      </div>
      <div className="row">
        <button type="submit" className="button" data-kind={approved ? "main" : "bad"} disabled={decision.state === "sending"}>
          {approved ? "Approve" : "Deny"}
        </button>
        <button type="button" className="button" onClick={onClose}>
          Back
        </button>
      </div>
    </form>
  );
}

interface FormProps {
  approval: Waitpoint;
  decision: UseDecisionResult;
}

/** The arguments as a form, and what is changed in them before it is sent. */
export function Edit({ approval, question, decision, onClose }: FormProps & { question: Question; onClose: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => box.current?.querySelector<HTMLElement>("input, select, textarea")?.focus(), []);
  return (
    <div ref={box}>
      <WaitpointForm
        waitpoint={approval}
        decision={decision}
        classes={FORM}
        submit="Approve with these"
        actions={
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
        }
      >
        {({ value }) => <Differences before={question.body} after={value} />}
      </WaitpointForm>
    </div>
  );
}

function Differences({ before, after }: { before: unknown; after: unknown }) {
  if (after === undefined) return null;
  const found = changes(before, after);
  return (
    <div>
      <p className="faint small">{found.length === 0 ? "Nothing is changed yet." : "What you change:"}</p>
      {found.length === 0 ? null : <Changed changes={found} />}
    </div>
  );
}

/** The form that a run asks for. */
export function Answer({ approval, decision }: FormProps) {
  return <WaitpointForm waitpoint={approval} decision={decision} classes={FORM} submit="Send the answer" />;
}
