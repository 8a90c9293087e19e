import type { FastifyRequest } from "fastify";
import { type ImportFormat, importFormat } from "../../../shared/imports/import-format.ts";
import { readMapping } from "../../../shared/imports/read-mapping.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { atMost, type Patience, patiently } from "./uploaded-bytes.ts";

export const MAX_MAPPING_BYTES = 262_144;

export type UploadedFile = {
  bytes: AsyncIterable<Uint8Array>;
  format: ImportFormat;
  /** After its last byte. @throws KeylineError `invalid_request` where another part comes */
  assertLast(): Promise<void>;
};

const ORDER =
  "the parts must be one mapping, then one file (curl: -F mapping=@m.yaml -F file=@f.csv); what comes behind the file is too late";

/**
 * The parts of an upload up to its file, which is not read yet: a mapping comes before it.
 * @throws KeylineError `invalid_request`, `bad_mapping`, `no_mapping`, `unknown_format`, `upload_stalled`, `upload_broken`
 */
export async function uploadedFile(request: FastifyRequest, patience: Patience): Promise<UploadedFile> {
  let mapping: string | undefined;
  const parts = patiently<Part>(request.parts(), patience);
  const assertLast = async () => {
    const { value: more } = await parts.next();
    if (more) refuseOrder(more);
  };
  // Not by `for await`, which would end the parts with the file.
  for (let next = await parts.next(); !next.done; next = await parts.next()) {
    const part = next.value;
    if (part.fieldname === "mapping" && mapping === undefined) mapping = await textOf(part, patience);
    else if (part.fieldname === "file" && part.type === "file")
      return { bytes: patiently(part.file, patience), format: formatOf(part.filename, mapping), assertLast };
    else refuseOrder(part);
  }
  throw new KeylineError("invalid_request", "file: is required", { path: "file" });
}

function refuseOrder({ fieldname }: Part): never {
  throw new KeylineError("invalid_request", `${fieldname}: ${ORDER}`, { path: fieldname });
}

/** @throws KeylineError `bad_mapping`, `no_mapping`, `unknown_format` */
function formatOf(filename = "", mapping: string | undefined): ImportFormat {
  try {
    return importFormat(filename, mapping === undefined ? undefined : readMapping(mapping));
  } catch (error) {
    if (!(error instanceof KeylineError) || mapping !== undefined) throw error;
    const { code, message, value } = error;
    const text = `${message}; a part mapping must come before the file`;
    throw new KeylineError(code, text, { path: error.path ?? "mapping", value });
  }
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
