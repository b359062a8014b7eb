// Ranking for the "Go to…" box.  Pure.

/** How well 'text' answers 'query': higher is better, null: not at all.
 * Whole beginnings beat beginnings of words beat letters in order. */
export function score(query: string, text: string): number | null {
  const q = query.trim().toLowerCase();
  const t = text.toLowerCase();
  if (q === "") return 0;
  if (t.startsWith(q)) return 1000 - t.length;
  const at = t.indexOf(q);
  if (at > 0) return (/[\s._-]/.test(t[at - 1]!) ? 800 : 600) - t.length;
  let i = 0;
  let gaps = 0;
  for (const c of q) {
    const j = t.indexOf(c, i);
    if (j < 0) return null;
    gaps += j - i;
    i = j + 1;
  }
  return 300 - gaps * 4 - t.length;
}
