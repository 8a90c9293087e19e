/** What a validator of JSON schema says about a value, as far as it is used here. */
export type SchemaError = { instancePath: string; keyword?: string; message?: string; params?: object };

/**
 * Where a value breaks its schema: the keys that lead there, whether what they lead to is missing, and what is
 * found there instead.
 */
export function locate(
  error: SchemaError | undefined,
  value: unknown,
): { keys: string[]; missing: boolean; found: unknown } {
  const keys = error?.instancePath.split("/").slice(1).map(unescapePointer) ?? [];
  const { requiredProperties } = (error?.params ?? {}) as { requiredProperties?: string[] };
  const required = requiredProperties?.[0];
  if (required !== undefined) keys.push(required);
  const found = keys.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value);
  return { keys, missing: required !== undefined, found };
}

/** What the validator says; where only some values are allowed, it names them. */
export function messageOf(error: { message?: string; params?: object } | undefined): string {
  const { allowedValues } = (error?.params ?? {}) as { allowedValues?: unknown[] };
  return allowedValues ? `must be one of ${allowedValues.join(", ")}` : (error?.message ?? "is not valid");
}

/** Of a JSON schema, what leads to its parts, and what is said of one. */
type SchemaPart = {
  description?: string;
  properties?: Record<string, SchemaPart>;
  patternProperties?: Record<string, SchemaPart>;
  items?: SchemaPart;
};

/** Which names are known in the part of a value that these keys lead to, for who has written another one there. */
export function knownNames(schema: unknown, keys: readonly string[]): string {
  const part = keys.reduce<SchemaPart | undefined>(partOf, schema as SchemaPart | undefined);
  const [pattern] = Object.keys(part?.patternProperties ?? {});
  if (pattern !== undefined) return `names match ${pattern}`;
  return `known: ${Object.keys(part?.properties ?? {}).join(", ") || "none"}`;
}

/** What the schema says of the part of a value that these keys lead to. */
export function descriptionOf(schema: unknown, keys: readonly string[]): string | undefined {
  return keys.reduce<SchemaPart | undefined>(partOf, schema as SchemaPart | undefined)?.description;
}

function partOf(schema: SchemaPart | undefined, key: string): SchemaPart | undefined {
  const { properties = {}, patternProperties = {}, items } = schema ?? {};
  if (Object.hasOwn(properties, key)) return properties[key];
  const [, named] =
    Object.entries(patternProperties).find(([pattern]) => new RegExp(pattern).test(key)) ?? [];
  return named ?? items;
}

/** RFC 6901, 4. */
function unescapePointer(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}
