import { attributes, type Profile } from "../../shared/domain/profile.ts";
import type { ExpectedProfile } from "./oracle.ts";

/** Of a profile, what the oracle speaks of. */
export function visible(profile: Profile): ExpectedProfile {
  return {
    attributes: attributes(profile),
    events: Object.fromEntries(profile.events),
    updates: profile.updates,
  };
}
