import type { Span } from "./timeline.ts";

/** Spans in their order, each after the one that it belongs to. */
export function nested(spans: readonly Span[]): readonly (readonly [Span, number])[] {
  const ids = new Set(spans.map((span) => span.id));
  const below = Map.groupBy(spans, (span) =>
    span.parent !== undefined && ids.has(span.parent) && span.parent !== span.id ? span.parent : "",
  );
  const placed = new Set<Span>();
  function walk(parent: string, depth: number): (readonly [Span, number])[] {
    return (below.get(parent) ?? []).flatMap((span) => {
      if (placed.has(span)) return [];
      placed.add(span);
      return [[span, depth] as const, ...walk(span.id, depth + 1)];
    });
  }
  return walk("", 0);
}
