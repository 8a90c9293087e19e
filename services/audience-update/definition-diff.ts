import { isEnabled } from "../../shared/domain/definitions/definition.ts";
import {
  definitionSetOf,
  type Stored,
  type TenantDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";

/** What is another one, by path, such as `audiences.regulars`; in rising order. */
export type DefinitionDiff = { added: string[]; changed: string[]; removed: string[] };

/** Compares what users wrote, also what is for people only. */
export function diffOf(before: TenantDefinitions, after: TenantDefinitions): DefinitionDiff {
  const [old, now] = [textsOf(before), textsOf(after)];
  const added = [...now.keys()].filter((path) => !old.has(path));
  const changed = [...now].filter(([path, text]) => old.has(path) && old.get(path) !== text);
  const removed = [...old.keys()].filter((path) => !now.has(path));
  return { added: added.sort(), changed: changed.map(([path]) => path).sort(), removed: removed.sort() };
}

export function isDifferent({ added, changed, removed }: DefinitionDiff): boolean {
  return added.length + changed.length + removed.length > 0;
}

function textsOf(document: TenantDefinitions): Map<string, string> {
  const parts = Object.entries(definitionSetOf(document)) as [string, Record<string, object>][];
  return new Map(
    parts.flatMap(([part, definitions]) =>
      Object.entries(definitions).map(([name, definition]) => [`${part}.${name}`, sortedText(definition)]),
    ),
  );
}

/** Flat, so that the order of the fields and `enabled: true` are all that can differ in what is the same. */
function sortedText(definition: object): string {
  const whole = { ...definition, enabled: isEnabled(definition) };
  return JSON.stringify(Object.entries(whole).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What stands under a name in a part of a document; names come from outside. */
export function storedUnder<D>(all: Record<string, Stored<D>>, name: string): Stored<D> | undefined {
  return Object.hasOwn(all, name) ? all[name] : undefined;
}
