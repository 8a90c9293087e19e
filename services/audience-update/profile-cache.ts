import type { ProfileRecord } from "../../shared/ports/profile-store.ts";

/**
 * Records of users seen of late, so that most writes need one round trip. A guess, never a truth: the store's
 * compare-and-set refuses what was computed from a stale one.
 *
 * Records lie as text in two buffers outside of the heap. In a cache of JavaScript values each of them grows
 * old and then dies, which is the dearest way to die for the garbage collector: half of the service's memory
 * was such records, and a sixth of its time. Each buffer is filled in turn, and emptied when it is its turn again:
 * the least recently written half goes at once, and as every turn that reads a record writes it again, that
 * is the least recently used one (the two generations of hashlru, Tarr, 2016).
 */
export type ProfileCache = {
  /** Undefined when this process does not know of a record. */
  get(key: string): ProfileRecord | undefined;
  put(key: string, record: ProfileRecord): void;
  forget(key: string): void;
  size(): number;
  /** Begins anew with another bound; what was in it is forgotten. */
  resize(maxBytes: number): void;
};

/** What an entry takes on the heap, about: its key and its place. */
const BYTES_PER_ENTRY = 150;
/** Room for a record to grow without a new place, so that a hot user does not use up a buffer. */
const SLACK = 1.25;

export function createProfileCache({ maxBytes }: { maxBytes: number }): ProfileCache {
  let newer = createGeneration(Math.floor(maxBytes / 2));
  let older = createGeneration(Math.floor(maxBytes / 2));
  let longest = longestOf(maxBytes);
  return {
    get: (key) => newer.get(key) ?? older.get(key),
    put(key, record) {
      // What is in the newer one is not in the older one.
      if (!newer.has(key)) older.forget(key);
      if (record.machinery.length > longest) {
        newer.forget(key);
        return;
      }
      if (newer.put(key, record)) return;
      [newer, older] = [older, newer];
      newer.clear();
      newer.put(key, record);
    },
    forget(key) {
      newer.forget(key);
      older.forget(key);
    },
    size: () => newer.size() + older.size(),
    resize(bytes) {
      newer = createGeneration(Math.floor(bytes / 2));
      older = createGeneration(Math.floor(bytes / 2));
      longest = longestOf(bytes);
    },
  };
}

/** Of a record, in UTF-16 units, each of up to three bytes: with its slack it fits in an empty generation. */
function longestOf(maxBytes: number): number {
  return maxBytes / 8 - BYTES_PER_ENTRY;
}

/** At each place: the bytes that the entry may take, those of its text, and the text. */
const HEADER_BYTES = 8;
/** Between the version and the machinery in the text; one call to the runtime costs more than this concatenation. */
const SEPARATOR = "\n";

function createGeneration(maxBytes: number) {
  const bytes = Buffer.allocUnsafeSlow(maxBytes);
  const places = new Map<string, number>();
  let end = 0;

  /** The entry's own place where the record fits in, else a new one; undefined where there is no room. */
  function placeFor(key: string, length: number): number | undefined {
    const known = places.get(key);
    if (known !== undefined && length <= bytes.readUInt32LE(known)) return known;
    const capacity = Math.ceil(length * SLACK);
    const place = end;
    if (place + HEADER_BYTES + capacity + (places.size + 1) * BYTES_PER_ENTRY > maxBytes) return undefined;
    end += HEADER_BYTES + capacity;
    bytes.writeUInt32LE(capacity, place);
    places.set(key, place);
    return place;
  }

  return {
    get(key: string): ProfileRecord | undefined {
      const place = places.get(key);
      if (place === undefined) return undefined;
      const start = place + HEADER_BYTES;
      const text = bytes.toString("utf8", start, start + bytes.readUInt32LE(place + 4));
      const separator = text.indexOf(SEPARATOR);
      // ASCII. As a slice of the text it would keep all of it until the save of what is computed from it is over.
      const version = bytes.toString("latin1", start, start + separator);
      return { version, machinery: text.slice(separator + 1) };
    },
    /** False when there is no room; then the entry is gone. */
    put(key: string, { version, machinery }: ProfileRecord): boolean {
      const text = `${version}${SEPARATOR}${machinery}`;
      const length = Buffer.byteLength(text);
      const place = placeFor(key, length);
      if (place === undefined) {
        places.delete(key);
        return false;
      }
      bytes.writeUInt32LE(length, place + 4);
      bytes.write(text, place + HEADER_BYTES);
      return true;
    },
    forget: (key: string) => void places.delete(key),
    clear() {
      places.clear();
      end = 0;
    },
    has: (key: string) => places.has(key),
    size: () => places.size,
  };
}
