import type { Waitpoint } from "@agentflow/client";
import { type Question, type UseDecisionResult, WaitpointForm } from "@agentflow/react";
import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef } from "react";
import { Changed } from "./changed.tsx";
import { changes } from "./diff.ts";
import { FORM } from "./form-classes.ts";
import { isGrave, valueFrom } from "./words.ts";

// The ways to answer: at a press, with a reason, with other arguments.

export type Mode = "look" | "approve" | "deny" | "edit" | "always";

const CALL = { yes: "Approve", no: "Deny", edit: "Edit and approve" };
/** What people say of a call of which nobody knows how it ended. */
const CUT_OFF = { yes: "Run it again", no: "It failed", edit: "It was done" };

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
  const words = question.cutOff === null ? CALL : CUT_OFF;
  return (
    <div className="row answers">
      <button type="button" className="button" data-kind="main" disabled={busy} onClick={onApprove}>
        {isGrave(question) ? `${words.yes}…` : words.yes} {key("a")}
      </button>
      <button type="button" className="button" disabled={busy} onClick={() => onMode("deny")}>
        {words.no}… {key("d")}
      </button>
      {question.canEdit ? (
        <button type="button" className="button" disabled={busy} onClick={() => onMode("edit")}>
          {words.edit}… {key("e")}
        </button>
      ) : null}
      {question.canStand ? (
        <button type="button" className="button" disabled={busy} onClick={() => onMode("always")}>
          Always allow…
        </button>
      ) : null}
    </div>
  );
}

interface WithReasonProps {
  approved: boolean;
  question: Question;
  decision: UseDecisionResult;
  onClose: () => void;
}

/** Yes or no, with a reason for it. */
export function WithReason({ approved, question, decision, onClose }: WithReasonProps) {
  const words = question.cutOff === null ? CALL : CUT_OFF;
  const stops = useRef<HTMLInputElement>(null);
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
    const stop = stops.current?.checked === true ? { stop: true } : {};
    await decision.decide({ approved, ...(reason === "" ? {} : { reason }), ...stop }).catch(() => undefined);
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
      {approved || !question.canStop ? null : (
        <label className="check">
          <input type="checkbox" ref={stops} /> Stop the run, too: all else that it asks is dropped
        </label>
      )}
      <div className="row">
        <button type="submit" className="button" data-kind={approved ? "main" : "bad"} disabled={decision.state === "sending"}>
          {approved ? words.yes : words.no}
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

/** What a call that was cut off has returned, as somebody says who looked: JSON, or else the text that it is. */
export function Returned({ decision, onClose }: { decision: UseDecisionResult; onClose: () => void }) {
  const id = useId();
  const box = useRef<HTMLTextAreaElement>(null);
  async function send(event: FormEvent) {
    event.preventDefault();
    const edits = { outcome: "done", value: valueFrom(box.current?.value ?? "") };
    await decision.decide({ approved: true, edits }).catch(() => undefined);
  }
  return (
    <form className="form" onSubmit={send}>
      <div className="field">
        <label htmlFor={id}>
          What did it return? <span className="needed">JSON, or a text; empty if it returned nothing</span>
        </label>
        {/* biome-ignore lint/a11y/noAutofocus: the person has just asked for this box */}
        <textarea id={id} ref={box} className="input" rows={3} autoFocus />
      </div>
      <div className="row">
        <button type="submit" className="button" data-kind="main" disabled={decision.state === "sending"}>
          It was done
        </button>
        <button type="button" className="button" onClick={onClose}>
          Back
        </button>
      </div>
    </form>
  );
}

/** The form that a run asks for. */
export function Answer({ approval, decision }: FormProps) {
  return <WaitpointForm waitpoint={approval} decision={decision} classes={FORM} submit="Send the answer" />;
}
