import type { PromptBinding, PromptInfo } from "@agentflow/client";
import { holdsWord, inOrder, modeWord, placeOf, versionWord } from "./words.ts";

/** What holds of a prompt, everywhere: a chip for each environment. */
export function Chips({ prompt }: { prompt: PromptInfo }) {
  return (
    <ul className="prompt-chips" aria-label={`What holds of ${prompt.name}`}>
      {prompt.bindings.length === 0 ? <li className="small faint">nothing is live</li> : null}
      {inOrder(prompt).map((one) => (
        <li key={`${one.env}/${one.label}`}>
          <Chip binding={one} />
        </li>
      ))}
    </ul>
  );
}

/** An environment, what holds there and how that came; and whether the code has something newer. */
export function Chip({ binding }: { binding: PromptBinding }) {
  return (
    <span className="prompt-chip" data-env={placeOf(binding)}>
      <span className="prompt-chip-env">{placeOf(binding)}</span> <b className="mono">{holdsWord(binding)}</b> <Mode binding={binding} />
      {binding.code_ahead ? (
        <span className="badge" data-tone="wait" title={`The code deployed there has ${versionWord(binding.code)}.`}>
          code is ahead
        </span>
      ) : null}
    </span>
  );
}

export function Mode({ binding }: { binding: PromptBinding }) {
  return (
    <span className="badge" data-mode={binding.mode}>
      {modeWord(binding)}
    </span>
  );
}
