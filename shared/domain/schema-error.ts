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

/** RFC 6901, 4. */
function unescapePointer(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}
