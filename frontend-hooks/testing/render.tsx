/** Renders as a page does, without a test mode: updates come when React makes them, and a test waits for what it wants to see. */

import type { ReactNode } from "react";
import { flushSync } from "react-dom";
import { createRoot, type Root } from "react-dom/client";

const PATIENCE = 5_000;
const open = new Set<Root>();

/** What a hook gave in its last render, and a way to render it again. */
export interface Rendered<R, P> {
  readonly result: { readonly current: R };
  rerender(props: P): void;
  unmount(): void;
}

/** Use a hook in a component of a page. */
export function renderHook<R, P = undefined>(
  use: (props: P) => R,
  Wrapper: (props: { children: ReactNode }) => ReactNode,
  props?: P,
): Rendered<R, P> {
  const result = {} as { current: R };
  function Component({ given }: { readonly given: P }): null {
    result.current = use(given);
    return null;
  }
  const root = createRoot(document.createElement("div"));
  open.add(root);
  const rerender = (given: P) =>
    flushSync(() =>
      root.render(
        <Wrapper>
          <Component given={given} />
        </Wrapper>,
      ),
    );
  rerender(props as P);
  return { result, rerender, unmount: () => unmount(root) };
}

/** Show something in the document. */
export function render(shown: ReactNode): HTMLElement {
  const box = document.body.appendChild(document.createElement("div"));
  const root = createRoot(box);
  open.add(root);
  flushSync(() => root.render(shown));
  return box;
}

/** Type into a control, as a person does. */
export function type(control: Element | null, text: string): void {
  if (control === null) throw new TypeError("There is nothing to type into.");
  // React looks at the setter of the element's class to tell its own changes from those of people.
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(control), "value")?.set?.call(control, text);
  control.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Take down whatever a test has left. */
export function cleanup(): void {
  for (const root of open) unmount(root);
}

/** Resolves once the expectations hold; fails as they fail when they do not in time. */
export async function waitFor(expectations: () => void, patience = PATIENCE): Promise<void> {
  const last = performance.now() + patience;
  while (true) {
    try {
      return expectations();
    } catch (error) {
      if (performance.now() > last) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function unmount(root: Root): void {
  open.delete(root);
  flushSync(() => root.unmount());
}
