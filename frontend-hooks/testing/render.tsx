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
