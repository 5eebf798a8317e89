import type { LintFinding, PromptInfo, PromptVersion } from "@agentflow/client";
import { useRef, useState } from "react";
import { bodyOf, type Draft, draftOf, isChanged, offsetOf } from "./editing.ts";
import { Findings } from "./findings.tsx";
import { Messages } from "./messages.tsx";
import { Preview, usePreview } from "./preview.tsx";
import { SaveDialog } from "./save.tsx";
import { Settings } from "./settings.tsx";
import { missingOf, type Variables, VariablesForm } from "./variables.tsx";

interface EditorProps {
  prompt: PromptInfo;
  versions: readonly PromptVersion[];
  draft: Draft;
  onDraft: (draft: Draft) => void;
  variables: Variables;
  onSaved: (version: PromptVersion) => void;
}

/** A version is written here, and looked at while it is: as it would be sent, and with what is wrong at its place. */
export function Editor({ prompt, versions, draft, onDraft, variables, onSaved }: EditorProps) {
  const box = useRef<HTMLDivElement>(null);
  const [saves, setSaves] = useState(false);
  const base = versions.find((one) => one.number === draft.base);
  const { body, problems } = bodyOf(draft);
  const looked = usePreview(prompt.name, body, "value" in variables.read ? (variables.read.value as object) : undefined);
  const findings = looked.data?.findings ?? [];
  const changed = base !== undefined && isChanged(draft, base);
  const change = (part: Partial<Draft>) => onDraft({ ...draft, ...part });
  const isWrong = body === null || looked.error !== null || findings.some((one) => one.wrong);
  return (
    <div ref={box} className="editor">
      <div className="edit-main">
        <From versions={versions} draft={draft} changed={changed} onDraft={onDraft} />
        <Messages messages={draft.messages} findings={findings} onChange={(messages) => change({ messages })} />
        <Settings
          draft={draft}
          variables={variables.fields.map((one) => one.name)}
          problems={problems}
          findings={findings}
          onChange={change}
        />
      </div>
      <aside className="edit-side" aria-label="How it looks">
        <Findings findings={findings} onGo={(finding) => show(box.current, finding)} />
        <VariablesForm name={prompt.name} variables={variables} />
        <Preview looked={looked} missing={missingOf(variables)} />
      </aside>
      <div className="edit-bar">
        <span className="quiet small" role="status">
          {barWord(changed, isWrong, draft.base)}
        </span>
        <span className="spring" />
        {changed ? (
          <button type="button" className="button" onClick={() => onDraft(draftOf(base))}>
            Start over
          </button>
        ) : null}
        <button type="button" className="button" data-kind="main" disabled={!changed || isWrong} onClick={() => setSaves(true)}>
          Save…
        </button>
      </div>
      {saves && body !== null ? (
        <SaveDialog name={prompt.name} base={draft.base} body={body} onClose={() => setSaves(false)} onSaved={onSaved} />
      ) : null}
    </div>
  );
}

function barWord(changed: boolean, isWrong: boolean, base: number): string {
  if (!changed) return `As v${base} is.`;
  return isWrong ? "What is wrong cannot be saved." : `Changed since v${base}.`;
}

interface FromProps {
  versions: readonly PromptVersion[];
  draft: Draft;
  changed: boolean;
  onDraft: (draft: Draft) => void;
}

/** The version that is edited; another one is taken only while nothing would be lost. */
function From({ versions, draft, changed, onDraft }: FromProps) {
  function take(number: number) {
    const found = versions.find((one) => one.number === number);
    if (found !== undefined) onDraft(draftOf(found));
  }
  return (
    <label className="edit-from">
      <span className="quiet small">From</span>
      <select
        className="input"
        value={draft.base}
        disabled={changed}
        title={changed ? "Save it or start over before you take another version." : undefined}
        onChange={(event) => take(Number(event.target.value))}
      >
        {versions.map((one) => (
          <option key={one.number} value={one.number}>
            v{one.number}
            {one.note === "" ? "" : ` – ${one.note.slice(0, 40)}`}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Put the cursor where a finding is. */
function show(box: HTMLElement | null, { where, line, column }: LintFinding): void {
  const place = where.replace(/ \(\w+\)$/, "");
  const text = box?.querySelector<HTMLTextAreaElement>(`[data-place="${CSS.escape(place)}"]`);
  if (text == null) return;
  const at = offsetOf(text.value, line ?? 1, column ?? 1);
  text.focus();
  text.setSelectionRange(at, at);
}
