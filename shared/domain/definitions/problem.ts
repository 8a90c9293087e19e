import { quote } from "../refusal.ts";

/**
 * Why a definition is refused. The codes are stable.
 *
 * - `invalid_definition` a field or an expression is wrong
 * - `definition_cycle` definitions need each other in a circle
 * - `definition_in_use` another definition needs it
 * - `definitions_too_large` more than a tenant may have, or than a profile can hold
 */
export type DefinitionProblemCode =
  | "invalid_definition"
  | "definition_cycle"
  | "definition_in_use"
  | "definitions_too_large";

export type DefinitionProblem = {
  problem: DefinitionProblemCode;
  /** Such as `audiences.regulars.rule`. */
  path: string;
  /** The offending value as JSON, shortened; left out where there is none. */
  value?: string;
  /** For people; says where in an expression it is. */
  message: string;
  /** In characters of the expression, from 0 on. */
  position?: { start: number; end: number };
  /** Of `definition_in_use`: the paths of those that need it. */
  usedBy?: string[];
};

export function problem(
  code: DefinitionProblemCode,
  path: string,
  value: unknown,
  message: string,
  position?: { start: number; end: number },
): DefinitionProblem {
  const where = position === undefined ? "" : ` at character ${position.start + 1}`;
  return {
    problem: code,
    path,
    ...(value === undefined ? {} : { value: quote(value) }),
    message: `${message}${where}`,
    ...(position === undefined ? {} : { position: { start: position.start, end: position.end } }),
  };
}

export function isProblem(value: object): value is DefinitionProblem {
  return "problem" in value;
}
