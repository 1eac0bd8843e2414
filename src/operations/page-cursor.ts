import { Refused } from "../errors.ts";

/** @returns a refusal of a cursor that no page gave. */
export function foreignCursor(): Refused {
  return new Refused("invalid_input", "This cursor is not one that this list gave.", {
    issues: [{ path: "cursor", message: "is not one that this list gave" }],
  });
}
