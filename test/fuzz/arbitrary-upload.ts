/** Uploads of files, most of them with a line or two that are broken. */
import fc from "fast-check";
import type { Call } from "./arbitrary-calls.ts";
import { RawJson } from "./json-text.ts";

export const IMPORTS_PATH = "/v1/imports";

const cell = fc.constantFrom("", "1", "seen", '"a,b"', '"a\nb"', '"a""b"', 'a"b', '"a', "ä", "1e999", "{}");
const csvLine = fc.array(cell, { minLength: 3, maxLength: 4 }).map((cells) => cells.join(","));
const jsonLine = fc.constantFrom(
  '{"userId":"ann","ops":[{"kind":"set","body":{"plan":1}}]}',
  '{"userId":"ann","ops":[{"kind":"tick","body":{"due":1}}]}',
  '{"userId":"ann","ops":[{"kind":"set","body":{"__proto__":1}}]}',
  '{"userId":"ann","ops":[],"priority":"live"}',
  '{"userId":"\\ud800","ops":[{"kind":"set","body":{"plan":1}}],"at":"2026-02-30T00:00:00Z"}',
  "[]",
  "{",
  "",
);
const mapping = fc.constantFrom(
  "userId: user\nset: {plan: plan}\n",
  "userId: user\nevent: {column: plan, properties: {amount: {column: n, type: json}}}\nincrement: {points: n}\n",
  "userId: user\nset: {constructor: plan, __proto__: n}\n",
  "userId: &a user\nset: {plan: *a}\n",
  "userId: [",
  "",
);

const part = (name: string, file: string | undefined, content: string) =>
  `--x\r\ncontent-disposition: form-data; name="${name}"${file === undefined ? "" : `; filename="${file}"`}\r\n\r\n${content}\r\n`;

const csv = fc
  .tuple(mapping, fc.array(csvLine, { maxLength: 6 }))
  .map(
    ([text, lines]) =>
      part("mapping", undefined, text) + part("file", "f.csv", `user,plan,n\n${lines.join("\n")}`),
  );
const ndjson = fc
  .array(jsonLine, { maxLength: 4 })
  .map((lines) => part("file", "f.ndjson", lines.join("\n")));

export const arbitraryUpload: fc.Arbitrary<Call> = fc
  .tuple(fc.oneof(csv, ndjson), fc.constantFrom("importId=one", "importId=one&fromLine=3"))
  .map(([parts, query]) => ({
    ...{ method: "POST", path: `${IMPORTS_PATH}?${query}`, as: "tenant" },
    contentType: "multipart/form-data; boundary=x",
    body: new RawJson(`${parts}--x--\r\n`),
  }));
