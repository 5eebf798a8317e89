import type { PromptBody, PromptVersion } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { type FormEvent, useId, useState } from "react";
import { useAnswer } from "../live/answer.ts";
import { refreshPrompt } from "../live/prompts.ts";
import { useAct } from "../parts/act.ts";
import { Bones, Dialog, Trouble } from "../parts/said.tsx";
import { useName } from "../session.ts";
import { Difference } from "./difference.tsx";

interface SaveProps {
  name: string;
  base: number;
  body: PromptBody;
  onClose: () => void;
  onSaved: (version: PromptVersion) => void;
}

/** What is changed, before it is kept, and why. What some version says already is that version. */
export function SaveDialog({ name, base, body, onClose, onSaved }: SaveProps) {
  const client = useAgentflow();
  const [by] = useName();
  const [note, setNote] = useState("");
  const act = useAct();
  const id = useId();
  const { data, error } = useAnswer("diff", () => client.prompts.diffBody(name, { before: base, body }));
  async function save(event: FormEvent) {
    event.preventDefault();
    const kept: { version?: PromptVersion } = {};
    const worked = await act.run(async () => {
      kept.version = await client.prompts.save(name, { body, note: note.trim(), by: by || "dashboard" });
    });
    refreshPrompt(name);
    if (worked && kept.version !== undefined) onSaved(kept.version);
    if (worked) onClose();
  }
  const same = data?.after ?? null;
  return (
    <Dialog wide title={`Save ${name}`} onClose={onClose}>
      <form className="form" onSubmit={save}>
        {error === null ? null : <Trouble error={error} />}
        {data === null && error === null ? <Bones rows={3} /> : null}
        {data === null ? null : (
          <>
            <p className="quiet">What is changed since v{base}:</p>
            <Difference diff={data} />
          </>
        )}
        {same === null ? (
          <div className="field">
            <label htmlFor={id}>What is better now?</label>
            <input id={id} className="input" required value={note} onChange={(event) => setNote(event.target.value)} autoComplete="off" />
          </div>
        ) : (
          <p className="note">v{same} says just this: nothing new is kept.</p>
        )}
        {act.error === null ? null : <Trouble error={act.error} />}
        <div className="row">
          <button type="submit" className="button" data-kind="main" disabled={act.busy || data === null}>
            {same === null ? "Save the version" : `Go on with v${same}`}
          </button>
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
        </div>
      </form>
    </Dialog>
  );
}
