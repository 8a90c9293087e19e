import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { decode } from "../../shared/domain/decode.ts";
import { unpackText } from "../../shared/domain/pack.ts";

test("the pack that docs/ledger.md shows is one, of updates that apply", () => {
  const document = readFileSync("docs/ledger.md", "utf8");
  const [, pack] = /```text\n(.*?)\n```/s.exec(document)!;
  const packed = unpackText(pack!);
  expect(packed?.map(({ key }) => key)).toEqual(["shop:42", "shop:Zoë"]);
  for (const { key, payload } of packed!) {
    const provenance = { key, sizeBytes: Buffer.byteLength(payload), publishTimeMs: 0 };
    const limits = { maxUpdateBytes: 10_000, maxClockSkewMs: 0 };
    expect(decode(payload, provenance, limits, Date.UTC(2026, 1))).toEqual({ update: JSON.parse(payload) });
  }
});
