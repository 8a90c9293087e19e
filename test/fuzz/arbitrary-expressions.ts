/** Expressions of definitions: those that are none, those at the edges of the language, and words thrown together. */
import fc from "fast-check";
import { arbitraryText } from "./arbitrary-strange.ts";

const times = (count: number, part: string, between: string) => Array(count).fill(part).join(between);
const nested = (levels: number, open: string, inside: string, close: string) =>
  open.repeat(levels) + inside + close.repeat(levels);

/** No definition may have one of them, whatever it is. */
export const WRONG_EXPRESSIONS = [
  ...["(", ")", "1 +", "&& true", "true &&", "true true", "'open", '"open', "[1, 2", "{'a': }", "a.", "a..b"],
  ...["a ? b", "@", "#", "a = b", "a === b", "a and b", "`a`", "\u0000", "\ud800", "ünïcode == 1", "null("],
  ...["1 + true", "'a' - 1", "!1", "-'a'", "size(1)", "nothing(1)", "true.startsWith('a')", "1 && true"],
  ...["'a'.matches('a') == true", "matches('a', 'a') == true", "cel.bind(x, 1, x == 1)", "0x", "1e", "'\\x'"],
  ...["[1].all(x, [2].exists(y, y == x))", "[now].exists(x, true)", "[1].map(x, x, x, x)", "in", "if"],
  ...[51, 60, 1_000].flatMap((levels) => [
    nested(levels, "(", "true", ")"),
    nested(levels, "[", "", "]"),
    nested(levels, "!(", "true", ")"),
    nested(levels, "size([", "", "])"),
  ]),
  ...[times(600, "true", "||"), `${"-".repeat(1_500)}1`, `'${"x".repeat(4_096)}'`],
];

