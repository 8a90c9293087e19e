import type { DocumentStore, TenantDocument } from "../ports/document-store.ts";

/** Who change one document at once are few: more than this many in turn is a defect. */
const ATTEMPTS = 8;

/**
 * Changes a document in steps of which none is lost to another: puts what `next` makes of what is stored in its place,
 * and asks again where somebody else was first.
 *
 * @param next the new text, of what is stored and the version that it will have; undefined: it stays as it is. May be asked several times.
 * @param now milliseconds since the epoch; versions are not less.
 * @returns false where others change it all the time; it is as they left it. Rejects with `store_unavailable`, and with what `next` throws.
 */
export async function changeDocument(
  store: Pick<DocumentStore, "read" | "replace">,
  name: string,
  next: (stored: TenantDocument, version: number) => string | undefined,
  now: () => number,
): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const stored = await store.read(name);
    const version = Math.max(stored.version + 1, now());
    const document = next(stored, version);
    if (document === undefined) return true;
    if (await store.replace(name, stored.version, { version, document })) return true;
  }
  return false;
}
