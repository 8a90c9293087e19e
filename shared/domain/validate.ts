import Type from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { Envelope, operationSchemas, RawMessage, UncheckedOperations, type Update } from "./envelope.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { appendPath, refuseBySchema } from "./refuse-by-schema.ts";

// In two steps, which takes a third of the time: all but the operations, then each of those by its own kind.
const envelope = Compile(
  Type.Object({ ...Envelope.properties, ops: UncheckedOperations }, { additionalProperties: false }),
);
const rawMessage = Compile(
  Type.Object(
    { ...RawMessage.properties, ops: Type.Optional(UncheckedOperations) },
    { additionalProperties: false },
  ),
);
const operations: Record<string, Validator> = Object.fromEntries(
  Object.entries(operationSchemas).map(([kind, schema]) => [kind, Compile(schema)]),
);

/** What a body of each kind looks like, for the message of a refusal inside it. */
const bodyForms: Record<string, string> = {
  set: "must be an object of attribute names and JSON values, with at least one",
  unset: "must be an array of attribute names, with at least one",
  add: "must be an object of attribute names and arrays of strings, numbers or booleans, none of them empty",
  remove:
    "must be an object of attribute names and arrays of strings, numbers or booleans, none of them empty",
  increment:
    "must be an object of attribute names and numbers, at least one, each 0 or from 1e-12 to 1e15 in size",
  event: "must be an object with a name, not empty, and, if wanted, properties and context",
  tick: "must be an object with a due moment in milliseconds",
};

/** The first thing that is wrong with an envelope, or undefined when it is valid. */
export function refuseEnvelope(value: unknown): Refusal | undefined {
  return envelope.Check(value) && value.ops.every(isOperation)
    ? refuseLoneSurrogate(value)
    : explain(envelope as unknown as Validator, value);
}

/** As `refuseEnvelope`, for a minimal message of another program. */
export function refuseRawMessage(value: unknown): Refusal | undefined {
  if (!rawMessage.Check(value) || value.ops?.every(isOperation) === false)
    return explain(rawMessage as unknown as Validator, value);
  if (value.ops === undefined && value.event === undefined)
    return refuse("invalid_update", "ops", undefined, "either ops or event must be present");
  if (typeof value.at === "string" && Number.isNaN(Date.parse(value.at)))
    return refuse("invalid_update", "at", value.at, "must be ISO 8601 or milliseconds since the epoch");
  return refuseLoneSurrogate(value);
}

/** Half a surrogate pair can't be written as UTF-8: two such users would share one key. */
function refuseLoneSurrogate({ userId }: { userId: string }): Refusal | undefined {
  return userId.isWellFormed()
    ? undefined
    : refuse("invalid_update", "userId", userId, "must be well-formed Unicode");
}

function explain(validator: Validator, value: unknown): Refusal {
  return explainOperation(value) ?? explainBy(validator, value, "");
}

function isOperation(value: unknown): boolean {
  return validatorOf(value)?.Check(value) === true;
}

function validatorOf(operation: unknown): Validator | undefined {
  const kind = (operation as { kind?: unknown } | null)?.kind;
  return typeof kind === "string" && Object.hasOwn(operations, kind) ? operations[kind] : undefined;
}

function explainOperation(value: unknown): Refusal | undefined {
  const ops = (value as Partial<Update> | null)?.ops;
  if (!Array.isArray(ops)) return undefined;
  for (const [index, op] of ops.entries()) {
    const kind = (op as { kind?: unknown } | null)?.kind;
    const validator = validatorOf(op);
    if (!validator) {
      // Ticks are the sweeper's.
      const kinds = Object.keys(operations)
        .filter((each) => each !== "tick")
        .join(", ");
      return refuse("invalid_update", `ops[${index}].kind`, kind, `must be one of ${kinds}`);
    }
    if (!validator.Check(op)) return explainBy(validator, op, `ops[${index}]`, bodyForms[kind as string]);
  }
  return undefined;
}

function explainBy(validator: Validator, value: unknown, prefix: string, bodyForm?: string): Refusal {
  const formOf = (keys: string[], unknown: boolean) =>
    keys[0] === "body" && !unknown ? bodyForm : undefined;
  return refuseBySchema("invalid_update", validator.Errors(value)[0], value, prefix, formOf);
}

/** JSON can be read deeper than it can be written: a value that can't be saved must not get that far. */
export const MAX_DEPTH = 64;

/**
 * The first value that JSON can't carry as it is, such as undefined, NaN, a Date or a class instance, or
 * undefined when there is none. For values that were not read from JSON.
 *
 * @param depth levels of the update around the value.
 */
export function refuseNonJson(value: unknown, path: string, depth: number): Refusal | undefined {
  // Paths are made only for what is refused: to make them took most of the time.
  return isJson(value, depth) ? undefined : explainNonJson(value, path, depth);
}

function isJson(value: unknown, depth: number): boolean {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || depth >= MAX_DEPTH) return false;
  if (Array.isArray(value)) {
    for (const member of value) if (!isJson(member, depth + 1)) return false;
    return true;
  }
  if (!isPlain(value)) return false;
  const members = value as Record<string, unknown>;
  for (const key of Object.keys(value)) if (!isJson(members[key], depth + 1)) return false;
  return true;
}

function explainNonJson(value: unknown, path: string, depth: number): Refusal | undefined {
  if (value === null || typeof value === "string" || typeof value === "boolean") return undefined;
  if (typeof value === "number" && Number.isFinite(value)) return undefined;
  if (depth >= MAX_DEPTH)
    return refuse("invalid_update", path, undefined, `nested deeper than ${MAX_DEPTH} levels, or circular`);
  if (Array.isArray(value)) return firstRefusal(value.entries(), path, depth);
  if (typeof value === "object" && isPlain(value)) return firstRefusal(Object.entries(value), path, depth);
  return refuse("invalid_update", path, String(value), "must be a JSON value");
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function firstRefusal(
  entries: Iterable<[string | number, unknown]>,
  path: string,
  depth: number,
): Refusal | undefined {
  for (const [key, member] of entries) {
    const refusal = explainNonJson(member, appendPath(path, String(key)), depth + 1);
    if (refusal) return refusal;
  }
  return undefined;
}
