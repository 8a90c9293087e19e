import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { importFormat } from "../../shared/imports/import-format.ts";
import type { Mapping } from "../../shared/imports/mapping.ts";
import { type ImportedRow, readRows } from "../../shared/imports/read-rows.ts";
import { unpacked } from "../../shared/imports/unpack.ts";

const mapping: Mapping = {
  userId: { column: "user" },
  set: { a: { column: "a", empty: "keep" }, b: { column: "b", empty: "keep" } },
};

async function* inChunks(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length]!;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function rowsOf(
  bytes: AsyncIterable<Uint8Array>,
  options: Partial<Parameters<typeof readRows>[0]> = {},
): Promise<ImportedRow[]> {
  const rows: ImportedRow[] = [];
  const format = importFormat("rows.csv", mapping);
  for await (const some of readRows({ bytes, format, importId: "i", ...options })) rows.push(...some);
  return rows;
}

type Written = { line: number; offset: number; fields: string[] };

/** What a writer that knows nothing of the reader puts where. */
function write(
  rows: readonly { fields: string[]; quoted: boolean; blankBefore: boolean }[],
  { lineEnd, mark, lastEnd }: { lineEnd: string; mark: boolean; lastEnd: boolean },
): { bytes: Buffer; written: Written[] } {
  let text = `${mark ? "\ufeff" : ""}user,a,b${lineEnd}`;
  let line = 2;
  const written: Written[] = [];
  for (const { fields, quoted, blankBefore } of rows) {
    if (blankBefore) {
      text += lineEnd;
      line += 1;
    }
    const cells = fields.map((field) =>
      quoted || /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field,
    );
    written.push({ line, offset: Buffer.byteLength(text), fields });
    text += cells.join(",") + lineEnd;
    line += 1 + fields.join("").split("\n").length - 1;
  }
  if (!lastEnd && written.length > 0) text = text.slice(0, -lineEnd.length);
  return { bytes: Buffer.from(text), written };
}

const field = fc
  .array(fc.constantFrom("a", "é", "😀", '"', ",", "\n", "\r\n", " ", ";"), { maxLength: 5 })
  .map((parts) => parts.join(""));
const user = fc.constantFrom("u1", "u2", "ü3");
const row = fc.record({
  fields: fc.tuple(user, field, field) as fc.Arbitrary<string[]>,
  quoted: fc.boolean(),
  blankBefore: fc.boolean(),
});
const file = fc.record({
  rows: fc.array(row, { maxLength: 8 }),
  form: fc.record({
    lineEnd: fc.constantFrom("\n", "\r\n"),
    mark: fc.boolean(),
    lastEnd: fc.boolean(),
  }),
});
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

const taken = (rows: readonly ImportedRow[]) =>
  rows.map((each) => [
    each.line,
    "update" in each && each.update.userId,
    "update" in each && each.update.ops,
  ]);
const expected = (written: readonly Written[]) =>
  written.map(({ line, fields: [userId, a, b] }) => [line, userId, [{ kind: "set", body: { a, b } }]]);

test("every row of CSV is read with its line, whatever its quotes, line ends, mark and chunks", async () => {
  await fc.assert(
    fc.asyncProperty(file, sizes, fc.boolean(), async ({ rows, form }, chunks, packed) => {
      const { bytes, written } = write(rows, form);
      const source = inChunks(packed ? gzipSync(bytes) : bytes, chunks);
      expect(taken(await rowsOf(unpacked(source)))).toEqual(expected(written));
    }),
    { numRuns: 500 },
  );
});

test("reading goes on from any row as if it had not stopped", async () => {
  await fc.assert(
    fc.asyncProperty(file, sizes, fc.nat(), async ({ rows, form }, chunks, stop) => {
      const { bytes, written } = write(rows, form);
      const whole = await rowsOf(inChunks(bytes, chunks));
      if (whole.length === 0) return;
      const last = whole[stop % whole.length]!;
      const rest = await rowsOf(inChunks(bytes.subarray(last.next.offset), chunks), {
        from: { ...last.next, columns: ["user", "a", "b"] },
      });
      expect([...whole.slice(0, whole.indexOf(last) + 1), ...rest]).toEqual(whole);
      expect(taken(whole)).toEqual(expected(written));
    }),
    { numRuns: 300 },
  );
});

