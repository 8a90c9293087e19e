import { expect, test } from "vitest";
import { withFigures } from "../../scripts/figures-table.ts";

const marked = (name: string, inside: string) =>
  `<!-- figures ${name}: npm run ${name} -->\n${inside}<!-- end -->\n`;

test("a table is made anew between its markers, and nothing else is touched", () => {
  const document = `before\n${marked("bench", "old\n")}between\n${marked("bench:hot", "kept\n")}`;
  const figures = { "a.b": { value: 0.61, unit: "ratio" }, c: { value: 3, unit: "ms" } };
  const after = withFigures(document, "bench", figures, "2026-11-29, 2 cores");
  expect(after).toBe(
    `before\n${marked(
      "bench",
      "`npm run bench`, 2026-11-29, 2 cores:\n\n| figure | value | unit |\n|---|---|---|\n| `a.b` | 0.61 | ratio |\n| `c` | 3 | ms |\n\n",
    )}between\n${marked("bench:hot", "kept\n")}`,
  );
  expect(withFigures(after, "bench", figures, "2026-11-29, 2 cores")).toBe(after);
});
