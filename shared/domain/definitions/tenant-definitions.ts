/**
 * A tenant's definitions as they are kept: what users wrote, with the versions and numbers that the machinery needs.
 * Pure: each change makes a new document from the one before.
 */
import Type from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { locate, messageOf } from "../schema-error.ts";
import {
  type Attribute,
  Audience,
  DefinitionName,
  type DefinitionSet,
  DerivedAttribute,
  EventAttribute,
  expressionOf,
  isDerived,
  isEnabled,
  MAX_ATTRIBUTES,
  MAX_AUDIENCES,
  MAX_EXPRESSIONS_LENGTH,
  NAME_FORM,
} from "./definition.ts";
import { type DefinitionProblem, isProblem, problem } from "./problem.ts";

/** What the machinery knows of a definition beside what its author wrote. */
export type Standing = {
  /** The version of the tenant's definitions in which it was created. */
  generation: number;
  /** The version in which it became what it is. */
  version: number;
  /**
   * What profiles keep its state under; another one means that the state begins anew. Short, since it stands in every
   * profile: so it is dense, and given twice where a change was lost. Then the version tells: see own-slots.ts.
   */
  slot: number;
  /** Every update applied after this moment is counted, milliseconds since the epoch. */
  sinceMs: number;
};

export type Stored<D> = { definition: D; standing: Standing };

export type TenantDefinitions = {
  /**
   * When it was saved, milliseconds since the epoch, and greater than the one before: so one that was saved and lost by
   * the store is not given again to something else.
   */
  version: number;
  nextSlot: number;
  attributes: Record<string, Stored<Attribute>>;
  audiences: Record<string, Stored<Audience>>;
};

export const NO_TENANT_DEFINITIONS: TenantDefinitions = {
  version: 0,
  nextSlot: 1,
  attributes: {},
  audiences: {},
};

/** All consumers have a change at the latest this long after it was saved, or stand still until they have. */
export const TAKEN_UP_WITHIN_MS = 2_000;

const eventAttribute = Compile(EventAttribute);
const derivedAttribute = Compile(DerivedAttribute);
const audience = Compile(Audience);
const definitionName = Compile(DefinitionName);

/** What a tenant's definitions are as users write them. */
export function definitionSetOf({ attributes, audiences }: TenantDefinitions): DefinitionSet {
  const plain = <D>(all: Record<string, Stored<D>>) =>
    Object.fromEntries(Object.entries(all).map(([name, { definition }]) => [name, definition]));
  return { attributes: plain(attributes), audiences: plain(audiences) };
}

/**
 * The document with all of a set in the place of what was there; what is the same keeps its standing. Checks the
 * form; whether expressions are right is `compileDefinitions`'s to say.
 *
 * @param nowMs when it is saved, milliseconds since the epoch.
 */
export function replaceDefinitions(
  before: TenantDefinitions,
  input: unknown,
  nowMs: number,
): TenantDefinitions | DefinitionProblem {
  const set = checkedSet(input);
  if (isProblem(set)) return set;
  const version = Math.max(before.version + 1, Math.floor(nowMs));
  // A fold that began just before may be on its way to the store as long again.
  const sinceMs = nowMs + 2 * TAKEN_UP_WITHIN_MS;
  let { nextSlot } = before;
  const placed = <D extends object>(
    wanted: Record<string, D>,
    known: Record<string, Stored<D>>,
    keepsSlot: (a: D, b: D) => boolean,
  ): Record<string, Stored<D>> => {
    const result: Record<string, Stored<D>> = {};
    for (const [name, definition] of Object.entries(wanted)) {
      const old = Object.hasOwn(known, name) ? known[name] : undefined;
      if (old && sameJson(computed(old.definition), computed(definition))) {
        result[name] = { definition, standing: old.standing };
        continue;
      }
      const keeps = old !== undefined && keepsSlot(old.definition, definition);
      const slot = keeps ? old.standing.slot : nextSlot;
      if (!keeps) nextSlot += 1;
      result[name] = {
        definition,
        standing: { generation: old?.standing.generation ?? version, version, slot, sinceMs },
      };
    }
    return result;
  };
  // An audience's number of changes goes on whatever its rule is; an attribute's state is of what it was.
  return {
    version,
    attributes: placed(set.attributes, before.attributes, () => false),
    audiences: placed(set.audiences, before.audiences, () => true),
    nextSlot,
  };
}

