import { createHash, timingSafeEqual } from "node:crypto";

/** Who may force the route, by bearer token. */
export type Operators = {
  /** The operator's name, or undefined when the header is missing or its token is nobody's. */
  authenticate(authorization: string | undefined): { name: string | undefined } | undefined;
};

/**
 * From the setting: `name=token,name=token`, or one token without a name, whose users may say who they are.
 * Compares digests in constant time, so that neither content nor length of a token can be measured.
 */
export function createOperators(setting: string): Operators {
  const operators = parseTokens(setting).map(({ name, token }) => ({ name, digest: digestOf(token) }));
  return {
    authenticate(authorization) {
      const token = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
      if (token === undefined) return undefined;
      const given = digestOf(token);
      let found: { name: string | undefined } | undefined;
      for (const { name, digest } of operators) if (timingSafeEqual(digest, given)) found = { name };
      return found;
    },
  };
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

type Token = { name: string | undefined; token: string };

function parseTokens(setting: string): Token[] {
  const parts = setting.split(",");
  return parts.map((part) => {
    const [, name, token = ""] = /^([A-Za-z][\w.-]*)=(.*)$/.exec(part) ?? [];
    // A lone token may end in the = of its base64; in a list a name without a token is a mistake.
    const lone = name === undefined || (parts.length === 1 && /^=*$/.test(token));
    return lone ? { name: undefined, token: part } : { name, token };
  });
}

const SHORTEST_TOKEN = 8;

/** Whether each token of the setting is long enough to be one, and each name stands once. */
export function areTokens(setting: string): boolean {
  const tokens = parseTokens(setting);
  const names = tokens.flatMap(({ name }) => name ?? []);
  const fit = tokens.every(({ token }) => token.length >= SHORTEST_TOKEN && /^[\u0021-\u007e]+$/.test(token));
  return fit && new Set(names).size === names.length;
}