const brokenLines = ['u1,a"b,c', 'u1,"a,c', 'u1,"a"b,c', "u1,a", "u1,a,b,c", ",a,b", "\xff"];

test("a broken line is refused with its number, and costs no other", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.constantFrom(...brokenLines), fc.constant("u2,x,y")), { maxLength: 12 }),
      sizes,
      async (lines, chunks) => {
        const bytes = Buffer.from(["user,a,b", ...lines, ""].join("\n"), "latin1");
        const rows = await rowsOf(inChunks(bytes, chunks));
        expect(rows.map((each) => [each.line, "update" in each])).toEqual(
          lines.map((line, index) => [index + 2, line === "u2,x,y"]),
        );
      },
    ),
  );
});

test("NDJSON is read line by line", async () => {
  const format = importFormat("rows.ndjson", mapping);
  const json = fc.oneof(
    fc.record({ user, a: field, b: field }).map((value) => ({ text: JSON.stringify(value), good: true })),
    fc
      .constantFrom("{", "[]", "null", '{"__proto__":{}}', '{"user":1e999}')
      .map((text) => ({ text, good: false })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(json, { maxLength: 8 }), sizes, async (lines, chunks) => {
      const bytes = Buffer.from(lines.map(({ text }) => text).join("\r\n"));
      const rows = await rowsOf(inChunks(bytes, chunks), { format });
      expect(rows.map((each) => [each.line, "update" in each])).toEqual(
        lines.map(({ good }, index) => [index + 1, good]),
      );
    }),
  );
});

test("a byte order mark is no part of the first row of a file without a header", async () => {
  const format = importFormat("rows.csv", { ...mapping, columns: ["user", "a", "b"] });
  const rows = await rowsOf(inChunks(Buffer.from('\ufeff"u1",x,y\n'), [1]), { format });
  expect(taken(rows)).toEqual([[1, "u1", [{ kind: "set", body: { a: "x", b: "y" } }]]]);
});

test("a line that is too long is refused, passed over, and costs no other", async () => {
  const long = `u1,${"x".repeat(300_000)},y`;
  const bytes = Buffer.from(`user,a,b\nu1,1,2\n${long}\n"${long}\nu2,3,4\n${long}`);
  const rows = await rowsOf(inChunks(bytes, [65_536]));
  expect(rows.map((row) => [row.line, "refusal" in row ? row.refusal.code : "taken"])).toEqual([
    [2, "taken"],
    [3, "line_too_long"],
    [4, "line_too_long"],
    [5, "taken"],
    [6, "line_too_long"],
  ]);
  expect(rows.at(-1)!.next.offset).toBe(bytes.length);
  expect(Math.max(...rows.map(({ text }) => text.length))).toBeLessThan(2_000);
});

test("what a quoted field that is too long becomes does not depend on the chunks that come", async () => {
  const long = `u1,"${`${"x".repeat(99)}\n`.repeat(5_000)}u9,5,6\n",y`;
  const bytes = Buffer.from(`user,a,b\nu1,1,2\n${long}\nu2,3,4\n`);
  const read = async (size: number) => {
    const rows = await rowsOf(inChunks(bytes, [size]));
    return rows.map((row) => [row.line, row.next, "refusal" in row ? row.refusal.code : "taken"]);
  };
  expect(await read(bytes.length)).toEqual(await read(65_536));
});

test("UTF-16 is refused as a whole", async () => {
  const bytes = Buffer.from("\ufeffuser,a,b\nu1,1,2\n", "utf16le");
  await expect(rowsOf(inChunks(bytes, [7]))).rejects.toMatchObject({ code: "not_utf8" });
});
