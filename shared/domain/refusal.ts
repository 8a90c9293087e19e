/**
 * Why an update can never apply. The codes are stable: they are the `reason` in the dead-letter topic and in
 * errors to callers.
 *
 * - `not_json` the payload is not JSON, or begins as a pack and is none
 * - `too_large` it is longer than the limit
 * - `unknown_version` its `v` is not one that this build knows
 * - `invalid_update` a field is missing, unknown or of the wrong form
 * - `stamp_in_future` its stamp is further ahead than the allowed clock skew
 * - `too_old_to_tell` it is older than what the profile remembers, so that a repeat can't be told from news
 * - `profile_too_large` the profile would pass its size limit
 * - `user_over_limit` its user had more updates in a second than the tenant allows, and the tenant parks the rest
 * - `user_over_share` its user's saves fail while others' don't, and as many of its updates as one user may hold wait
 * - `apply_failed` folding it threw; a defect
 */
export type RefusalCode =
  | "not_json"
  | "too_large"
  | "unknown_version"
  | "invalid_update"
  | "stamp_in_future"
  | "too_old_to_tell"
  | "profile_too_large"
  | "user_over_limit"
  | "user_over_share"
  | "apply_failed";

/** What an HTTP API refuses before it becomes an update has a code of that API's own. */
export type Refusal<Code extends string = RefusalCode> = {
  code: Code;
  /** Where the offending value stands, such as `ops[0].body.points`; empty for the whole payload. */
  path: string;
  /** The offending value as JSON, shortened to 200 characters. */
  value: string;
  /** For people. */
  message: string;
};

const QUOTED_LENGTH = 200;

export function refuse(code: RefusalCode, path: string, value: unknown, message: string): Refusal;
export function refuse<Code extends string>(
  code: Code,
  path: string,
  value: unknown,
  message: string,
): Refusal<Code>;
export function refuse<Code extends string>(
  code: Code,
  path: string,
  value: unknown,
  message: string,
): Refusal<Code> {
  return { code, path, value: quote(value), message };
}

/** Total: a value that JSON can't write, such as one nested too deep for it, is named by its type. */
function describe(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return `(${typeof value})`;
  }
}

/** A value as it may stand in a message: JSON, shortened. */
export function quote(value: unknown): string {
  const text = describe(value);
  return text.length <= QUOTED_LENGTH ? text : `${text.slice(0, QUOTED_LENGTH)}…`;
}
