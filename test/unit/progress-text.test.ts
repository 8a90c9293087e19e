import { expect, test } from "vitest";
import { countsText, progressText } from "../../services/cli/import/progress-text.ts";

test("what became of the rows adds up, in digits that can be read", () => {
  expect(countsText({ accepted: 119_976, refused: 24 })).toBe("120,000 rows: 119,976 taken, 24 refused");
  expect(countsText({ accepted: 0, refused: 1 })).toBe("1 row: 0 taken, 1 refused");
});

test("how far an import is, is said with its line, its speed and what is left", () => {
  const begin = { accepted: 10_000, refused: 0, part: 0.25 };
  const now = { lines: 20_002, accepted: 19_000, refused: 1_001, part: 0.5 };
  expect(progressText(now, begin, 5_000)).toBe(
    "50.0 %  line 20,002  19,000 taken  1,001 refused  2,000/s  10 s left",
  );
});
