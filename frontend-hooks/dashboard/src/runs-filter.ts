// The filter of the list of runs as one line of text: `task:refund status:failed tag:vip o-81`. Pure.

export const STATUSES = ["scheduled", "queued", "running", "waiting", "paused", "completed", "failed", "cancelled", "expired"] as const;
export type RunStatus = (typeof STATUSES)[number];

export interface Filter {
  task?: string;
  status?: RunStatus;
  tag?: string;
  /** What must occur in a run's task, id, tags or note; looked for here, not on the server. */
  words: readonly string[];
}

const NAMES = ["task", "status", "tag"] as const;

export function parseFilter(line: string): Filter {
  const filter: { task?: string; status?: RunStatus; tag?: string; words: string[] } = { words: [] };
  for (const word of line.split(/\s+/).filter(Boolean)) {
    const name = NAMES.find((one) => word.startsWith(`${one}:`));
    const value = name === undefined ? "" : word.slice(name.length + 1);
    if (name === undefined) filter.words.push(word.toLowerCase());
    else if (name !== "status") {
      if (value !== "") filter[name] = value;
    } else if ((STATUSES as readonly string[]).includes(value)) filter.status = value as RunStatus;
  }
  return filter;
}

/** The same line with one part of it set to something else, or taken out. */
export function withPart(line: string, name: "task" | "status" | "tag", value: string | null): string {
  const rest = line.split(/\s+/).filter((word) => word !== "" && !word.startsWith(`${name}:`));
  return [...(value === null ? [] : [`${name}:${value}`]), ...rest].join(" ");
}

export function isEmpty(filter: Filter): boolean {
  return filter.task === undefined && filter.status === undefined && filter.tag === undefined && filter.words.length === 0;
}

export interface Findable {
  readonly id: string;
  readonly task: string;
  readonly tags: readonly string[];
  readonly note: string | null;
}

export function matches(run: Findable, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = [run.id, run.task, ...run.tags, run.note ?? ""].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}
