/** Deepest nesting of a header; a text of brackets alone must not fill the stack. */
const MAX_DEPTH = 16;

/** The end of the string that begins at `start` with a quotation mark. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

/** Keys that one object has twice, and nesting: what `JSON.parse` lets pass. The text is valid JSON but for the depth. */
function findFault(text: string): string | null {
  const scopes: (Set<string> | null)[] = [];
  for (let i = 0; i < text.length; i++) {
    const sign = text[i]!;
    if (sign === "{" || sign === "[") scopes.push(sign === "{" ? new Set() : null);
    else if (sign === "}" || sign === "]") scopes.pop();
    if (scopes.length > MAX_DEPTH) return `expected at most ${MAX_DEPTH} levels of nesting.`;
    if (sign !== '"') continue;
    const end = endOfString(text, i);
    const keys = scopes.at(-1);
    if (keys && /^\s*:/.test(text.slice(end, end + 64))) {
      const key = JSON.parse(text.slice(i, end)) as string;
      if (keys.has(key)) return `expected every key once, got ${JSON.stringify(key)} twice.`;
      keys.add(key);
    }
    i = end - 1;
  }
  return null;
}

/** The depth of brackets outside strings, before a parser that recurses sees them. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const sign = text[i]!;
    if (sign === '"') i = endOfString(text, i) - 1;
    else if (sign === "{" || sign === "[") depth++;
    else if (sign === "}" || sign === "]") depth--;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/**
 * Parses JSON from a file that nobody vouches for: what nests deeper than a header may, or names a key twice, is refused.
 *
 * @param fail throws the error with the reason
 */
export function parseStrictJson(text: string, fail: (what: string) => never): unknown {
  if (isTooDeep(text)) fail(`expected at most ${MAX_DEPTH} levels of nesting.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    fail("expected valid JSON.");
  }
  const fault = findFault(text);
  if (fault !== null) fail(fault);
  return value;
}
