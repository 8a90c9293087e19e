import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openRefusedReport } from "../../services/cli/import/refused-report.ts";

const folder = mkdtempSync(join(tmpdir(), "keyline-report-"));
afterEach(() => rmSync(folder, { recursive: true }));

test("a report that could not be written is not taken for whole later", async () => {
  const within = join(folder, "not-there-yet");
  const report = await openRefusedReport(join(within, "refused.ndjson"), 0);
  report.add({ line: 2, text: "a" }, { code: "empty_row", message: "does nothing" });
  await expect(report.flush()).rejects.toMatchObject({ code: "bad_report" });
  mkdirSync(within);
  report.add({ line: 3, text: "b" }, { code: "empty_row", message: "does nothing" });
  await expect(report.flush()).rejects.toMatchObject({ code: "bad_report" });
  await report.close();
});
