"use strict";
// Words of a text that its counterpart lacks, by their longest common subsequence.
function marked(text, other, wrap) {
  const WORDS = /\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu, MAX_CELLS = 360000;
  const mine = text.match(WORDS) || [], theirs = other.match(WORDS) || [];
  if (text === other || !theirs.length || mine.length * theirs.length > MAX_CELLS) return [text];
  const width = theirs.length + 1, table = new Uint16Array((mine.length + 1) * width);
  for (let i = mine.length - 1; i >= 0; i--) {
    for (let j = theirs.length - 1; j >= 0; j--) {
      table[i * width + j] = mine[i] === theirs[j] ? table[(i + 1) * width + j + 1] + 1 :
        Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const parts = [];
  let i = 0, j = 0, plain = "", extra = "";
  const flush = () => {
    if (extra) parts.push(wrap(extra));
    if (plain) parts.push(plain);
    plain = extra = "";
  };
  while (i < mine.length) {
    if (j < theirs.length && mine[i] === theirs[j]) {
      if (extra) flush();
      plain += mine[i]; i++; j++;
    } else if (j < theirs.length && table[i * width + j + 1] >= table[(i + 1) * width + j]) j++;
    else {
      if (plain) flush();
      extra += mine[i]; i++;
    }
  }
  flush();
  return parts;
}
