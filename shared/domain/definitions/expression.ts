import { type ASTNode, Environment, type ParseResult } from "@marcbachmann/cel-js";
import { serialize } from "@marcbachmann/cel-js/serialize";
import type { Aggregate } from "./aggregate.ts";
import { type DefinitionProblem, problem } from "./problem.ts";

/** Expressions in the Common Expression Language (cel.dev), parsed, checked and run by cel-js. */

export type CelType = Aggregate["type"] | "string";

/** What names mean in an expression: those of a tenant's definitions by type; all others are the profile's own. */
export type Names = ReadonlyMap<string, CelType>;

export type Expression = {
  text: string;
  node: ASTNode;
  /** Where it was checked, for parts of it. */
  environment: Environment;
  /** The type that CEL finds, such as `bool` or `double`. */
  type: string;
  /** Free names, without `now` and `event`. */
  reads: ReadonlySet<string>;
  /** Of these, those that stand on the right of `in`. */
  lists: ReadonlySet<string>;
  usesNow: boolean;
  /** Throws where CEL can't compute it. */
  run(context: object): unknown;
};

/** What can stand where an expression is asked for. */
export type ExpressionRules = {
  /**
   * It is told a name's type with the first expression that reads the name: an expression that is kept for long keeps
   * its environment too, which then holds little.
   */
  environment: Environment;
  types: Names;
  /** Types that its result may have. */
  results: readonly string[];
  /** Names that it must not use, with why. */
  refused(name: string): string | undefined;
};

const TIMESTAMP = "google.protobuf.Timestamp";
const LIMITS = { maxAstNodes: 1_000, maxDepth: 50 };
const MACROS = new Set(["all", "exists", "exists_one", "map", "filter"]);

export function conditionEnvironment(): Environment {
  return new Environment({ limits: LIMITS }).registerVariable("event", "map");
}

export function definitionEnvironment(): Environment {
  const environment = new Environment({ limits: LIMITS, unlistedVariablesAreDyn: true });
  return environment.registerVariable("now", TIMESTAMP);
}

const SYNTAX = definitionEnvironment();

/** The free names of an expression, without `now` and `event`; undefined where it is no CEL. */
export function namesRead(text: string): ReadonlySet<string> | undefined {
  try {
    const names = new Set(namesIn(SYNTAX.parse(text).ast).free.keys());
    names.delete("now");
    names.delete("event");
    return names;
  } catch {
    return undefined;
  }
}

/** An expression that is ready to run, or what is wrong with it and where. */
export function parseExpression(
  text: string,
  path: string,
  { environment, types, results, refused }: ExpressionRules,
): Expression | DefinitionProblem {
  let parsed: ParseResult;
  try {
    parsed = environment.parse(text);
  } catch (error) {
    return celProblem(path, text, error);
  }
  const endless = unboundedPart(parsed.ast);
  if (endless) return problem("invalid_definition", path, text, endless.why, positionOf(endless.node));
  const names = namesIn(parsed.ast);
  for (const [name, node] of names.free) {
    const why = refused(name);
    if (why !== undefined) return problem("invalid_definition", path, text, why, positionOf(node));
    const type = types.get(name);
    if (type !== undefined && !environment.hasVariable(name)) environment.registerVariable(name, type);
  }
  const { valid, type, error } = parsed.check();
  if (!valid || type === undefined) return celProblem(path, text, error);
  if (!results.includes(type)) {
    const message = `gives ${type}, and must give ${results.join(" or ")}`;
    return problem("invalid_definition", path, text, message, positionOf(parsed.ast));
  }
  const reads = new Set(names.free.keys());
  const usesNow = reads.delete("now");
  reads.delete("event");
  return {
    text,
    node: parsed.ast,
    environment,
    type,
    reads,
    lists: names.lists,
    usesNow,
    run: (context) => parsed(context),
  };
}

/**
 * What could take any time, or any room, for some user: it would hold up everybody else. Regular expressions here are
 * JavaScript's, which can take years for thirty characters.
 */
