import { type CompiledDefinitions, compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";

/** Definitions as users write them, ready to run; costs are timed where a clock is given. Throws where they are refused, with the problem's words. */
export function compiled(
  input: { attributes?: object; audiences?: object },
  { version = 1, ...options }: { version?: number; clockMs?: () => number } = {},
): CompiledDefinitions {
  const set = { attributes: {}, audiences: {}, ...input };
  const document = replaceDefinitions({ ...NO_TENANT_DEFINITIONS, version: version - 1 }, set, 0);
  if (isProblem(document)) throw new Error(`${document.path}: ${document.message}`);
  const definitions = compileDefinitions(document, options);
  if (isProblem(definitions)) throw new Error(`${definitions.path}: ${definitions.message}`);
  return definitions;
}
