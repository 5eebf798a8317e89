// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

/** The message is kept, and the run goes on. */
export interface Taken {
  status: "taken";
}
