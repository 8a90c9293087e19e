import { randomBytes } from "node:crypto";

/** A publisher's numbers: `seq` is dense per (user, src), starting at 1. */
export type Numbering = {
  next(userKey: string): { src: string; seq: number };
  /** Takes back the number that `next` has just given, which was not used. */
  takeBack(userKey: string): void;
  /** Begins a new `src` for every user. */
  renew(): void;
};

type Line = { src: string; seq: number };

/**
 * Numbers for at most `maxUsers` users, kept in two generations: a user that is not seen for the length of
 * one is forgotten. A forgotten user that comes back starts a new `src`, because its old numbers are not
 * known any more; the name of a generation is never used twice.
 */
export function createNumbering({ maxUsers }: { maxUsers: number }): Numbering {
  const incarnation = randomBytes(9).toString("base64url");
  const generationSize = Math.max(1, Math.floor(maxUsers / 2));
  let generation = 0;
  let young = new Map<string, Line>();
  let old = new Map<string, Line>();

  return {
    next(userKey) {
      let line = young.get(userKey);
      if (!line) {
        if (young.size >= generationSize) {
          old = young;
          young = new Map();
          generation += 1;
        }
        line = old.get(userKey) ?? { src: `${incarnation}.${generation.toString(36)}`, seq: 0 };
        young.set(userKey, line);
      }
      line.seq += 1;
      return { src: line.src, seq: line.seq };
    },
    takeBack(userKey) {
      const line = young.get(userKey);
      if (line) line.seq -= 1;
    },
    renew() {
      young = new Map();
      old = new Map();
      generation += 1;
    },
  };
}
