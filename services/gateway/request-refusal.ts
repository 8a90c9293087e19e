import { type Refusal, refuse } from "../../shared/domain/refusal.ts";
import { refuseNonJson } from "../../shared/domain/validate.ts";

/** Why a request, or one part of it, is not taken. */
export type RequestRefusal = Refusal<"invalid_request">;

export function refuseRequest(path: string, value: unknown, message: string): RequestRefusal {
  return refuse("invalid_request", path, value, message);
}

/**
 * JSON text can say what can't be kept: numbers too large for a double, and more levels than an update may have.
 *
 * @param levels of the update around the value.
 */
export function refuseUnkept(value: unknown, path: string, levels: number): RequestRefusal | undefined {
  const refusal = refuseNonJson(value, path, levels);
  return refusal && { ...refusal, code: "invalid_request" };
}

/** Half a surrogate pair can't be written as UTF-8: two such users would share one key. */
export function refuseIllFormed(text: string | undefined, path: string): RequestRefusal | undefined {
  return text === undefined || text.isWellFormed()
    ? undefined
    : refuseRequest(path, text, "must be well-formed Unicode");
}

/** What each field of an object must be, by the description in its schema. */
export function formsOf({ properties }: { properties: object }): (keys: string[]) => string | undefined {
  const fields = properties as Record<string, { description?: string }>;
  return ([field = ""]) => {
    const description = Object.hasOwn(fields, field) ? fields[field]?.description : undefined;
    return description && `must be ${description}`;
  };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
