import { useEffect, useInsertionEffect, useRef, useState } from "react";

/** A box with the value of the last render: callbacks may change at each render and nothing is reopened. */
export function useLatest<T>(value: T): { readonly current: T } {
  const box = useRef(value);
  useInsertionEffect(() => {
    box.current = value;
  });
  return box;
}

/** The first of all values that say the same as JSON: an object or array may be written anew at each render. */
export function useByValue<T>(value: T): T {
  const key = JSON.stringify(value);
  const [kept, keep] = useState({ key, value });
  if (kept.key === key) return kept.value;
  keep({ key, value });
  return value;
}

/** Whether the component is still there; a request's answer after that is for nobody. */
export function useMounted(): { readonly current: boolean } {
  const mounted = useRef(false);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  return mounted;
}
