import type { LintFinding } from "@agentflow/client";
import { Mark } from "../parts/status.tsx";
import { spotWord } from "./preview.tsx";

interface FindingsProps {
  findings: readonly LintFinding[];
  /** Go to the place of a finding. */
  onGo: (finding: LintFinding) => void;
}

/** What is to be looked at in the whole prompt: what is wrong first. */
export function Findings({ findings, onGo }: FindingsProps) {
  const sorted = [...findings].sort((a, b) => Number(b.wrong) - Number(a.wrong));
  return (
    <section className="findings" aria-label="What to look at">
      <h2 className="section-head">What to look at</h2>
      {sorted.length === 0 ? <p className="quiet small">Nothing.</p> : null}
      <ul>
        {sorted.map((one) => (
          <li key={`${one.code} ${one.where} ${one.line} ${one.column} ${one.text}`} data-wrong={one.wrong || undefined}>
            <Mark state={one.wrong ? "failed" : "waiting"} title={one.wrong ? "wrong" : "worth a look"} />
            <span>
              <Where finding={one} onGo={onGo} /> {one.text}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Where({ finding, onGo }: { finding: LintFinding; onGo: FindingsProps["onGo"] }) {
  const spot = spotWord(finding.line, finding.column);
  const told = spot === "" ? finding.where : `${finding.where}, ${spot}`;
  if (finding.line === null) return <span className="quiet">{told}:</span>;
  return (
    <button type="button" className="link small" onClick={() => onGo(finding)}>
      {told}
    </button>
  );
}

/** What is wrong in one text, at that text. */
export function Wrongs({ id, findings }: { id: string; findings: readonly LintFinding[] }) {
  return (
    <div id={id}>
      {findings
        .filter((one) => one.wrong)
        .map((one) => (
          <p key={`${one.line} ${one.column} ${one.text}`} className="problem">
            {spotWord(one.line, one.column)}: {one.text}
          </p>
        ))}
    </div>
  );
}
