import { attributeJson, type Profile } from "./profile.ts";

/** The plain attribute fields in which two profiles differ. */
export function attributeChanges(
  before: Profile,
  after: Profile,
): { set: [string, string][]; remove: string[] } {
  const changes: { set: [string, string][]; remove: string[] } = { set: [], remove: [] };
  const compared = new Set<string>();
  const compare = (name: string) => {
    if (compared.has(name)) return;
    compared.add(name);
    const json = attributeJson(after, name);
    if (json === attributeJson(before, name)) return;
    if (json === undefined) changes.remove.push(name);
    else changes.set.push([name, json]);
  };
  for (const part of ["registers", "sets", "counters"] as const) {
    if (before[part] === after[part]) continue;
    after[part].forEach((cell: unknown, name: string) => {
      if (before[part].get(name) !== cell) compare(name);
    });
  }
  return changes;
}
