import { attributeChanges } from "../../shared/domain/attribute-changes.ts";
import type { CompiledDefinitions } from "../../shared/domain/definitions/compile.ts";
import { attributeJson, attributeNames, type Profile } from "../../shared/domain/profile.ts";
import type { ProfileWrite, UserKey } from "../../shared/ports/profile-store.ts";
import type { FoldedTurn } from "./fold-turn.ts";
import { nextVersion } from "./profile-version.ts";

/**
 * What a folded turn saves; undefined when there is nothing to save. A calculated attribute hides one of the profile's
 * own with the same name.
 */
export function profileWrite(
  user: UserKey,
  version: string | undefined,
  before: Profile,
  { profile, machinery, fields, adopted }: FoldedTurn,
  { attributeAt }: CompiledDefinitions,
): ProfileWrite | undefined {
  if (machinery === undefined) return undefined;
  const set: [string, string][] = [];
  const remove: string[] = [];
  const note = (name: string, json: string | undefined) => {
    if (json === undefined) remove.push(name);
    else set.push([name, json]);
  };
  if (adopted) {
    for (const name of attributeNames(profile))
      if (!attributeAt.has(name)) note(name, attributeJson(profile, name));
  } else {
    const own = attributeChanges(before, profile);
    for (const pair of own.set) if (!attributeAt.has(pair[0])) set.push(pair);
    for (const name of own.remove) if (!attributeAt.has(name)) remove.push(name);
  }
  fields.forEach((json, name) => {
    note(name, json);
  });
  return {
    user,
    expectedVersion: version,
    version: nextVersion(version),
    machinery,
    setAttributes: set,
    removeAttributes: remove,
    ...(adopted ? { replacesAttributes: true } : {}),
  };
}
