import type { RunGeneration } from "@agentflow/client";
import { count } from "../format.ts";
import { Link } from "../parts/link.tsx";
import { paths } from "../router.ts";
import { speakerName, speakersOf } from "./prompts.ts";

/** The versions of prompts that spoke in a run. */
export function Speakers({ generations }: { generations: readonly RunGeneration[] }) {
  return (
    <ul className="speakers">
      {speakersOf(generations).map((one) => (
        <li key={`${speakerName(one)} ${one.variant}`}>
          <Link to={paths.prompt(one.prompt, "versions")} className="link">
            {speakerName(one)}
          </Link>{" "}
          <span className="small quiet">
            {count(one.calls, "call")}
            {one.variant === null ? "" : `, drawn by a rollout as ${one.variant}`}
          </span>
        </li>
      ))}
    </ul>
  );
}
