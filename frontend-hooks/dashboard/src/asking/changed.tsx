import { Exact, Visible } from "../parts/exact.tsx";
import { between, type Change } from "./diff.ts";

/** What is changed, place by place: as it was, and as it will be. */
export function Changed({ changes }: { changes: readonly Change[] }) {
  return (
    <dl className="changed" aria-label="What is changed">
      {changes.map((one) => (
        <div key={one.path}>
          <dt>{one.path || "all of it"}</dt>
          <dd>
            <Place change={one} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Place({ change }: { change: Change }) {
  const { before, after } = change;
  if (typeof before === "string" && typeof after === "string") return <Texts before={before} after={after} />;
  return (
    <>
      {"before" in change ? (
        <del>
          <Exact value={before} />
        </del>
      ) : null}
      {"after" in change ? (
        <ins>
          <Exact value={after} />
        </ins>
      ) : (
        <span className="faint">left out</span>
      )}
    </>
  );
}

/** Two texts, with what differs marked in what they share. */
function Texts({ before, after }: { before: string; after: string }) {
  const { head, old, now, tail } = between(before, after);
  return (
    <span className="v-text">
      <span className="faint">“</span>
      <Visible text={head} />
      {old === "" ? null : (
        <del>
          <Visible text={old} />
        </del>
      )}
      {now === "" ? null : (
        <ins>
          <Visible text={now} />
        </ins>
      )}
      <Visible text={tail} />
      <span className="faint">”</span>
    </span>
  );
}
