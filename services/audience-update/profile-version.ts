import { randomBytes } from "node:crypto";

/**
 * Versions of a profile: a count of its writes, and a mark that no other write carries. The mark matters when
 * Redis restarts without its last second: the count is then given again, to other content, and without the
 * mark a process that still held the lost version would overwrite the new one.
 */
const incarnation = randomBytes(6).toString("base64url");
let writes = 0;

export function nextVersion(version: string | undefined): string {
  writes += 1;
  return `${versionNumber(version) + 1}.${incarnation}${writes.toString(36)}`;
}

/** How often the profile was written; 0 for a user without a record. */
export function versionNumber(version: string | undefined): number {
  return version === undefined ? 0 : Number.parseInt(version, 10);
}
