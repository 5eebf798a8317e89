// Opens tabs in a real browser: `node tabs.ts <address> <how many> <run> <token>`. HTTP/1.1 gives all of them six connections.

import { chromium, type Page } from "playwright-core";

const [address = "", count = "", run = "", token = ""] = process.argv.slice(2);
const says = (page: Page, text: string) => page.locator("#told", { hasText: text }).waitFor({ timeout: 20_000 });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "",
  args: ["--headless", "--no-sandbox", "--disable-gpu"],
});
try {
  const context = await browser.newContext();
  const tabs = await Promise.all(Array.from({ length: Number(count) }, () => context.newPage()));
  for (const tab of tabs) {
    await tab.goto(`${address}/pages/testing/tabs.html?run=${run}`);
    await says(tab, "waiting live 0 waiting");
  }
  // The first one reads for all; without it the others go on.
  const [first, ...others] = tabs;
  await first?.close();
  const [answering] = others;
  await answering?.evaluate(
    ([path]) => fetch(path as string, { method: "POST", headers: { "content-type": "application/json" }, body: '{"value": "go"}' }),
    [`/v1/waitpoints/${token}/decisions`],
  );
  for (const tab of others) await says(tab, "completed ended 74 completed");
} finally {
  await browser.close();
}
