import { useState } from "react";

/** The last `most` of a list and a button for all of it: ten thousand steps are read by nobody, and drawn by no browser in no time. */
export function useCapped<T>(list: readonly T[], most: number): { shown: readonly T[]; more: React.ReactNode } {
  const [all, setAll] = useState(false);
  if (all || list.length <= most) return { shown: list, more: null };
  const more = (
    <button type="button" className="link small" onClick={() => setAll(true)}>
      The {(list.length - most).toLocaleString()} before these
    </button>
  );
  return { shown: list.slice(-most), more };
}
