import type { JsonObject, Waitpoint } from "@agentflow/client";
import { type FormEvent, type ReactNode, useEffect, useRef } from "react";
import { classOf, Fields, type FormClasses } from "./fields.tsx";
import { questionOf } from "./question.ts";
import { type UseDecisionResult, useDecision } from "./use-decision.ts";
import { type UseFormResult, useForm } from "./use-form.ts";

export interface WaitpointFormProps {
  /** A question of `ask()`: its form; an approval: the arguments to be approved, to be edited. */
  readonly waitpoint: Waitpoint;
  /** From `useDecision` or `useApproval`, where the page shows what becomes of it; else the form has its own. */
  readonly decision?: UseDecisionResult;
  readonly classes?: FormClasses;
  /** What stands on its button. */
  readonly submit?: ReactNode;
  /** Between the fields and the button: what the edits change, say. */
  readonly children?: (form: UseFormResult) => ReactNode;
  /** Beside the button. */
  readonly actions?: ReactNode;
}

/**
 * The form that a question asks for, sent as its answer. What does not fit is said at the field, by the page and by the server alike.
 *
 *     <WaitpointForm waitpoint={approval} classes={{ input: "my-input" }} />
 */
export function WaitpointForm({ waitpoint, decision, classes, submit, children, actions }: WaitpointFormProps): ReactNode {
  const own = useDecision(waitpoint);
  const { decide, refusal, state } = decision ?? own;
  const question = questionOf(waitpoint);
  const form = useForm(waitpoint.schema, { value: question.kind === "input" ? question.preset : question.body });
  const box = useRef<HTMLFormElement>(null);
  const { refuse } = form;
  useEffect(() => {
    if (refusal?.why === "does_not_fit") refuse(refusal.problems);
  }, [refusal, refuse]);
  useFirstProblem(box, form.problems);
  async function send(event: FormEvent) {
    event.preventDefault();
    const said = form.submit();
    if (said === undefined) return;
    const answer = question.kind === "input" ? said : { approved: true, edits: said.value as JsonObject };
    // The hook tells of a failure.
    await decide(answer).catch(() => undefined);
  }
  return (
    <form ref={box} className={classOf(classes, "form")} onSubmit={send} noValidate>
      <Fields fields={form.fields} drafts={form.drafts} problems={form.problems} onChange={form.setDrafts} classes={classes} />
      <Elsewhere form={form} classes={classes} />
      {children?.(form)}
      <div className={classOf(classes, "actions")}>
        <button type="submit" className={classOf(classes, "submit")} data-kind="main" disabled={state === "sending"}>
          {submit ?? "Send"}
        </button>
        {actions}
      </div>
    </form>
  );
}

/** What is wrong at no field of the form. */
function Elsewhere({ form, classes }: { form: UseFormResult; classes: FormClasses | undefined }) {
  const names = form.fields.map((one) => one.name);
  const others = Object.entries(form.problems).filter(([path]) => !names.includes(path.split(".")[0] ?? ""));
  return others.map(([path, problem]) => (
    <p key={path} className={classOf(classes, "problem")} role="alert">
      {path === "" ? problem : `${path}: ${problem}`}
    </p>
  ));
}

/** The first field with a problem gets the focus when problems appear. */
function useFirstProblem(box: { readonly current: HTMLFormElement | null }, problems: UseFormResult["problems"]): void {
  const count = Object.keys(problems).length;
  const last = useRef(0);
  useEffect(() => {
    if (last.current === 0 && count > 0) box.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
    last.current = count;
  }, [box, count]);
}
