// @vitest-environment jsdom
/** The example without React, as it stands, against the real server: AGENTFLOW_URL says where. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";

const url = process.env.AGENTFLOW_URL ?? "";
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const at = (id: string) => document.getElementById(id) as HTMLElement & { value: string };

/** Puts the page into the document and runs its script, with the client's source in place of the built one. */
async function opened(page: string): Promise<void> {
  const html = readFileSync(page, "utf-8");
  const script = /<script type="module">([\s\S]*?)<\/script>/.exec(html)?.[1] ?? "";
  document.documentElement.innerHTML = html.replace(/<script[\s\S]*<\/script>/, "");
  const folder = here("../node_modules/.example");
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/page.js`, script.replace("../../client/dist/index.js", here("../src/index.ts")));
  await import(/* @vite-ignore */ `${folder}/page.js`);
}

describe.skipIf(!url)("with a real server", () => {
  test("the page without React starts an agent, shows what it says, and lets it be approved", async () => {
    window.history.replaceState(null, "", `?server=${encodeURIComponent(url)}`);
    await opened(here("../../examples/vanilla/index.html"));
    at("task").value = "clerk";
    at("start").dispatchEvent(new Event("submit", { cancelable: true }));
    await vi.waitFor(() => expect(at("approvals").querySelectorAll("button")).toHaveLength(2), 10_000);
    expect(at("text").textContent).toContain("Money is to be paid.");
    at("approvals").querySelector("button")?.click();
    await vi.waitFor(() => expect(at("status").textContent).toContain("completed"), 10_000);
    expect(at("text").textContent).toContain("It is paid.");
    expect(at("cancel").hidden).toBe(true);
  });
});
