import { type Attribute, type Audience, expressionOf } from "../../shared/domain/definitions/definition.ts";
import { namesRead } from "../../shared/domain/definitions/expression.ts";
import type { TenantDefinitions } from "../../shared/domain/definitions/tenant-definitions.ts";

/** What a definition reads, by what it is. */
export type Reads = { calculated: string[]; audiences: string[]; profile: string[] };

const NOTHING: ReadonlySet<string> = new Set();

/**
 * The names that a definition reads, also where it is disabled and so not compiled. Where its expression can't be
 * parsed, none.
 */
export function readsOf(definition: Attribute | Audience): ReadonlySet<string> {
  const text = expressionOf(definition);
  return (text === undefined ? undefined : namesRead(text)) ?? NOTHING;
}

/** Each name is a definition of the document, or else the profile's own. */
export function sortReads(names: ReadonlySet<string>, { attributes, audiences }: TenantDefinitions): Reads {
  const reads: Reads = { calculated: [], audiences: [], profile: [] };
  for (const name of [...names].sort()) {
    if (Object.hasOwn(attributes, name)) reads.calculated.push(name);
    else if (Object.hasOwn(audiences, name)) reads.audiences.push(name);
    else reads.profile.push(name);
  }
  return reads;
}
