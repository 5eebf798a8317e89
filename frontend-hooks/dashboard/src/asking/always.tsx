import type { Stand, Waitpoint } from "@agentflow/client";
import { type Question, type UseDecisionResult, useAgentflow, useRequest } from "@agentflow/react";
import { type FormEvent, useCallback, useId, useRef } from "react";
import { Visible } from "../parts/exact.tsx";
import { Trouble } from "../parts/said.tsx";
import { LIVES, scopesFor } from "./grant-words.ts";

interface AlwaysProps {
  approval: Waitpoint;
  question: Question;
  decision: UseDecisionResult;
  onClose: () => void;
}

/** A yes that stands for other calls with just the same arguments: where, for how long, and how often. */
export function Always({ approval, question, decision, onClose }: AlwaysProps) {
  const thread = useThreadOf(approval.run);
  const form = useRef<HTMLFormElement>(null);
  async function send(event: FormEvent) {
    event.preventDefault();
    if (form.current === null) return;
    const filled = new FormData(form.current);
    const text = (name: string) => String(filled.get(name) ?? "").trim();
    const uses = Number(text("uses"));
    const always: Stand = {
      scope: text("scope") as NonNullable<Stand["scope"]>,
      expires: text("expires"),
      ...(uses > 0 && { max_uses: uses }),
    };
    const reason = text("reason");
    await decision.decide({ approved: true, always, ...(reason !== "" && { reason }) }).catch(() => undefined);
  }
  return (
    <form ref={form} className="form always" onSubmit={send} aria-label="Allow from now on">
      <p className="quiet small">
        Calls of{" "}
        <b className="mono">
          <Visible text={question.tool ?? "this tool"} />
        </b>{" "}
        with exactly these arguments are made without asking, until it ends or somebody takes it back. Rules that forbid a call, or always
        ask, win over it.
      </p>
      <div className="always-terms">
        <Choice
          name="scope"
          label="Where"
          first="run"
          options={scopesFor(question.agent, thread).map(({ scope, told }) => [scope, told])}
        />
        <Choice name="expires" label="For how long" first="1h" options={LIVES} />
        <Line name="uses" label="How often" about="empty: any number" number />
      </div>
      <Line name="reason" label="Why?" about="optional; it is kept" />
      {decision.refusal?.why === "does_not_fit" ? <Trouble error={decision.refusal.error} /> : null}
      <div className="row">
        <button type="submit" className="button" data-kind="main" disabled={decision.state === "sending"}>
          Approve, and allow from now on
        </button>
        <button type="button" className="button" onClick={onClose}>
          Back
        </button>
      </div>
    </form>
  );
}

/** The conversation of a run, which is known once the run is. */
function useThreadOf(run: string | null): string | null {
  const { runs } = useAgentflow();
  const load = useCallback(() => runs.get(run as string), [runs, run]);
  const { data } = useRequest(run === null ? null : load);
  return data?.tags.find((tag) => tag.startsWith("thread:"))?.slice("thread:".length) ?? null;
}

interface ChoiceProps {
  name: string;
  label: string;
  first: string;
  options: readonly (readonly [string, string])[];
}

function Choice({ name, label, first, options }: ChoiceProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {/* biome-ignore lint/a11y/noAutofocus: the person has just asked for this form */}
      <select id={id} name={name} className="input" defaultValue={first} autoFocus={name === "scope"}>
        {options.map(([value, told]) => (
          <option key={value} value={value}>
            {told}
          </option>
        ))}
      </select>
    </div>
  );
}

interface LineProps {
  name: string;
  label: string;
  about: string;
  number?: boolean;
}

function Line({ name, label, about, number = false }: LineProps) {
  const id = useId();
  const only = number ? { type: "number", min: 1, max: 1_000_000, step: 1 } : {};
  return (
    <div className="field">
      <label htmlFor={id}>
        {label} <span className="needed">{about}</span>
      </label>
      <input id={id} name={name} className="input" autoComplete="off" {...only} />
    </div>
  );
}
