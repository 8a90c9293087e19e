import { type Refusal, refuse } from "./refusal.ts";
import { locate, messageOf, type SchemaError } from "./schema-error.ts";

/**
 * A refusal that says in a caller's terms where and how a value breaks its schema.
 *
 * @param error what the validator says first.
 * @param value as the caller sent it.
 * @param prefix where the value stands, such as `ops[0]`; empty for the whole payload.
 * @param formOf what the part that the first of these keys leads to must be, for people; undefined where the
 *   validator's own words do. `unknown`: the name that the last key is is what is wrong.
 */
export function refuseBySchema<Code extends string>(
  code: Code,
  error: SchemaError | undefined,
  value: unknown,
  prefix: string,
  formOf: (keys: string[], unknown: boolean) => string | undefined,
): Refusal<Code> {
  const { keys, missing, found } = locate(error, value);
  const path = keys.reduce(appendPath, prefix);
  const unknown = error?.keyword === "boolean";
  const form = formOf(keys, unknown);
  let message = unknown ? "is not allowed here" : messageOf(error);
  if (missing) message = "is required";
  else if (form !== undefined) message = keys.length > 1 ? `does not fit: the ${keys[0]} ${form}` : form;
  return refuse<Code>(code, path, found, message);
}

/** A path and the key of a member: `a.b` of an object, `a[0]` of an array. */
export function appendPath(path: string, key: string): string {
  if (isDigit(key.charCodeAt(0)) && /^\d+$/.test(key)) return `${path}[${key}]`;
  return path === "" ? key : `${path}.${key}`;
}

/** Most keys are names: to ask a regular expression about each took a hundredth of what the gateway does with a call. */
function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}
