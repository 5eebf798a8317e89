import type { VersionMetrics } from "@agentflow/client";
import { useState } from "react";
import { useMetrics } from "../live/prompts.ts";
import { Bones, Empty, Trouble } from "../parts/said.tsx";
import { best, columnName, drawn, type Measure, ROWS, type Row } from "./measures.ts";

const PERIODS = [
  { name: "A day", days: 1 },
  { name: "A week", days: 7 },
  { name: "A month", days: 30 },
] as const;

const MOST = 6;

/** What was measured of versions, side by side, and how far it may be off. */
export function Compare({ name }: { name: string }) {
  const [days, setDays] = useState<number>(7);
  const [byVariant, setByVariant] = useState(false);
  const { data, error } = useMetrics(name, byVariant ? "variant" : "version", days);
  return (
    <section aria-label="Compare versions">
      <div className="plan-row">
        <fieldset className="segments" aria-label="Since when">
          {PERIODS.map((one) => (
            <button key={one.days} type="button" aria-pressed={days === one.days} onClick={() => setDays(one.days)}>
              {one.name}
            </button>
          ))}
        </fieldset>
        <fieldset className="segments" aria-label="Told apart by">
          <button type="button" aria-pressed={!byVariant} onClick={() => setByVariant(false)}>
            Versions
          </button>
          <button type="button" aria-pressed={byVariant} onClick={() => setByVariant(true)}>
            Rollouts
          </button>
        </fieldset>
      </div>
      {error !== undefined && data === undefined ? <Trouble error={error} /> : null}
      {data === undefined && error === undefined ? <Bones rows={5} /> : null}
      {data?.length === 0 ? (
        <Empty title="Nothing was measured then">
          <p>A model call counts for the version that spoke it: an agent's with its prompt, or code in a block of the filled prompt.</p>
        </Empty>
      ) : null}
      {data === undefined || data.length === 0 ? null : <Table metrics={data.slice(0, MOST)} />}
    </section>
  );
}

function Table({ metrics }: { metrics: readonly VersionMetrics[] }) {
  return (
    <div className="measures-box">
      <table className="measures">
        <thead>
          <tr>
            <td />
            {metrics.map((one) => (
              <th key={columnName(one)} scope="col">
                {columnName(one)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ROWS.map((row) => (
            <Line key={row.name} row={row} metrics={metrics} />
          ))}
        </tbody>
      </table>
      <p className="faint small">
        Lines are where a number is with 95 % of certainty. “Better” is said only where the lines of two versions do not meet.
      </p>
    </div>
  );
}

function Line({ row, metrics }: { row: Row; metrics: readonly VersionMetrics[] }) {
  const all = metrics.map(row.measure);
  if (all.every((one) => one.value === null)) return null;
  const winner = best(all, row.less);
  return (
    <tr>
      <th scope="row">{row.name}</th>
      {metrics.map((one, place) => (
        <Cell key={columnName(one)} row={row} measure={row.measure(one)} all={all} isBest={place === winner} />
      ))}
    </tr>
  );
}

interface CellProps {
  row: Row;
  measure: Measure;
  all: readonly Measure[];
  isBest: boolean;
}

function Cell({ row, measure, all, isBest }: CellProps) {
  if (measure.value === null) return <td className="faint">–</td>;
  const place = drawn(measure, all);
  return (
    <td>
      <b>{row.write(measure.value)}</b>
      {isBest ? (
        <>
          {" "}
          <span className="badge" data-tone="live">
            better
          </span>
        </>
      ) : null}
      {measure.range === null ? null : (
        <div className="small quiet">
          {row.write(measure.range[0])} to {row.write(measure.range[1])}
        </div>
      )}
      {place === null ? null : (
        <div className="range" aria-hidden="true">
          <span className="range-line" style={{ left: `${place.from * 100}%`, width: `max(2px, ${(place.to - place.from) * 100}%)` }} />
          <span className="range-dot" style={{ left: `${place.at * 100}%` }} />
        </div>
      )}
    </td>
  );
}
