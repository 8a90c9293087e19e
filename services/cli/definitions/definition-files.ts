/** Definitions in YAML files: one set out of all of them, and where in the files each part stands. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { isMap, isNode, isScalar, type Pair } from "yaml";
import { type KeylineError, toError } from "../../../shared/runtime/errors.ts";
import { badYaml, parseYaml, placeAt, type YamlSource as Source } from "../yaml-source.ts";

/** A whole set, as the service takes it. */
export type DefinitionFiles = {
  /** Undefined where no file names one. */
  tenant: string | undefined;
  set: Record<Part, Record<string, unknown>>;
  /** `file:line:column` of a path such as `audiences.regulars.rule`, or of the nearest part around it. */
  placeOf(path: string): string | undefined;
};

type Part = "attributes" | "audiences";
const PARTS: readonly string[] = ["attributes", "audiences"] satisfies Part[];
const CODE = "bad_definition_file";

/**
 * Reads files, and all `.yaml` and `.yml` files of folders.
 * @throws KeylineError `bad_definition_file`, naming file and line
 */
export function readDefinitionFiles(paths: readonly string[]): DefinitionFiles {
  const set: DefinitionFiles["set"] = { attributes: Object.create(null), audiences: Object.create(null) };
  const sources = new Map<string, Source>();
  const places = new Map<string, string>();
  const tenants = new Map<string, string>();
  for (const file of paths.flatMap(filesUnder)) {
    const source = parseYaml(file, CODE, { uniqueKeys: false });
    const { contents } = source.document;
    if (contents === null || (isScalar(contents) && contents.value === null)) continue;
    for (const [part, pair] of entriesOf(contents, source, "the file")) {
      if (part === "tenant") {
        noteTenant(tenants, pair, source);
        continue;
      }
      if (!PARTS.includes(part))
        throw bad(placeOfKey(pair, source), `${part} is neither attributes, audiences nor tenant`);
      if (isScalar(pair.value) && pair.value.value === null) continue;
      for (const [name, definition] of entriesOf(pair.value, source, part)) {
        const place = placeOfKey(definition, source);
        // They share one set of names.
        const before = places.get(name);
        if (before !== undefined) throw bad(place, `${name} is defined at ${before} already`);
        places.set(name, place);
        sources.set(`${part}.${name}`, source);
        const { value } = definition;
        // Its fields, each once.
        if (isMap(value)) entriesOf(value, source, name);
        set[part as Part][name] = isNode(value) ? value.toJS(source.document) : value;
      }
    }
  }
  const [tenant] = tenants.keys();
  return { tenant, set, placeOf: (path) => placeOf(path, sources, places) };
}

/** All files that name one name the same. */
function noteTenant(tenants: Map<string, string>, pair: Pair, source: Source): void {
  const place = placeOfKey(pair, source);
  const tenant = isScalar(pair.value) ? pair.value.value : undefined;
  if (typeof tenant !== "string" || tenant === "") throw bad(place, "tenant is not a name");
  const [other] = tenants;
  if (other && other[0] !== tenant) throw bad(place, `tenant is ${tenant}, and ${other[0]} at ${other[1]}`);
  tenants.set(tenant, place);
}

function filesUnder(path: string): string[] {
  let names: string[];
  try {
    if (!statSync(path).isDirectory()) return [path];
    names = readdirSync(path).filter((name) => /\.ya?ml$/.test(name));
  } catch (error) {
    throw bad(path, toError(error).message);
  }
  if (names.length === 0) throw bad(path, "the folder has no .yaml or .yml files");
  return names.sort().map((name) => join(path, name));
}

/** The entries of a map by key, each once. */
function entriesOf(node: unknown, source: Source, what: string): [key: string, pair: Pair][] {
  if (!isMap(node)) {
    const at = isNode(node) && node.range ? node.range[0] : 0;
    throw bad(placeAt(source, at), `${what} is not a map of names`);
  }
  const seen = new Map<string, string>();
  return node.items.map((pair) => {
    const key = isScalar(pair.key) ? String(pair.key.value) : "";
    const place = placeOfKey(pair, source);
    const before = seen.get(key);
    if (before !== undefined) throw bad(place, `${key} is defined at ${before} already`);
    seen.set(key, place);
    return [key, pair];
  });
}

function placeOfKey({ key }: Pair, source: Source): string {
  return placeAt(source, isNode(key) && key.range ? key.range[0] : 0);
}

function placeOf(
  path: string,
  sources: ReadonlyMap<string, Source>,
  places: ReadonlyMap<string, string>,
): string | undefined {
  const [part = "", name = "", ...rest] = path.split(".");
  const source = sources.get(`${part}.${name}`);
  if (!source) return undefined;
  const node = source.document.getIn([part, name, ...rest], true);
  if (rest.length > 0 && isNode(node) && node.range) return placeAt(source, node.range[0]);
  return places.get(name);
}

function bad(place: string, message: string): KeylineError {
  return badYaml(CODE, place, message);
}
