/**
 * Ms since the epoch of an instant, as `Date.parse` has them. As `Date` writes it, it is read for a small part of what that costs;
 * every other text is left to `Date.parse`.
 */
export function instantOf(text: string): number {
  const isLaidOut =
    text.length === 24 &&
    text.charCodeAt(4) === DASH &&
    text.charCodeAt(7) === DASH &&
    text.charCodeAt(10) === T &&
    text.charCodeAt(13) === COLON &&
    text.charCodeAt(16) === COLON &&
    text.charCodeAt(19) === POINT &&
    text.charCodeAt(23) === Z;
  if (!isLaidOut) return Date.parse(text);
  const year = 100 * twoDigits(text, 0) + twoDigits(text, 2);
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  const second = twoDigits(text, 17);
  const ms = 10 * twoDigits(text, 20) + digit(text, 22);
  // The leap day is left out as well. NaN fits nowhere.
  const fits = day >= 1 && day <= DAYS[month]! && hour <= 23 && minute <= 59 && second <= 59;
  if (!fits || !(year >= 1) || Number.isNaN(ms)) return Date.parse(text);
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const before = year - 1;
  const days =
    365 * before +
    Math.floor(before / 4) -
    Math.floor(before / 100) +
    Math.floor(before / 400) +
    DAYS_BEFORE[month]! +
    (isLeap && month > 2 ? 1 : 0) +
    day -
    1 -
    DAYS_TO_1970;
  return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + ms;
}

/** NaN where they are no digits. */
const twoDigits = (text: string, at: number): number => 10 * digit(text, at) + digit(text, at + 1);
function digit(text: string, at: number): number {
  const digit = text.charCodeAt(at) - ZERO;
  return digit >= 0 && digit <= 9 ? digit : Number.NaN;
}

const [ZERO, DASH, COLON, POINT] = [0x30, 0x2d, 0x3a, 0x2e];
const [T, Z] = [0x54, 0x5a];
/** By the number of the month, in a year that is no leap year. */
const DAYS = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const DAYS_BEFORE = DAYS.map((_, month) => DAYS.slice(0, month).reduce((sum, days) => sum + days, 0));
/** From the first day of year 1. */
const DAYS_TO_1970 = 719_162;
