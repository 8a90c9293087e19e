import { parse } from "secure-json-parse";
import { FORBIDDEN_NAME, forbiddenName } from "../domain/forbidden-name.ts";
import { refuseNonJson } from "../domain/validate.ts";
import type { CellType } from "./mapping.ts";

/** A cell's value, or what it should have been. */
export type Converted = { value: unknown } | { problem: string };

const NUMBER = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i;
const BOOLEANS = new Map([
  ...["true", "yes", "1"].map((text) => [text, true] as const),
  ...["false", "no", "0"].map((text) => [text, false] as const),
]);

/** What a row does not have: a missing field, null, and text of nothing but white space. */
export function isEmpty(raw: unknown): boolean {
  return raw === undefined || raw === null || (typeof raw === "string" && raw.trim() === "");
}

/** @param type undefined: as the file has it, of CSV text. */
export function convert(raw: unknown, type: CellType | undefined): Converted {
  switch (type) {
    case undefined:
      return { value: raw };
    case "string":
      return typeof raw === "object" ? { problem: "must be one value" } : { value: String(raw) };
    case "number":
      return toNumber(raw);
    case "boolean": {
      const value = typeof raw === "boolean" ? raw : BOOLEANS.get(String(raw).trim().toLowerCase());
      return value === undefined ? { problem: "must be true or false, yes or no, 1 or 0" } : { value };
    }
    case "json":
      return typeof raw === "string" ? readJson(raw) : { value: raw };
  }
}

function toNumber(raw: unknown): Converted {
  const text = typeof raw === "string" ? raw.trim() : "";
  const value = typeof raw === "number" ? raw : NUMBER.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value)
    ? { value }
    : { problem: "must be a number with a decimal point, such as 29.5" };
}

/** As the gateway reads JSON: names that could reach into an object's prototype are refused, and what it can't keep. */
export function readJson(text: string): Converted {
  try {
    const value: unknown = parse(text, null, { protoAction: "error", constructorAction: "error" });
    const refusal = refuseNonJson(value, "", 1);
    if (!refusal) return { value };
    return { problem: `must be JSON that can be kept: ${refusal.path} ${refusal.message}`.trim() };
  } catch (error) {
    const forbidden = forbiddenIn(text);
    if (forbidden) return { problem: `must be JSON that can be kept: ${forbidden.path} ${FORBIDDEN_NAME}` };
    return { problem: `must be JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function forbiddenIn(text: string): ReturnType<typeof forbiddenName> {
  try {
    return forbiddenName(parse(text, null, { protoAction: "ignore", constructorAction: "ignore" }), "");
  } catch {
    return undefined;
  }
}
