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

const FORM =
  "a token of 8 or more printable characters, or name=token,name=token with such tokens and each name once";

/** Why the setting gives no operators, without its tokens; undefined when it does. */
export function problemOfTokens(setting: string): string | undefined {
  const tokens = parseTokens(setting);
  const names = tokens.flatMap(({ name }) => name ?? []);
  const fit = tokens.every(({ token }) => token.length >= SHORTEST_TOKEN && /^[\u0021-\u007e]+$/.test(token));
  if (!fit || new Set(names).size !== names.length) return `is not ${FORM}`;
  const nameOf = new Map<string, string>();
  for (const { name = "no name", token } of tokens) {
    const other = nameOf.get(token);
    if (other !== undefined) return `gives ${other} and ${name} the same token`;
    nameOf.set(token, name);
  }
  return undefined;
}
