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
  const operators = setting.split(",").map((part) => {
    const [, name, token] = /^([A-Za-z][\w.-]*)=(.+)$/.exec(part) ?? [];
    // A lone token may end in the = of its base64.
    return token === undefined || /^=+$/.test(token)
      ? { name: undefined, digest: digestOf(part) }
      : { name, digest: digestOf(token) };
  });
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
