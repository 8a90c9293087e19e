/** A YAML file, and where in it each part stands. */
import { readFileSync } from "node:fs";
import { type Document, LineCounter, parseDocument } from "yaml";
import { KeylineError, toError } from "../../shared/runtime/errors.ts";

export type YamlSource = { file: string; document: Document; lines: LineCounter };

/**
 * @param uniqueKeys false where whoever reads it looks for repeated names itself, so that both places can be named.
 * @param code of what is thrown where there is no such file, or no YAML in it; the message names file and line.
 * @throws KeylineError
 */
export function parseYaml(file: string, code: string, { uniqueKeys }: { uniqueKeys: boolean }): YamlSource {
  const lines = new LineCounter();
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw badYaml(code, file, toError(error).message);
  }
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys, prettyErrors: false });
  const source = { file, document, lines };
  const [error] = document.errors;
  if (error) throw badYaml(code, placeAt(source, error.pos[0]), error.message);
  return source;
}

/** `file:line:column` */
export function placeAt({ file, lines }: YamlSource, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
}

export function badYaml(code: string, place: string, message: string): KeylineError {
  return new KeylineError(code, `${place}: ${message}`, { path: place });
}
