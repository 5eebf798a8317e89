import type { PromptInfo, PromptVersion } from "@agentflow/client";
import { useState } from "react";
import { useKeys } from "../live/keys.ts";
import { usePrompt, useVersions } from "../live/prompts.ts";
import { Link } from "../parts/link.tsx";
import { Bones, Trouble } from "../parts/said.tsx";
import { Compare } from "../prompts/compare.tsx";
import { type Draft, draftOf, isChanged } from "../prompts/editing.ts";
import { Editor } from "../prompts/editor.tsx";
import { Events } from "../prompts/events.tsx";
import { Holding } from "../prompts/holding.tsx";
import { Pins } from "../prompts/pins.tsx";
import type { Wish } from "../prompts/release.tsx";
import { useVariables } from "../prompts/variables.tsx";
import { Versions } from "../prompts/versions.tsx";
import { go, type PromptTab, paths } from "../router.ts";

const TABS: readonly { tab: PromptTab; name: string }[] = [
  { tab: "editor", name: "Editor" },
  { tab: "versions", name: "Versions" },
  { tab: "events", name: "Events" },
  { tab: "pins", name: "Pins" },
  { tab: "compare", name: "Compare" },
];

export function PromptPage({ name, tab }: { name: string; tab: PromptTab }) {
  const prompt = usePrompt(name);
  const versions = useVersions(name);
  useKeys({ u: () => go(paths.prompts()) });
  const error = prompt.error ?? versions.error;
  return (
    <>
      <nav className="crumbs quiet" aria-label="Way back">
        <Link to={paths.prompts()} className="link">
          Prompts
        </Link>
      </nav>
      {prompt.data === undefined || versions.data === undefined ? (
        error === undefined ? (
          <Bones rows={9} />
        ) : (
          <Trouble error={error} />
        )
      ) : (
        <Whole prompt={prompt.data} versions={versions.data} tab={tab} />
      )}
    </>
  );
}

/** What is written stays while somebody looks at other tabs and pages, by prompt. */
const drafts = new Map<string, Draft>();

interface WholeProps {
  prompt: PromptInfo;
  versions: readonly PromptVersion[];
  tab: PromptTab;
}

function Whole({ prompt, versions, tab }: WholeProps) {
  const [wish, setWish] = useState<Wish | null>(null);
  const [saved, setSaved] = useState<number | null>(null);
  const [draft, show] = useState<Draft | null>(() => beginning(prompt, versions));
  const setDraft = (next: Draft) => {
    drafts.set(prompt.name, next);
    show(next);
  };
  const variables = useVariables(prompt.contract);
  const release = (version: number) =>
    setWish({ at: prompt.live ?? prompt.bindings[0] ?? { env: "", label: "live" }, mode: "pinned", version });
  function edit(version: PromptVersion) {
    setDraft(draftOf(version));
    go(paths.prompt(prompt.name));
  }
  return (
    <>
      <header className="page-head">
        <h1>{prompt.name}</h1>
        {prompt.description === "" ? null : <span className="quiet">{prompt.description}</span>}
      </header>
      <Holding prompt={prompt} versions={versions} wish={wish} onWish={setWish} />
      {saved === null ? null : (
        <Saved
          version={saved}
          onRelease={() => {
            setSaved(null);
            release(saved);
          }}
        />
      )}
      <Tabs name={prompt.name} tab={tab} />
      {tab === "editor" && draft !== null ? (
        <Editor
          prompt={prompt}
          versions={versions}
          draft={draft}
          onDraft={setDraft}
          variables={variables}
          onSaved={(version) => {
            setDraft(draftOf(version));
            setSaved(version.number);
          }}
        />
      ) : null}
      {tab === "versions" ? <Versions prompt={prompt} versions={versions} onEdit={edit} onRelease={release} /> : null}
      {tab === "events" ? <Events name={prompt.name} /> : null}
      {tab === "compare" ? <Compare name={prompt.name} /> : null}
      {tab === "pins" ? <Pins name={prompt.name} versions={versions} /> : null}
    </>
  );
}

/** What was changed here and not saved; else the version that is live, or the newest. */
function beginning(prompt: PromptInfo, versions: readonly PromptVersion[]): Draft | null {
  const kept = drafts.get(prompt.name);
  const base = versions.find((one) => one.number === kept?.base);
  if (kept !== undefined && base !== undefined && isChanged(kept, base)) return kept;
  const first = versions.find((one) => one.number === prompt.live?.version) ?? versions[0];
  return first === undefined ? null : draftOf(first);
}

function Saved({ version, onRelease }: { version: number; onRelease: () => void }) {
  return (
    <p className="note saved" role="status">
      v{version} is kept, and not live before it is released.{" "}
      <button type="button" className="link" onClick={onRelease}>
        Release v{version}…
      </button>
    </p>
  );
}

function Tabs({ name, tab }: { name: string; tab: PromptTab }) {
  return (
    <nav className="tabs" aria-label="Parts of the prompt">
      <ul>
        {TABS.map((one) => (
          <li key={one.tab}>
            <Link to={paths.prompt(name, one.tab)} aria-current={one.tab === tab ? "page" : undefined}>
              {one.name}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