/** All that has a part in what is computed. */
function computed<D extends object>(definition: D): object {
  const { description: _, enabled: __, ...rest } = definition as { description?: string; enabled?: boolean };
  return { ...rest, enabled: isEnabled(definition) };
}

/** But for whether they are enabled. */
export function meansTheSame(a: Attribute | Audience, b: Attribute | Audience): boolean {
  return sameJson({ ...computed(a), enabled: true }, { ...computed(b), enabled: true });
}

function sameJson(a: object, b: object): boolean {
  const sorted = (value: object) =>
    JSON.stringify(Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1)));
  return sorted(a) === sorted(b);
}

/** Both have to be there: nothing is deleted because it was forgotten. */
const definitionSet = Compile(
  Type.Object(
    {
      attributes: Type.Record(Type.String(), Type.Unknown()),
      audiences: Type.Record(Type.String(), Type.Unknown()),
    },
    { additionalProperties: false },
  ),
);

function checkedSet(input: unknown): DefinitionSet | DefinitionProblem {
  if (!definitionSet.Check(input)) return explain(definitionSet, input, "");
  const { attributes, audiences } = input;
  const checks: [string, Record<string, unknown>, number, (value: unknown) => Validator][] = [
    ["attributes", attributes, MAX_ATTRIBUTES, attributeValidator],
    ["audiences", audiences, MAX_AUDIENCES, () => audience as unknown as Validator],
  ];
  for (const [part, definitions, max, validatorOf] of checks) {
    const names = Object.keys(definitions);
    if (names.length > max)
      return problem("definitions_too_large", part, names.length, `at most ${max} of a tenant`);
    for (const name of names) {
      const path = `${part}.${name}`;
      if (!definitionName.Check(name))
        return problem("invalid_definition", path, name, `a name is ${NAME_FORM}`);
      const value = definitions[name];
      const validator = validatorOf(value);
      if (!validator.Check(value)) return explain(validator, value, path);
      if (part === "audiences" && Object.hasOwn(attributes, name))
        return problem("invalid_definition", path, name, "is the name of an attribute already");
    }
  }
  return withinLength({ attributes, audiences } as DefinitionSet);
}

function withinLength(set: DefinitionSet): DefinitionSet | DefinitionProblem {
  let length = 0;
  for (const definition of [...Object.values(set.attributes), ...Object.values(set.audiences)])
    length += expressionOf(definition)?.length ?? 0;
  if (length <= MAX_EXPRESSIONS_LENGTH) return set;
  const message = `all expressions of a tenant together are at most ${MAX_EXPRESSIONS_LENGTH} characters long`;
  return problem("definitions_too_large", "definitions", length, message);
}

function attributeValidator(value: unknown): Validator {
  const derived = typeof value === "object" && value !== null && isDerived(value as Attribute);
  return (derived ? derivedAttribute : eventAttribute) as unknown as Validator;
}

function explain(
  validator: { Errors(value: unknown): unknown[] },
  value: unknown,
  prefix: string,
): DefinitionProblem {
  const error = validator.Errors(value)[0] as
    | { instancePath: string; params: object; message: string; keyword: string }
    | undefined;
  const { keys, missing, found } = locate(error, value);
  const path = [prefix, ...keys].filter((part) => part !== "").join(".") || "definitions";
  let message = messageOf(error);
  if (missing) message = "is required";
  else if (error?.keyword === "boolean") message = "is not allowed here";
  else if (keys.at(-1) === "window") message = "must be a whole number and m, h, d, w or y, such as 90d";
  return problem("invalid_definition", path, found, message);
}