function unboundedPart(node: ASTNode, insideMacro = false): { node: ASTNode; why: string } | undefined {
  let inside = insideMacro;
  if (node.op === "rcall" || node.op === "call") {
    const [name] = node.args;
    if (name === "matches") return { node, why: "matches is not supported: its time has no bound;" };
  }
  if (node.op === "rcall") {
    const [name, receiver, args] = node.args;
    if (name === "bind" && receiver.op === "id" && receiver.args === "cel")
      return { node, why: "cel.bind is not supported;" };
    if (MACROS.has(name) && args[0]?.op === "id") {
      if (insideMacro) return { node, why: `${name} can't be used inside of another such function;` };
      if (mentions(node, "now")) return { node, why: `now can't be used with ${name};` };
      inside = true;
    }
  }
  for (const child of childrenOf(node)) {
    const found = unboundedPart(child, inside);
    if (found) return found;
  }
  return undefined;
}

function mentions(node: ASTNode, name: string): boolean {
  return (node.op === "id" && node.args === name) || childrenOf(node).some((child) => mentions(child, name));
}

const MISSING = new Set(["no_such_key", "index_out_of_bounds"]);

/** Whether an expression could not be computed because a map or a list has not what it asks for. */
export function lacksProperty(error: unknown): boolean {
  return MISSING.has((error as { code?: string }).code ?? "");
}

/** A part of an expression as one of its own. */
export function runPart(environment: Environment, node: ASTNode): (context: object) => unknown {
  const parsed = environment.parse(wordsOf(node, environment));
  // Checks once, here; else the first run would.
  parsed.check();
  return (context) => parsed(context);
}

const MAX_MISSING = 5;

/**
 * A part as it was written. The library begins a node behind parentheses and ends it before them, so those that lack
 * are put back. The library's own text rounds numbers to nine places, and gives no CEL where they are large.
 */
export function wordsOf(node: ASTNode, environment: Environment): string {
  const words = node.input.slice(node.start, node.end);
  const wanted = serialize(node);
  for (let before = 0; before <= MAX_MISSING; before += 1)
    for (let behind = 0; behind <= MAX_MISSING; behind += 1) {
      const text = "(".repeat(before) + words + ")".repeat(behind);
      if (isCelLike(text, wanted, environment)) return text;
    }
  return wanted;
}

function isCelLike(text: string, wanted: string, environment: Environment): boolean {
  try {
    return serialize(environment.parse(text).ast) === wanted;
  } catch {
    return false;
  }
}

/** The nodes right below one. */
export function childrenOf(node: ASTNode): ASTNode[] {
  const found: ASTNode[] = [];
  collectNodes(node.args, found);
  return found;
}

function collectNodes(value: unknown, into: ASTNode[]): void {
  if (Array.isArray(value)) for (const each of value) collectNodes(each, into);
  else if (typeof value === "object" && value !== null && "op" in value) into.push(value as ASTNode);
}

/** Free names with the first node of each, and those on the right of `in`. */
function namesIn(root: ASTNode): { free: Map<string, ASTNode>; lists: Set<string> } {
  const free = new Map<string, ASTNode>();
  const lists = new Set<string>();
  const visit = (node: ASTNode, bound: ReadonlySet<string>): void => {
    if (node.op === "id") {
      if (!bound.has(node.args) && !free.has(node.args)) free.set(node.args, node);
      return;
    }
    if (node.op === "in") {
      const [, right] = node.args;
      if (right.op === "id" && !bound.has(right.args)) lists.add(right.args);
    }
    if (node.op === "rcall") {
      const [method, receiver, args] = node.args;
      const [variable, ...rest] = args;
      if (variable?.op === "id" && MACROS.has(method)) {
        const inner = new Set([...bound, variable.args]);
        visit(receiver, bound);
        for (const each of rest) visit(each, inner);
        return;
      }
    }
    for (const child of childrenOf(node)) visit(child, bound);
  };
  visit(root, new Set());
  return { free, lists };
}

function celProblem(path: string, text: string, error: unknown): DefinitionProblem {
  const { summary, message, range } = error as { summary?: string; message: string; range?: Position };
  const why = summary ?? message.split("\n")[0]!;
  const hint = /^no such overload: (double \S+ int|int \S+ double)$/.test(why) ? DOUBLES : "";
  return problem("invalid_definition", path, text, `${why}${hint}`, range);
}

const DOUBLES = "; a number of JSON is a double: write 2.0 for 2, or double(n) for an int,";

type Position = { start: number; end: number };

export function positionOf({ start, end }: ASTNode): Position {
  return { start, end };
}
