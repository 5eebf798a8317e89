import type { AuditEntry } from "@agentflow/client";
import { useAgentflow, useRequest } from "@agentflow/react";
import { useCallback, useState } from "react";
import { actorWords, deedWords, isFound, TYPES } from "../asking/audit-words.ts";
import { Rooms } from "../asking/rooms.tsx";
import { LIST_KEYS, useKeys } from "../live/keys.ts";
import { useAct } from "../parts/act.ts";
import { Exact, Visible } from "../parts/exact.tsx";
import { ApprovalsIcon } from "../parts/icons.tsx";
import { Link } from "../parts/link.tsx";
import { Age, Bones, Empty, Id, Trouble } from "../parts/said.tsx";
import { go, paths } from "../router.ts";

/** How far back the page looks, step by step: what is older is in the export. */
const BACK = [200, 1_000, 5_000, 10_000] as const;
const PAGE = 10_000;

/** Who did what about questions, the newest first, and all of it as a file. */
export function AuditPage({ query }: { query: string }) {
  const [step, setStep] = useState(0);
  const [type, setType] = useState("");
  const { data, error, isLoading, reload } = useAudit(BACK[step] ?? PAGE);
  useKeys(LIST_KEYS);
  const entries = data?.entries ?? [];
  const shown = entries.filter((one) => (type === "" || one.type === type) && isFound(one, query));
  const oldest = entries.at(-1)?.seq ?? 1;
  return (
    <>
      <Rooms on="audit" />
      <header className="page-head">
        <h1>Audit</h1>
        <span className="spring" />
        <button type="button" className="button" onClick={reload}>
          Look again
        </button>
        <Export />
      </header>
      <Filters query={query} type={type} setType={setType} />
      {error === null ? null : <Trouble error={error} />}
      {isLoading && data === null ? <Bones rows={6} /> : null}
      {data === null ? null : <About data={data} shown={shown.length} />}
      {data !== null && shown.length === 0 ? <Nothing of={entries.length} /> : null}
      <ol className="rows audit" reversed aria-label="Audit">
        {shown.map((one) => (
          <Entry key={one.seq} entry={one} />
        ))}
      </ol>
      {oldest > 1 && step < BACK.length - 1 ? (
        <button type="button" className="link small" disabled={isLoading} onClick={() => setStep(step + 1)}>
          Look further back
        </button>
      ) : null}
    </>
  );
}

function Nothing({ of }: { of: number }) {
  return (
    <Empty icon={<ApprovalsIcon />} title={of === 0 ? "Nobody has decided anything yet" : "Nothing like that is shown"}>
      <p>Each decision, reminder, link and grant is kept here, also what did not count.</p>
    </Empty>
  );
}

interface Loaded {
  /** The newest first. */
  readonly entries: readonly AuditEntry[];
  readonly last: number;
  readonly head: string;
}

/** The last so many entries. The server tells where the end is; entries have numbers without gaps. */
function useAudit(size: number) {
  const { audit } = useAgentflow();
  const load = useCallback(async (): Promise<Loaded> => {
    const { last } = await audit.list({ limit: 1 });
    const page = await audit.list({ after: Math.max(0, last - size), limit: size });
    return { ...page, entries: page.entries.toReversed() };
  }, [audit, size]);
  return useRequest(load);
}

function About({ data, shown }: { data: Loaded; shown: number }) {
  const seen = data.entries.length;
  const oldest = data.entries.at(-1)?.seq ?? 1;
  return (
    <div className="audit-about small quiet">
      <p role="status">
        {shown === seen
          ? seen === 1
            ? "1 entry"
            : `${seen.toLocaleString()} entries`
          : `${shown.toLocaleString()} of ${seen.toLocaleString()} entries`}
        {oldest > 1 ? `, the newest of ${data.last.toLocaleString()}` : ""}
      </p>
      {data.last === 0 ? null : (
        <p title="Each entry holds the hash of the one before it. Keep this elsewhere, and check with: agentflow audit verify --head">
          ends with <Id id={data.head} />
        </p>
      )}
    </div>
  );
}

function Filters({ query, type, setType }: { query: string; type: string; setType: (type: string) => void }) {
  return (
    <search className="row audit-filters">
      <select className="input" aria-label="Type" value={type} onChange={(event) => setType(event.target.value)}>
        <option value="">All types</option>
        {TYPES.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
      <input
        className="input"
        type="search"
        aria-label="Waitpoint, run, or person"
        placeholder="waitpoint, run, or person"
        value={query}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => go(paths.audit(event.target.value), { replace: true })}
      />
    </search>
  );
}

function Entry({ entry }: { entry: AuditEntry }) {
  return (
    <li className="audit-row" data-entry={entry.seq} data-item="" tabIndex={-1}>
      <details>
        <summary>
          <span className="faint audit-seq">{entry.seq}</span>
          <span>
            <b>
              <Visible text={actorWords(entry)} />
            </b>{" "}
            {deedWords(entry)} <span className="tag">{entry.via}</span>
          </span>
          <span className="small quiet">
            <Age at={entry.at} />
          </span>
        </summary>
        <div className="audit-more">
          <p className="small quiet">
            {entry.waitpoint === null ? null : (
              <Link to={paths.approval(entry.waitpoint)} className="link">
                the question
              </Link>
            )}
            {entry.run === null ? null : (
              <Link to={paths.run(entry.run)} className="link">
                its run
              </Link>
            )}
          </p>
          <Exact value={entry.detail} />
          <p className="small faint mono audit-hash">{entry.hash}</p>
        </div>
      </details>
    </li>
  );
}

/** All of it, as a file that `agentflow audit verify` checks. */
function Export() {
  const { audit } = useAgentflow();
  const act = useAct();
  async function save() {
    const parts: string[] = [];
    for (let after = 0; ; after += PAGE) {
      const lines = await audit.lines({ after, limit: PAGE });
      if (lines === "") break;
      parts.push(lines);
    }
    const address = URL.createObjectURL(new Blob(parts, { type: "application/jsonl" }));
    const link = Object.assign(document.createElement("a"), { href: address, download: "agentflow-audit.jsonl" });
    link.click();
    URL.revokeObjectURL(address);
  }
  return (
    <>
      <button type="button" className="button" disabled={act.busy} onClick={() => act.run(save)}>
        Export
      </button>
      {act.error === null ? null : <Trouble error={act.error} />}
    </>
  );
}
