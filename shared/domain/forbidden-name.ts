import { appendPath } from "./refuse-by-schema.ts";
import { MAX_DEPTH } from "./validate.ts";

/** Why it is not taken, for people. */
export const FORBIDDEN_NAME =
  "is a name that is not taken: it could reach into the prototype of every object";

/**
 * The first name in what was read from JSON that is refused: `__proto__`, or `prototype` of a `constructor`, as
 * secure-json-parse has it, which doesn't say where. Undefined where there is none.
 *
 * @param prefix where the value stands; empty for all that was read.
 */
export function forbiddenName(value: unknown, prefix: string): { path: string; value: unknown } | undefined {
  // A list instead of calls: JSON can be nested deeper than calls can.
  const ahead = [{ value, path: prefix, depth: 0 }];
  for (const { value, path, depth } of ahead)
    for (const [key, member] of Object.entries(value as object)) {
      // As deep as anything is kept: a path that is longer than that would tell nobody more.
      const at = depth < MAX_DEPTH ? appendPath(path, key) : path;
      if (key === "__proto__") return { path: appendPath(path, key), value: member };
      if (typeof member !== "object" || member === null) continue;
      if (key === "constructor" && Object.hasOwn(member, "prototype"))
        return { path: `${appendPath(path, key)}.prototype`, value: member.prototype };
      ahead.push({ value: member, path: at, depth: depth + 1 });
    }
  return undefined;
}
