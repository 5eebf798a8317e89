import type { DiffPiece, DiffText, DiffValue, PromptDiff } from "@agentflow/client";
import { Exact, Visible } from "../parts/exact.tsx";

const KINDS: Readonly<Record<DiffText["kind"], string>> = { same: "the same", changed: "changed", added: "added", removed: "removed" };

/** Two versions as one text: what is gone is struck through, what is new is underlined, and both are said. */
export function Difference({ diff }: { diff: PromptDiff }) {
  return (
    <section className="difference" aria-label="What differs">
      {diff.same ? <p className="quiet">Nothing differs.</p> : null}
      {diff.messages.map((one, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: messages have no name but their place
        <Text key={place} text={one} what={one.name} />
      ))}
      {diff.partials.map((one) => (
        <Text key={one.name} text={one} what={`partial ${one.name}`} />
      ))}
      {diff.values.length === 0 ? null : <Values values={diff.values} />}
    </section>
  );
}

function Text({ text, what }: { text: DiffText; what: string }) {
  const head = (
    <>
      <b>{what}</b>{" "}
      <span className="badge" data-kind={text.kind}>
        {KINDS[text.kind]}
      </span>
    </>
  );
  if (text.kind === "same") {
    return (
      <details className="diff-text" data-kind="same">
        <summary>{head}</summary>
        <Pieces pieces={text.pieces} />
      </details>
    );
  }
  return (
    <div className="diff-text" data-kind={text.kind}>
      <div className="diff-head">{head}</div>
      <Pieces pieces={text.pieces} />
    </div>
  );
}

function Pieces({ pieces }: { pieces: readonly DiffPiece[] }) {
  return (
    <p className="diff-pieces">
      {pieces.map((one, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: passages have no name but their place
        <Piece key={place} piece={one} />
      ))}
    </p>
  );
}

/** A passage; where a line ends in what differs, that is shown. */
function Piece({ piece }: { piece: DiffPiece }) {
  if (piece.op === "same") return <Visible text={piece.text} />;
  const Mark = piece.op === "removed" ? "del" : "ins";
  return (
    <Mark>
      <span className="hidden">{piece.op === "removed" ? " removed: " : " added: "}</span>
      <Visible text={piece.text.replaceAll("\n", "↵\n")} />
    </Mark>
  );
}

function Values({ values }: { values: readonly DiffValue[] }) {
  return (
    <dl className="changed">
      {values.map(({ path, before, after }) => (
        <div key={path}>
          <dt>{path}</dt>
          <dd>
            <del>
              <span className="hidden">was: </span>
              {before === null ? <span className="faint">nothing</span> : <Exact value={before} />}
            </del>{" "}
            <ins>
              <span className="hidden">is: </span>
              {after === null ? <span className="faint">nothing</span> : <Exact value={after} />}
            </ins>
          </dd>
        </div>
      ))}
    </dl>
  );
}
