import { html } from 'hono/html';
import { withoutTurns } from '#contracts/text.ts';
import type { Html } from './layout.ts';

/**
 * What somebody wrote, beside what others wrote: in its own direction, so that neither turns the other around. Takes
 * marks out that turn text around, for one that closes an isolate leaves `<bdi>` as well.
 */
export const isolate = (text: string): Html => html`<bdi>${withoutTurns(text)}</bdi>` as Html;

/** Several of them, as `, ` or another text stands between. */
export const isolateEach = (texts: readonly string[], between: string): Html =>
  html`${texts.map((text, index) => html`${index > 0 ? between : ''}${isolate(text)}`)}` as Html;

/** A sentence in which `isolatedText` marked what somebody wrote. */
export const sentence = (text: string): Html =>
  html`${text
    .split(/(\u2068[^\u2069]*\u2069)/)
    .map((part) => (part.startsWith('\u2068') ? isolate(part) : part))}` as Html;
