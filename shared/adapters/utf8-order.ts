/**
 * Compares well-formed texts as their UTF-8 bytes do, which is by code points. `<` compares UTF-16 units and puts an
 * emoji before U+E000 to U+FFFF.
 */
export function compareUtf8(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index++) {
    const unitA = a.charCodeAt(index);
    const unitB = b.charCodeAt(index);
    if (unitA === unitB) continue;
    // A surrogate is part of a code point above all those of one unit.
    const order = Number(isSurrogate(unitA)) - Number(isSurrogate(unitB));
    return order === 0 ? unitA - unitB : order;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}
