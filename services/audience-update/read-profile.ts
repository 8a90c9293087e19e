import type { Profile } from "../../shared/domain/profile.ts";
import { decodeProfile, type LastUpdate } from "../../shared/domain/profile-record.ts";
import type { ProfileRecord, UserKey } from "../../shared/ports/profile-store.ts";
import { KeylineError, toError } from "../../shared/runtime/errors.ts";

/** A record, decoded. */
export type ReadProfile = { version: string; profile: Profile; lastUpdate: LastUpdate };

/** @throws KeylineError `profile_unreadable`, retryable: another build wrote it */
export function readProfile({ tenant, userId }: UserKey, { version, machinery }: ProfileRecord): ReadProfile {
  try {
    return { version, ...decodeProfile(machinery) };
  } catch (error) {
    const text = `this build can't read the record of user ${JSON.stringify(userId)} of tenant ${tenant}: ${toError(error).message}`;
    throw new KeylineError("profile_unreadable", text, {
      path: "userId",
      value: userId,
      retryable: true,
      cause: error,
    });
  }
}
