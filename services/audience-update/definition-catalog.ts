/**
 * A tenant's definitions as those who write them see them: read, changed as a whole, and saved if nobody else was
 * first. Consumers take a change up by their watch.
 */
import { checkDisabled } from "../../shared/domain/definitions/check-disabled.ts";
import { type CompiledDefinitions, compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import { type DefinitionSet, isEnabled } from "../../shared/domain/definitions/definition.ts";
import { type DefinitionProblem, isProblem, problem } from "../../shared/domain/definitions/problem.ts";
import {
  definitionSetOf,
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
  TAKEN_UP_WITHIN_MS,
  type TenantDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import type { AudienceVersion, MemberStore } from "../../shared/ports/member-store.ts";
import { KeylineError, toError } from "../../shared/runtime/errors.ts";
import { type DefinitionDiff, diffOf, isDifferent } from "./definition-diff.ts";
import { readsOf } from "./definition-reads.ts";
import { tooMuchState } from "./state-bound.ts";

/** A tenant's definitions after a change, saved or not. */
export type Changed = {
  /** The one that is there now: after a dry run the one before. */
  version: number;
  document: TenantDefinitions;
  compiled: CompiledDefinitions;
  diff: DefinitionDiff;
};

export type DefinitionCatalog = {
  /** Rejects with `store_unavailable` and `definitions_unreadable`. */
  read(tenant: string): Promise<TenantDefinitions>;
  /**
   * Puts what `edit` makes of all definitions in their place, in one step; where it makes the same, nothing is
   * written. `edit` may be asked again, on what someone else has saved meanwhile. Rejects with `store_unavailable`,
   * then it may have been done all the same, and with `definitions_busy`.
   *
   * @param dryRun only says what would change.
   */
  change(
    tenant: string,
    edit: (set: DefinitionSet) => unknown,
    options?: { dryRun?: boolean },
  ): Promise<Changed | DefinitionProblem>;
  close(): Promise<void>;
};

const MAX_TRIES = 10;
/** A consumer that has the old version still records members of it for as long as a change takes to be taken up. */
const DROP_AFTER_MS = 2 * TAKEN_UP_WITHIN_MS;

export function createDefinitionCatalog(options: {
  store: DocumentStore;
  members: MemberStore;
  /** A tenant's definitions as they were compiled last, of whatever version, so that what is the same need not be. */
  compiledBefore(tenant: string): CompiledDefinitions | undefined;
  /** What a user's profile may hold for the states of attributes, in characters. */
  maxStateLength: number;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Members of a version that nobody asks for any more could not be dropped. */
  onError(error: unknown): void;
  dropAfterMs?: number;
}): DefinitionCatalog {
  const { store, now } = options;
  const drops = createLateDrops(options.members, options.dropAfterMs ?? DROP_AFTER_MS, options.onError);

  async function read(tenant: string): Promise<TenantDefinitions> {
    const { version, document } = await store.read(tenant);
    if (version === 0) return NO_TENANT_DEFINITIONS;
    try {
      return { ...(JSON.parse(document) as TenantDefinitions), version };
    } catch (error) {
      const text = `the definitions of tenant ${tenant} can't be read: ${toError(error).message}`;
      throw new KeylineError("definitions_unreadable", text, { value: tenant, cause: error });
    }
  }

  return {
    read,
    async change(tenant, edit, { dryRun = false } = {}) {
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        const before = await read(tenant);
        const changed = changedFrom(before, edit(definitionSetOf(before)), {
          nowMs: now(),
          known: options.compiledBefore(tenant),
          maxStateLength: options.maxStateLength,
        });
        if (isProblem(changed) || !isDifferent(changed.diff)) return changed;
        if (dryRun) return { ...changed, version: before.version };
        const { version, document } = changed;
        const next = { version, document: JSON.stringify(document) };
        if (!(await store.replace(tenant, before.version, next))) continue;
        drops.later(audienceVersionsGone(tenant, before, document));
        return changed;
      }
      const text = `the definitions of tenant ${tenant} were changed by others all the time; nothing was saved`;
      throw new KeylineError("definitions_busy", text, { value: tenant, retryable: true });
    },
    close: drops.close,
  };
}

function changedFrom(
  before: TenantDefinitions,
  input: unknown,
  options: { nowMs: number; known: CompiledDefinitions | undefined; maxStateLength: number },
): Changed | DefinitionProblem {
  const replaced = replaceDefinitions(before, input, options.nowMs);
  if (isProblem(replaced)) return replaced;
  const diff = diffOf(before, replaced);
  const document = isDifferent(diff) ? replaced : before;
  const inUse = stillRead(before, document);
  if (inUse) return inUse;
  const compiled = compileDefinitions(document, { before: options.known });
  if (isProblem(compiled)) return compiled;
  const refused =
    tooMuchState(before, compiled, options.maxStateLength) ?? checkDisabled(before, document, compiled);
  return refused ?? { version: document.version, document, compiled, diff };
}

/** The first that is there no more, or disabled now, while something that is enabled reads it. */
function stillRead(before: TenantDefinitions, after: TenantDefinitions): DefinitionProblem | undefined {
  const now = enabledNames(after);
  const gone = new Map([...enabledNames(before)].filter(([name]) => !now.has(name)));
  if (gone.size === 0) return undefined;
  const readers = new Map<string, string[]>();
  for (const [reader, part] of now) {
    for (const name of readsOf(after[part][reader]!.definition))
      if (gone.has(name)) readers.set(name, [...(readers.get(name) ?? []), `${part}.${reader}`]);
  }
  const [found] = readers;
  if (!found) return undefined;
  const [name, by] = found;
  const part = gone.get(name)!;
  const done = Object.hasOwn(after[part], name) ? "disabled" : "deleted";
  const message = `can't be ${done}: ${by.join(", ")} ${by.length === 1 ? "reads" : "read"} it`;
  return { ...problem("definition_in_use", `${part}.${name}`, name, message), usedBy: by };
}

type Part = "attributes" | "audiences";

function enabledNames(document: TenantDefinitions): Map<string, Part> {
  const names = new Map<string, Part>();
  for (const part of ["attributes", "audiences"] as const)
    for (const [name, { definition }] of Object.entries(document[part]))
      if (isEnabled(definition)) names.set(name, part);
  return names;
}

function audienceVersionsGone(
  tenant: string,
  before: TenantDefinitions,
  after: TenantDefinitions,
): AudienceVersion[] {
  return Object.entries(before.audiences).flatMap(([audience, { standing }]) => {
    const now = Object.hasOwn(after.audiences, audience) ? after.audiences[audience] : undefined;
    return now?.standing.version === standing.version
      ? []
      : [{ tenant, audience, version: standing.version }];
  });
}

/** Drops after a while, and what still waits at the end at once. A process that is killed leaves them. */
function createLateDrops(members: MemberStore, afterMs: number, onError: (error: unknown) => void) {
  const waiting = new Map<NodeJS.Timeout, readonly AudienceVersion[]>();
  const under = new Set<Promise<unknown>>();

  function drop(versions: readonly AudienceVersion[]): void {
    const dropped = Promise.all(versions.map((version) => members.drop(version))).catch(onError);
    under.add(dropped);
    void dropped.finally(() => under.delete(dropped));
  }

  return {
    later(versions: readonly AudienceVersion[]): void {
      if (versions.length === 0) return;
      const timer = setTimeout(() => {
        waiting.delete(timer);
        drop(versions);
      }, afterMs);
      waiting.set(timer, versions);
    },
    async close(): Promise<void> {
      for (const [timer, versions] of waiting) {
        clearTimeout(timer);
        drop(versions);
      }
      waiting.clear();
      await Promise.all(under);
    },
  };
}
