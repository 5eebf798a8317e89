import type { Locator } from "playwright-core";

/** It is there to be seen, or comes to be. */
export async function shows(what: Locator): Promise<void> {
  await what.first().waitFor({ state: "visible" });
}

export function equal<T>(found: T, wanted: T, what: string): void {
  if (found !== wanted) throw new Error(`${what}: ${JSON.stringify(found)} is not ${JSON.stringify(wanted)}`);
}
