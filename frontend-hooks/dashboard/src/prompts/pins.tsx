import type { PromptPin, PromptVersion } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { type FormEvent, useState } from "react";
import { count, short } from "../format.ts";
import { refreshPrompt, usePins } from "../live/prompts.ts";
import { useAct } from "../parts/act.ts";
import { useCapped } from "../parts/capped.tsx";
import { Link } from "../parts/link.tsx";
import { Age, Bones, Dialog, Empty, Trouble } from "../parts/said.tsx";
import { Status } from "../parts/status.tsx";
import { paths } from "../router.ts";
import { useName } from "../session.ts";
import { Line, VersionField } from "./plan.tsx";

const MOST = 100;

/** The runs that hold a version: they go on with it, whatever is released. */
export function Pins({ name, versions }: { name: string; versions: readonly PromptVersion[] }) {
  const { data, error } = usePins(name);
  const [moves, setMoves] = useState<PromptPin | null>(null);
  const { shown, more } = useCapped(data ?? [], MOST);
  if (data === undefined) return error === undefined ? <Bones rows={4} /> : <Trouble error={error} />;
  if (data.length === 0) {
    return (
      <Empty title="No run holds a version">
        <p>A run takes the version that is live when it first speaks, and keeps it to its end.</p>
      </Empty>
    );
  }
  return (
    <>
      <p className="quiet small">{heldWords(data)}. A run goes on with what it holds, whatever is released.</p>
      {more}
      <ul className="rows" aria-label="Runs that hold a version">
        {shown.map((one) => (
          <li key={`${one.run} ${one.label}`} className="pin-row" data-run={one.run}>
            <Link to={paths.run(one.run)} className="link mono">
              {short(one.run)}
            </Link>
            <Status state={one.status} />
            <span>
              <b className="mono">v{one.version}</b>
              {one.variant === null ? null : <span className="small quiet"> by a rollout</span>}
              {one.label === "live" ? null : <span className="small quiet"> · {one.label}</span>}
            </span>
            <span className="small quiet clip">{one.thread === null ? "" : `thread ${one.thread}`}</span>
            <span className="small quiet">
              <Age at={one.at} />
            </span>
            <button type="button" className="button" onClick={() => setMoves(one)}>
              Move…
            </button>
          </li>
        ))}
      </ul>
      {moves === null ? null : <RepinDialog name={name} pin={moves} versions={versions} onClose={() => setMoves(null)} />}
    </>
  );
}

/** "3 runs hold v1, 1 run holds v2". */
export function heldWords(pins: readonly Pick<PromptPin, "version">[]): string {
  const counts = new Map<number, number>();
  for (const { version } of pins) counts.set(version, (counts.get(version) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([version, held]) => `${count(held, "run")} ${held === 1 ? "holds" : "hold"} v${version}`)
    .join(", ");
}

interface RepinProps {
  name: string;
  pin: PromptPin;
  versions: readonly PromptVersion[];
  onClose: () => void;
}

function RepinDialog({ name, pin, versions, onClose }: RepinProps) {
  const client = useAgentflow();
  const [by] = useName();
  const [version, setVersion] = useState(
    versions.find((one) => one.revoked_at === null && one.number !== pin.version)?.number ?? pin.version,
  );
  const [reason, setReason] = useState("");
  const act = useAct();
  async function move(event: FormEvent) {
    event.preventDefault();
    const said = { run: pin.run, version, reason: reason.trim(), by: by || "dashboard" };
    const worked = await act.run(() => client.prompts.repin(name, said));
    refreshPrompt(name);
    if (worked) onClose();
  }
  return (
    <Dialog title={`Move the run ${short(pin.run)}?`} onClose={onClose}>
      <form className="form" onSubmit={move}>
        <p className="quiet">It holds v{pin.version}, and takes the other version when it goes on.</p>
        <VersionField label="Version" value={version} versions={versions} onChange={setVersion} />
        <Line label="Reason" value={reason} onChange={setReason} />
        {act.error === null ? null : <Trouble error={act.error} />}
        <div className="row">
          <button type="submit" className="button" data-kind="main" disabled={act.busy || version === pin.version || reason.trim() === ""}>
            Move the run
          </button>
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
        </div>
      </form>
    </Dialog>
  );
}
