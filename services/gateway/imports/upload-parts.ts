import type { FastifyRequest } from "fastify";
import { type ImportFormat, importFormat } from "../../../shared/imports/import-format.ts";
import { readMapping } from "../../../shared/imports/read-mapping.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { atMost, type Patience, patiently } from "./uploaded-bytes.ts";

export const MAX_MAPPING_BYTES = 262_144;

export type UploadedFile = { bytes: AsyncIterable<Uint8Array>; format: ImportFormat };

/**
 * The parts of an upload up to its file, which is not read yet: a mapping comes before it.
 * @throws KeylineError `invalid_request`, `bad_mapping`, `no_mapping`, `unknown_format`, `upload_stalled`, `upload_broken`
 */
export async function uploadedFile(request: FastifyRequest, patience: Patience): Promise<UploadedFile> {
  let mapping: string | undefined;
  for await (const part of patiently<Part>(request.parts(), patience)) {
    if (part.fieldname === "mapping") mapping = await textOf(part, patience);
    else if (part.fieldname === "file" && part.type === "file") {
      const format = importFormat(
        part.filename ?? "",
        mapping === undefined ? undefined : readMapping(mapping),
      );
      return { bytes: patiently(part.file, patience), format };
    } else {
      const message = "must be the parts mapping, then file (curl: -F mapping=@m.yaml -F file=@f.csv)";
      throw new KeylineError("invalid_request", `${part.fieldname}: ${message}`, { path: part.fieldname });
    }
  }
  throw new KeylineError("invalid_request", "file: is required", { path: "file" });
}

type Part =
  | { type: "file"; fieldname: string; filename?: string; file: AsyncIterable<Uint8Array> }
  | { type: "field"; fieldname: string; value: unknown };

/** As curl sends it: `-F mapping=@file` or `-F mapping='...'`. */
async function textOf(part: Part, patience: Patience): Promise<string> {
  if (part.type === "field") return typeof part.value === "string" ? part.value : JSON.stringify(part.value);
  const chunks: Uint8Array[] = [];
  for await (const chunk of atMost(patiently(part.file, patience), MAX_MAPPING_BYTES)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
