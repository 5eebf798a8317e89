import type { AgentflowError, PromptBinding, PromptInfo, PromptVersion } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { type FormEvent, useState } from "react";
import { refreshPrompt } from "../live/prompts.ts";
import { useAct } from "../parts/act.ts";
import { Dialog, Trouble } from "../parts/said.tsx";
import { useName } from "../session.ts";
import { Consequences } from "./consequences.tsx";
import { PlanFields } from "./plan.tsx";
import { type Mode, moveOf, type Plan, partsFor, planFor } from "./releasing.ts";
import { holdsWord, modeWord } from "./words.ts";

/** What a person wants to release: where, how, and which version. */
export interface Wish {
  readonly at: Pick<PromptBinding, "env" | "label">;
  readonly mode: Mode;
  readonly version: number;
}

interface ReleaseProps {
  prompt: PromptInfo;
  versions: readonly PromptVersion[];
  wish: Wish;
  onClose: () => void;
}

/** A binding as it is now. */
function found(prompt: PromptInfo, { env, label }: Wish["at"]): PromptBinding | null {
  return prompt.bindings.find((one) => one.env === env && one.label === label) ?? null;
}

/** From what to what, who is affected and why: a release is sent for the state that was seen, and refused for any other. */
export function ReleaseDialog({ prompt, versions, wish, onClose }: ReleaseProps) {
  const client = useAgentflow();
  const [by] = useName();
  const [seen, see] = useState(() => found(prompt, wish.at));
  const [plan, setPlan] = useState(() => planFor(wish.at, wish.mode, wish.version, seen));
  const [problem, setProblem] = useState("");
  const act = useAct();
  const now = found(prompt, plan);
  const isStale = (now?.rev ?? 0) !== (seen?.rev ?? 0) || isConflict(act.error);

  function change(next: Plan) {
    setProblem("");
    if (next.env !== plan.env || next.label !== plan.label) {
      const other = found(prompt, next);
      see(other);
      setPlan({ ...next, parts: partsFor(next.version, other) });
    } else setPlan(next);
  }
  async function release(event: FormEvent) {
    event.preventDefault();
    const move = moveOf(plan);
    if (typeof move === "string") {
      setProblem(move);
      return;
    }
    const binding = { env: plan.env.trim(), label: plan.label.trim() || "live", rev: seen?.rev ?? 0 };
    const worked = await act.run(() => client.prompts.move(prompt.name, binding, { ...move, by: by || "dashboard" }));
    refreshPrompt(prompt.name);
    if (worked) onClose();
  }
  return (
    <Dialog wide title={`Release ${prompt.name}`} onClose={onClose}>
      <form className="form" onSubmit={release} noValidate>
        <PlanFields plan={plan} prompt={prompt} versions={versions} onChange={change} />
        <Consequences prompt={prompt} versions={versions} plan={plan} seen={seen} />
        {isStale ? (
          <Moved
            now={now}
            onLook={() => {
              act.clear();
              see(now);
            }}
          />
        ) : null}
        {act.error === null || isConflict(act.error) ? null : <Trouble error={act.error} />}
        {problem === "" ? null : (
          <p className="bad small" role="alert">
            {problem}
          </p>
        )}
        <div className="row">
          <button type="submit" className="button" data-kind="main" disabled={act.busy || isStale}>
            {plan.mode === "code" ? "Follow the code" : "Release"}
          </button>
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function isConflict(error: Error | null): boolean {
  return (error as Partial<AgentflowError> | null)?.code === "version_conflict";
}

/** Somebody was faster: what holds now, and that nothing was done. */
export function Moved({ now, onLook }: { now: PromptBinding | null; onLook: () => void }) {
  return (
    <div className="note" role="alert">
      <p>
        <b>It was moved while you looked at it</b>, so nothing is released. Now{" "}
        {now === null ? "nothing holds there." : `it is ${holdsWord(now)} (${modeWord(now)}).`}
      </p>
      <button type="button" className="button" onClick={onLook}>
        Look again
      </button>
    </div>
  );
}
