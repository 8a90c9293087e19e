import { appendPath } from "./refuse-by-schema.ts";
import { MAX_DEPTH } from "./validate.ts";

/** Why it is not taken, for people. */
export const FORBIDDEN_NAME =
  "is a name that is not taken: it could reach into the prototype of every object";

const PROTO = "__proto__";

type Members = Record<string, unknown>;
type Place = { value: object; key: string | number; around: Place | undefined };

/**
 * The first name in what was read from JSON that is refused: `__proto__`, or `prototype` of a `constructor`, as
 * secure-json-parse has it, which doesn't say where. Undefined where there is none.
 *
 * @param prefix where the value stands; empty for all that was read.
 */
export function forbiddenName(value: unknown, prefix: string): { path: string; value: unknown } | undefined {
  // A list instead of calls: JSON can be nested deeper than calls can. A path is made for what is found only: for each
  // of the half a million values that a body may hold it would keep all others waiting.
  const ahead: Place[] = [{ value: value as object, key: "", around: undefined }];
  for (const place of ahead) {
    const lookInto = (key: string | number, member: unknown) => {
      if (typeof member === "object" && member !== null) ahead.push({ value: member, key, around: place });
    };
    if (Array.isArray(place.value)) {
      place.value.forEach((member, index) => {
        lookInto(index, member);
      });
      continue;
    }
    const members = place.value as Members;
    if (Object.hasOwn(members, PROTO)) return { path: pathOf(place, prefix, PROTO), value: members[PROTO] };
    const made = Object.hasOwn(members, "constructor") ? members.constructor : undefined;
    if (typeof made === "object" && made !== null && Object.hasOwn(made, "prototype"))
      return { path: pathOf(place, prefix, "constructor", "prototype"), value: (made as Members).prototype };
    for (const key of Object.keys(members)) lookInto(key, members[key]);
  }
  return undefined;
}

function pathOf(place: Place, prefix: string, ...names: string[]): string {
  const keys: string[] = [];
  for (let at = place; at.around !== undefined; at = at.around) keys.push(`${at.key}`);
  // As deep as anything is kept: a path that is longer than that would tell nobody more.
  return [...keys.reverse().slice(0, MAX_DEPTH), ...names].reduce(appendPath, prefix);
}
