/** A tenant's schema as a YAML file: what is shown can be changed and declared. */
import { Document, isMap, isNode, isScalar } from "yaml";
import { badYaml, parseYaml, placeAt, type YamlSource } from "../yaml-source.ts";
import type { ShownSchema } from "./tenant-client.ts";

export type SchemaFile = {
  /** As the gateway takes it; what is wrong inside it, the gateway tells. */
  schema: object;
  /** `file:line:column` of a path such as `events.seen.mode`, or of the nearest part around it. */
  placeOf(path: string): string | undefined;
};

const CODE = "bad_schema_file";

/** @throws KeylineError `bad_schema_file`, naming file and line */
export function readSchemaFile(file: string): SchemaFile {
  const source = parseYaml(file, CODE, { uniqueKeys: true });
  const { contents } = source.document;
  if (!isMap(contents)) throw badYaml(CODE, placeAt(source, 0), "the file is not a map of names");
  return { schema: source.document.toJS() as object, placeOf: (path) => placeOf(path, source) };
}

function placeOf(path: string, source: YamlSource): string | undefined {
  const keys = path.split(".");
  for (let length = keys.length; length > 0; length -= 1) {
    const node = source.document.getIn(keys.slice(0, length), true);
    if (isNode(node) && node.range) return placeAt(source, node.range[0]);
  }
  return undefined;
}

/** Without what is built in; what is learned says so in a comment. */
export function schemaText({ mode, unknown, events, attributes, problems }: ShownSchema): string {
  const isOwn = ({ origin }: { origin: string }) => origin !== "built-in";
  const shown = Object.entries(events).filter(
    ([, event]) => isOwn(event) || Object.values(event.properties).some(isOwn),
  );
  const document = new Document({ mode, unknown, events: {}, attributes: {} });
  for (const [name, { origin, mode, properties }] of shown) {
    document.setIn(["events", name], document.createNode({ ...(mode && { mode }), properties: {} }));
    if (origin === "learned") comment(document, ["events", name]);
    for (const [property, { type, origin }] of Object.entries(properties))
      if (origin !== "built-in") put(document, ["events", name, "properties", property], { type }, origin);
  }
  for (const [name, { origin, ...attribute }] of Object.entries(attributes))
    put(document, ["attributes", name], attribute, origin);
  const counts = Object.entries(problems).map(([result, count]) => `${result} ${count}`);
  document.commentBefore = ` not as the schema says, at the gateway that answers, since it started: ${counts.join(", ")}`;
  return document.toString({ lineWidth: 0 }).trimEnd();
}

function put(document: Document, path: string[], value: object, origin: string): void {
  const node = document.createNode(value, { flow: true });
  if (origin === "learned") node.comment = " learned";
  document.setIn(path, node);
}

/** Of what takes more than a line, beside its name. */
function comment(document: Document, path: string[]): void {
  const parent = document.getIn(path.slice(0, -1));
  if (!isMap(parent)) return;
  const pair = parent.items.find(({ key }) => (isScalar(key) ? key.value : key) === path.at(-1));
  if (pair && isNode(pair.value)) pair.value.commentBefore = " learned";
}
