/**
 * Makes HTML cheap to put into many pages. A single character beyond Latin-1, such as a dash between years, would
 * double the width of the whole page's string and more than double the time to encode it. A concatenated string also
 * stays a tree of its parts until it goes through bytes and back.
 */
export const compact = (text: string): string =>
  Buffer.from(
    text.replaceAll(/[\u0100-\u{10ffff}]/gu, (character) => `&#${character.codePointAt(0)};`),
  ).toString();
