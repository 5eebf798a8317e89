import type { PromptDay, PromptInfo } from "@agentflow/client";
import { useRef } from "react";
import { count } from "../format.ts";
import { LIST_KEYS, useKeys } from "../live/keys.ts";
import { usePrompts } from "../live/prompts.ts";
import { PromptsIcon } from "../parts/icons.tsx";
import { Link } from "../parts/link.tsx";
import { Bones, Empty, Trouble } from "../parts/said.tsx";
import { Chips } from "../prompts/chips.tsx";
import { money } from "../prompts/measures.ts";
import { isFound } from "../prompts/words.ts";
import { go, paths } from "../router.ts";
import { firstLine } from "./tasks.tsx";

export function PromptsPage({ query }: { query: string }) {
  const { data, error } = usePrompts();
  const found = data?.filter((one) => isFound(one, query));
  useKeys(LIST_KEYS);
  return (
    <>
      <header className="page-head">
        <h1>Prompts</h1>
        <span className="spring" />
        {data !== undefined && data.length > 0 ? <Search query={query} /> : null}
      </header>
      {error !== undefined && data === undefined ? <Trouble error={error} /> : null}
      {data === undefined && error === undefined ? <Bones /> : null}
      {data?.length === 0 ? <NoPrompts /> : null}
      {found === undefined || data?.length === 0 ? null : <Found prompts={found} />}
    </>
  );
}

function Search({ query }: { query: string }) {
  const box = useRef<HTMLInputElement>(null);
  useKeys({ "/": () => box.current?.focus() });
  return (
    <search className="filter-box">
      <input
        ref={box}
        className="input"
        type="search"
        aria-label="Search prompts"
        placeholder="any word, also: code is ahead"
        autoComplete="off"
        spellCheck={false}
        value={query}
        onChange={(event) => go(paths.prompts(event.target.value), { replace: true })}
        onKeyDown={(event) => event.key === "Escape" && box.current?.blur()}
      />
      <kbd>/</kbd>
    </search>
  );
}

function Found({ prompts }: { prompts: readonly PromptInfo[] }) {
  if (prompts.length === 0) return <Empty icon={<PromptsIcon />} title="No prompt is like that" />;
  return (
    <ul className="rows" aria-label="Prompts">
      {prompts.map((one) => (
        <li key={one.name}>
          <Link to={paths.prompt(one.name)} className="prompt-row" data-item="" data-prompt={one.name}>
            <span className="prompt-what">
              <b>{one.name}</b>
              <span className="quiet small clip">{firstLine(one.description)}</span>
            </span>
            <Chips prompt={one} />
            <span className="small quiet prompt-count">{count(one.versions, "version")}</span>
            <span className="small prompt-day">
              <Day day={one.day ?? null} />
            </span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

/** What its calls did in the last 24 hours. */
function Day({ day }: { day: PromptDay | null }) {
  if (day === null || day.calls === 0) return <span className="faint">no calls today</span>;
  return (
    <>
      {count(day.calls, "call")}
      {day.errors > 0 ? <span className="bad"> · {day.errors.toLocaleString()} failed</span> : null}
      {day.usd === null ? null : <span className="quiet"> · {money(Number(day.usd))}</span>}
    </>
  );
}

const FIRST = `from agentflow import prompt, system, user

support = prompt("support", vars=SupportVars, messages=[
    system("You help {{name}}."),
    user("{{issue}}"),
])`;

function NoPrompts() {
  return (
    <Empty icon={<PromptsIcon />} title="No prompt is known">
      <p>A prompt is made in code. It is listed here, with its first version, when a worker that has its code has started.</p>
      <pre className="first-prompt">
        <code>{FIRST}</code>
      </pre>
      <p>Or take in those that you have elsewhere:</p>
      <code>agentflow prompts push ./prompts</code>
    </Empty>
  );
}
