import type { ProfileRecord, ProfileStore, ProfileWrite } from "../../shared/ports/profile-store.ts";
import { nextVersion } from "./profile-version.ts";
import type { Told } from "./turn-outcome.ts";

/** Changes that a profile may carry though they are announced; beyond that they are cleared at once. */
const MAX_CARRIED_CHANGES = 64;

/**
 * A record as this process is to know it once what was pending in it is announced. Its next write leaves that out, since
 * the cache knows nothing of it; much of it is not left to that.
 */
export async function forgetPending(
  { user, version }: ProfileWrite,
  { machinery, carried }: Told,
  store: Pick<ProfileStore, "save">,
): Promise<ProfileRecord> {
  const record = { version, machinery };
  if (carried <= MAX_CARRIED_CHANGES) return record;
  const cleared = { ...record, version: nextVersion(version) };
  const plain = { setAttributes: [], removeAttributes: [] };
  const [result] = await store.save([{ user, expectedVersion: version, ...cleared, ...plain }]);
  return result?.outcome === "saved" ? cleared : record;
}