/** They may be taken or not; whoever is evaluated with them may fail, and nobody else. */
const ODD_EXPRESSIONS = [
  ...[
    "true",
    "false",
    "true // why",
    "true // why\n",
    " true ",
    "\ttrue\n",
    "((true))",
    "!!!true",
    "- - 1 == 1",
  ],
  ...[
    "1 / 0 == 1",
    "1 % 0 == 1",
    "1.0 / 0.0 > 1.0",
    "0.0 / 0.0 == 0.0",
    "int('x') == 1",
    "double('x') > 1.0",
  ],
  ...["9223372036854775807 + 1 > 0", "-9223372036854775808 == 1", "9223372036854775808 > 1", "1e999 > 1.0"],
  ...[
    "0xFFFFFFFFFFFFFFFFF > 1",
    "1u == 1u",
    "-1u == 1u",
    "uint(-1) == 1u",
    "int(1e300) == 1",
    "1e-400 == 0.0",
  ],
  ...[
    "timestamp('x') < now",
    "now < timestamp('9999-12-31T23:59:59Z')",
    "now - timestamp(0) > duration('1h')",
  ],
  ...["now > timestamp(plan)", "now - timestamp(plan) > duration(plan)", "now + duration('999999h') > now"],
  ...["now == now", "now", "now > now", "now + now > now", "!(now < timestamp('0001-01-01T00:00:00Z'))"],
  ...[
    "duration('1x') > duration('1h')",
    "duration('99999999999999999h') > duration('0s')",
    "duration('') == 1",
  ],
  ...[
    "'\\u{110000}' == ''",
    "'\\ud800' == ''",
    "'\\U0010FFFF' == ''",
    "'😀' == plan",
    "r'\\' == ''",
    "'''a''' == 'a'",
  ],
  ...[
    "b'\\xff' == b''",
    "plan == null",
    "plan.a.b.c == 1",
    "plan['a'][0] == 1",
    "plan[0] == 1",
    "has(plan.a)",
  ],
  ...["has(plan)", "type(1) == int", "type(plan) == type(1)", "dyn(1) == 'a'", "[1, 'a', null] == [plan]"],
  ...[
    "{'a': 1}['b'] == 1",
    "{1: 2, 1: 3}[1] == 2",
    "{'a': {}}.a == {}",
    "[][0] == 1",
    "[1][1] == 1",
    "[1][-1] == 1",
  ],
  ...["constructor == 1", "__proto__ == 1", "toString == 1", "hasOwnProperty('a')", "plan.constructor == 1"],
  ...[
    "tags.exists(x, x == 'a')",
    "tags.all(constructor, true)",
    "tags.map(x, [x])[0] == ['a']",
    "'a' in tags",
  ],
  ...[
    "tags.exists(orders, orders == orders)",
    "plan in plan",
    "1 in {1: 2}",
    "'a' in 'abc'",
    "size(tags) > 1",
  ],
  ...[
    "points * 2.0 > 1.0",
    "points + 1 > 1",
    "string(points) == '1'",
    "points == points",
    "string(now) == ''",
  ],
  ...[
    "orders",
    "orders > 1",
    "orders + 1",
    "spend / double(orders) > 1.0",
    "orders > 1 ? 'a' : 2",
    "regulars",
  ],
  ...["!regulars", "regulars && !regulars", "event.amount > 0", "event", "event.a.b.c > 1", "event == null"],
  ...["event['__proto__'] == 1", "event.constructor == 1", "has(event.amount)", "size(event) > 1"],
  ...[
    "size('a' + plan) > 1",
    "plan.split('').size() > 1",
    "plan.lowerAscii() == 'a'",
    "plan.indexOf('') == 0",
  ],
  ...[
    "'%s'.format([1]) == ''",
    "plan.substring(-1) == ''",
    "'a'.replace('a', 'b') == ''",
    "[plan].join(',') == ''",
  ],
  ...["math.greatest(1, 2) == 2", "optional.none() == 1", "a.?b == 1", "1 ?: 2", "strings.quote('a') == ''"],
  ...[10, 24, 48, 49].flatMap((levels) => [
    nested(levels, "(", "true", ")"),
    nested(levels, "!", "true", ""),
  ]),
  ...[times(100, "orders > 1", " || "), times(250, "true", "&&"), times(90, "plan == 'a'", " && ")],
  ...[`'${"x".repeat(4_000)}' == plan`, `${"a".repeat(4_000)} == 1`, `plan in [${times(400, "1", ",")}]`],
  ...[`[${times(30, `[${times(20, "1", ",")}]`, ",")}] == plan`, `true // ${"x".repeat(4_080)}`],
];

const word = fc.constantFrom(
  ...["orders", "spend", "items", "regulars", "plan", "tags", "points", "now", "event", "event.amount", "x"],
  ...["true", "false", "null", "0", "1", "-1", "2.5", "1e3", "'a'", "''", "'pro'", "[]", "[1, 2]", "{}"],
  ...[
    "(",
    ")",
    "[",
    "]",
    ".",
    ",",
    "?",
    ":",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "in",
  ],
  ...[
    "size(",
    "has(",
    "double(",
    "string(",
    "int(",
    "timestamp(",
    "duration('1h')",
    ".exists(x, ",
    ".startsWith(",
  ],
);

/** A right one may still not fit where it stands: its type, its names. */
export const arbitraryExpression: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: fc.constantFrom(...ODD_EXPRESSIONS), weight: 12 },
  { arbitrary: fc.constantFrom(...WRONG_EXPRESSIONS), weight: 6 },
  { arbitrary: fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(" ")), weight: 4 },
  {
    arbitrary: fc
      .tuple(
        fc.constantFrom(...ODD_EXPRESSIONS),
        fc.constantFrom("&&", "||", "==", "+"),
        fc.constantFrom(...ODD_EXPRESSIONS),
      )
      .map(([left, sign, right]) => `(${left}) ${sign} (${right})`),
    weight: 4,
  },
  { arbitrary: arbitraryText(8), weight: 1 },
);
