import { describe, expect, it } from "vitest";
import { parseMessageId } from "./message-id.ts";

const fromHex = (hex: string) => parseMessageId(Buffer.from(hex, "hex"));

describe("a Pulsar message id", () => {
  it("is read as a broker sends it", () => {
    expect(parseMessageId(Buffer.from("CAcQABgBMAA=", "base64"))).toEqual({
      ledgerId: 7,
      entryId: 0,
      partition: 1,
      batchIndex: 0,
    });
  });

  it("keeps numbers beyond 32 bits", () => {
    // ledger 2^53 - 1, entry 2^33
    expect(fromHex("08ffffffffffffff0f108080808020")).toMatchObject({
      ledgerId: Number.MAX_SAFE_INTEGER,
      entryId: 2 ** 33,
    });
  });

  it("counts partition -1 as 0 and batch index -1 as 0", () => {
    const minusOne = "ffffffffffffffffff01";
    expect(fromHex(`08051006${`18${minusOne}`}${`20${minusOne}`}`)).toEqual({
      ledgerId: 5,
      entryId: 6,
      partition: 0,
      batchIndex: 0,
    });
  });

  it("reads the batch index and skips fields that it does not know", () => {
    // batch index 9, batch size 10, first chunk's id (length-delimited), a fixed64 and a fixed32
    expect(
      fromHex(`0805100618022009300a3a0408011002${"49"}${"00".repeat(8)}${"5d"}${"00".repeat(4)}`),
    ).toEqual({
      ledgerId: 5,
      entryId: 6,
      partition: 2,
      batchIndex: 9,
    });
  });

  it.each([
    ["empty", ""],
    ["cut inside a number", "0880"],
    ["cut inside a field", "080510063a0408"],
    ["without an entry", "0805"],
    ["with a group", "0805100643"],
    ["with an endless number", `08${"ff".repeat(11)}01`],
  ])("is refused when it is %s", (_name, hex) => {
    expect(() => fromHex(hex)).toThrow(expect.objectContaining({ code: "message_id_malformed", value: hex }));
  });
});
