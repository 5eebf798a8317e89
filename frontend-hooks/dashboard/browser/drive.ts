// Drives the dashboard in a real browser: `node drive.ts <case> <url>`. What it says on stdout, and hears on stdin, a line each, keeps it
// in step with the test that has the server in its hands. AGENTFLOW_SHOTS names a folder for pictures.

import { createInterface } from "node:readline";
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { CASES } from "./cases.ts";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PATIENCE = 10_000;

/** What a case works with. */
export interface Stage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Open a page of the dashboard. */
  open(path: string): Promise<void>;
  /** Another browser, which runs no script, on a phone: a page in it, with the same server before it. */
  plain(options: BrowserContextOptions): Promise<Page>;
  /** Tell the test, and wait until it has heard: what it has to say. */
  tell(line: string): Promise<string>;
  /** Keep a picture, where pictures are wanted. */
  shot(name: string, page?: Page): Promise<void>;
  /** What went wrong in the page is expected from here on, for a case that takes the server away. */
  forgive(pattern: RegExp): void;
}

async function main(name: string, url: string): Promise<void> {
  const run = CASES[name];
  if (run === undefined) throw new Error(`There is no case ${name}.`);
  const executablePath = process.env.CHROMIUM;
  if (executablePath === undefined) throw new Error("CHROMIUM names the browser.");
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: "light", reducedMotion: "reduce" });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    const faults: Faults = { found: [], forgiven: [] };
    watch(page, faults);
    const stage = staged(page, context, url, faults);
    await run(stage).catch(async (error: unknown) => {
      await stage.shot(`${name}-failed`);
      throw new Error(`${(error as Error).message}\n--- the page says:\n${await page.locator("body").textContent()}`);
    });
    if (faults.found.length > 0) throw new Error(`The page complained: ${faults.found.join("; ")}`);
  } finally {
    await browser.close();
  }
}

interface Faults {
  readonly found: string[];
  readonly forgiven: RegExp[];
}

/** Errors of scripts, and what the content security policy refused. */
function watch(page: Page, faults: Faults): void {
  const note = (text: string) => {
    if (!faults.forgiven.some((pattern) => pattern.test(text))) faults.found.push(text);
  };
  page.on("pageerror", (error) => note(error.message));
  page.on("console", (message) => message.type() === "error" && note(`${message.text()} (${message.location().url})`));
}

function staged(page: Page, context: BrowserContext, url: string, faults: Faults): Stage {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  return {
    page,
    context,
    open: async (path) => {
      await page.goto(url + path);
    },
    plain: async (options) => {
      const found = await context.browser()?.newContext({ ...options, baseURL: url, javaScriptEnabled: false });
      if (found === undefined) throw new Error("There is no browser.");
      found.setDefaultTimeout(PATIENCE);
      const page = await found.newPage();
      watch(page, faults);
      return page;
    },
    tell: async (line) => {
      process.stdout.write(`${line}\n`);
      return (await lines.next()).value ?? "";
    },
    shot: async (name, shown = page) => {
      const folder = process.env.AGENTFLOW_SHOTS;
      if (folder !== undefined) await shown.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
    },
    forgive: (pattern) => {
      faults.forgiven.push(pattern);
    },
  };
}

const [name = "", url = ""] = process.argv.slice(2);
try {
  await main(name, url);
  process.exit(0);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
