// What must hold of every page, looked at in the page itself.

import type { Page } from "playwright-core";

function none(found: readonly string[], what: string): void {
  if (found.length > 0) throw new Error(`${what}: ${found.slice(0, 8).join("; ")}`);
}

/** Nothing is wider than the window. */
export async function width(page: Page, what: string): Promise<void> {
  const found = await page.evaluate(() => {
    const most = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= most) return [];
    return [...document.querySelectorAll("body *")]
      .filter((one) => one.getBoundingClientRect().right > most + 1)
      .map((one) => `${one.tagName}.${one.className}`);
  });
  none(found, `${what} is too wide`);
}

/** Whatever can be used has a name for those who do not see it. */
export async function names(page: Page, what: string): Promise<void> {
  const found = await page.evaluate(() => {
    const named = (one: Element) => {
      const labels = [...((one as HTMLInputElement).labels ?? [])].map((label) => label.textContent ?? "");
      const by = (one.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "");
      return [one.getAttribute("aria-label"), one.textContent, one.getAttribute("title"), ...labels, ...by].some((text) => text?.trim());
    };
    return [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, meter, [role]")]
      .filter((one) => !named(one))
      .map((one) => one.outerHTML.slice(0, 120));
  });
  none(found, `${what} has controls without a name`);
}

const UNSEEN = "noscript, datalist, .hidden, [aria-hidden=true], :disabled, .skip";

/** Words stand out from what is behind them as WCAG AA asks: 4.5 to 1, and 3 to 1 where they are large. */
export async function contrast(page: Page, what: string): Promise<void> {
  const found = await page.evaluate((UNSEEN) => {
    type Colour = readonly [number, number, number, number];
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const colour = (text: string): Colour => {
      if (canvas === null) throw new Error("no canvas");
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [r = 0, g = 0, b = 0, a = 0] = canvas.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = (top: Colour, below: Colour): Colour => {
      const mix = (n: 0 | 1 | 2) => top[n] * top[3] + below[n] * (1 - top[3]);
      return [mix(0), mix(1), mix(2), 1];
    };
    const behind = (one: Element | null): Colour => {
      if (one === null) return colour(getComputedStyle(document.body).backgroundColor);
      const own = colour(getComputedStyle(one).backgroundColor);
      return own[3] === 1 ? own : over(own, behind(one.parentElement));
    };
    const light = ([r, g, b]: Colour) => {
      const [x = 0, y = 0, z = 0] = [r, g, b].map((part) =>
        part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const unseen = (one: Element) => one.closest(UNSEEN) !== null || one.getClientRects().length === 0;
    const ratioOf = (one: Element, text: string) => {
      const ground = behind(one);
      const [a = 0, b = 0] = [light(over(colour(text), ground)), light(ground)].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    };
    const least = ({ fontSize, fontWeight }: CSSStyleDeclaration) => {
      const size = Number.parseFloat(fontSize);
      return size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700) ? 3 : 4.5;
    };
    const bad: string[] = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const one = node.parentElement;
      const text = node.textContent?.trim();
      if (one === null || !text || unseen(one)) continue;
      const style = getComputedStyle(one);
      const ratio = ratioOf(one, style.color);
      if (ratio < least(style)) bad.push(`${ratio.toFixed(2)} "${text.slice(0, 30)}" in .${one.className || one.tagName}`);
    }
    return bad;
  }, UNSEEN);
  none(found, `${what} is hard to read`);
}
