import type { Waitpoint } from "@agentflow/client";
import { progressOf, type Question, type Refusal, type Risk } from "@agentflow/react";
import { length, moment } from "../format.ts";
import { useNow } from "../live/now.ts";
import { useVotes } from "../live/server.ts";
import { Visible } from "../parts/exact.tsx";
import { Link } from "../parts/link.tsx";
import { Age } from "../parts/said.tsx";
import { paths } from "../router.ts";
import { standsWords } from "./grant-words.ts";
import { choiceWord, reasonOf, refusalWords, SILENCES, standing, toWords, whyWord } from "./words.ts";

const SOON = 3_600_000;

export function RiskBadge({ risk }: { risk: Risk }) {
  return (
    <span className="risk" data-risk={risk}>
      {risk} risk
    </span>
  );
}

/** How long there is, counted down, and what happens then. */
export function Deadline({ at, silence }: { at: number; silence: Question["silence"] }) {
  const now = useNow();
  const left = at - now;
  return (
    <span className="deadline" title={`Until ${moment(at)}`} data-soon={left < SOON || undefined}>
      <b>{left > 0 ? `${length(Math.ceil(left / 1_000) * 1_000)} left` : "time is over"}</b>, {SILENCES[silence]}
    </span>
  );
}

/** Who asks for what, since when, and who may decide. */
export function Origin({ approval, question, showsRun }: { approval: Waitpoint; question: Question; showsRun: boolean }) {
  const { agent, tool, users, groups } = question;
  return (
    <p className="approval-origin quiet">
      {agent === null ? null : (
        <span>
          <Visible text={agent} />
          {tool === null ? null : (
            <>
              {" wants to call "}
              <b className="mono">
                <Visible text={tool} />
              </b>
            </>
          )}
        </span>
      )}
      <span>
        asked <Age at={approval.created_at} />
      </span>
      {[...users, ...groups].map((name) => (
        <span key={name} className="tag" title="May decide">
          for {name}
        </span>
      ))}
      {showsRun && approval.run !== null ? (
        <Link to={paths.run(approval.run)} className="link">
          see the run
        </Link>
      ) : null}
    </p>
  );
}

/** How far it is, and what people said: also what does not count. */
export function Votes({ id, need, shows = true }: { id: string; need: number; shows?: boolean }) {
  const { data } = useVotes(id);
  const votes = data ?? [];
  const have = progressOf(votes);
  return (
    <div className="votes">
      {need > 1 && shows ? (
        <p className="progress" role="status">
          <span className="dots" aria-hidden="true">
            {Array.from({ length: need }, (_, place) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: dots have no name but their place
              <i key={place} data-on={place < have || undefined} />
            ))}
          </span>
          <b>
            {have} of {need}
          </b>{" "}
          people
        </p>
      ) : null}
      {votes.length === 0 ? null : (
        <ul aria-label="What people said">
          {votes.map((one) => (
            <li key={`${one.actor} ${one.at} ${one.choice}`} data-void={!one.counted || undefined}>
              <b>
                <Visible text={one.actor} />
              </b>{" "}
              {one.choice === "reassign" ? <Visible text={toWords(one.said)} /> : choiceWord(one.choice)} <Age at={one.at} />
              {one.counted ? null : <span className="faint"> · does not count: {whyWord(one.why)}</span>}
              <Reason said={one.said} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Reason({ said }: { said: unknown }) {
  const reason = (said as { reason?: unknown } | null)?.reason;
  return typeof reason === "string" && reason !== "" ? (
    <span className="quiet">
      {" "}
      “<Visible text={reason} />”
    </span>
  ) : null;
}

/** What became of it, in a line: "Denied by Ana 3 s ago". */
export function Standing({ approval }: { approval: Waitpoint }) {
  const reason = reasonOf(approval);
  const stands = standsWords(approval.answer);
  return (
    <span className="standing">
      <b>
        <Visible text={standing(approval)} />
      </b>{" "}
      {approval.ended_at === null ? null : <Age at={approval.ended_at} />}
      {reason === null ? null : (
        <span className="quiet">
          {" "}
          “<Visible text={reason} />”
        </span>
      )}
      {stands === null ? null : (
        <>
          {" "}
          <Link to={paths.grants()} className="link">
            {stands}
          </Link>
        </>
      )}
    </span>
  );
}

/** A decision that did not count: how it is, and no failure. */
export function Fact({ refusal, question }: { refusal: Refusal; question: Question }) {
  return (
    <p className="fact" role="status">
      {refusalWords(refusal, question)}
    </p>
  );
}
