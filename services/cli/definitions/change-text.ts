import type { DefinitionChange, ListedDefinitions } from "./definition-client.ts";
import type { DefinitionFiles } from "./definition-files.ts";

/**
 * A line for each definition that is another one, and below those that stay the fields that differ. `before` is what
 * the tenant has; without it the fields are left out.
 */
export function changeLines(
  { added, changed, removed }: DefinitionChange,
  set: DefinitionFiles["set"],
  before?: ListedDefinitions,
): string[] {
  return [
    ...added.map((path) => `+ ${path}`),
    ...changed.flatMap((path) => [`~ ${path}`, ...(before ? fieldLines(path, set, before) : [])]),
    ...removed.map((path) => `- ${path}`),
  ];
}

function fieldLines(path: string, set: DefinitionFiles["set"], before: ListedDefinitions): string[] {
  const [part, name] = path.split(".") as ["attributes" | "audiences", string];
  const old = before[part].find((each) => each.name === name)?.definition ?? {};
  const now = (set[part][name] ?? {}) as Record<string, unknown>;
  const fields = [...new Set([...Object.keys(old), ...Object.keys(now)])].sort();
  return fields.flatMap((field) => {
    const [from, to] = [JSON.stringify(old[field]), JSON.stringify(now[field])];
    return from === to ? [] : [`    ${field}: ${from ?? "none"} -> ${to ?? "none"}`];
  });
}
