/**
 * A JSON value as cel-js takes it for what it is. It tells what an object is by its `constructor`, so one that has a
 * key of that name is passed as a Map. Numbers that JSON can say and not write again (`-0`, `1e400`) are what they are
 * once they were written. All others stay as they are.
 */
export function celValue(value: unknown): unknown {
  return isAsItIs(value) ? value : asMaps(value);
}

function isAsItIs(value: unknown): boolean {
  if (typeof value === "number") return isWritten(value);
  if (typeof value !== "object" || value === null) return true;
  if (Object.hasOwn(value, "constructor")) return false;
  for (const key in value) if (!isAsItIs((value as Record<string, unknown>)[key])) return false;
  return true;
}

function isWritten(value: number): boolean {
  return Number.isFinite(value) && !Object.is(value, -0);
}

function asMaps(value: unknown): unknown {
  if (typeof value === "number") return Number.isFinite(value) ? value + 0 : null;
  if (Array.isArray(value)) return value.map(asMaps);
  if (typeof value !== "object" || value === null) return value;
  return new Map(Object.entries(value).map(([key, member]) => [key, asMaps(member)]));
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** What CEL gave as JSON can have it; undefined for what it can't: NaN, infinity, an int beyond 2^53, a timestamp. */
export function jsonValue(value: unknown): unknown {
  if (typeof value === "bigint") return value <= MAX_SAFE && value >= -MAX_SAFE ? Number(value) : undefined;
  if (typeof value === "number") return Number.isFinite(value) ? value + 0 : undefined;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map((member) => jsonValue(member) ?? null);
  if (value instanceof Map) return jsonObject(value);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return undefined;
  return jsonObject(Object.entries(value));
}

function jsonObject(entries: Iterable<[unknown, unknown]>): Record<string, unknown> {
  return Object.fromEntries([...entries].map(([key, member]) => [String(key), jsonValue(member) ?? null]));
}
