import { html } from 'hono/html';
import { withoutTurns } from '#contracts/text.ts';
import type { Html } from './layout.ts';

/**
 * A text that somebody wrote, isolated from the texts beside it, so that neither changes the direction of the other.
 * Marks that change the direction are removed: one that closes an isolate would leave `<bdi>` as well.
 */
export const isolate = (text: string): Html => html`<bdi>${withoutTurns(text)}</bdi>` as Html;

/** Several isolated texts, with `, ` or another text between them. */
export const isolateEach = (texts: readonly string[], between: string): Html =>
  html`${texts.map((text, index) => html`${index > 0 ? between : ''}${isolate(text)}`)}` as Html;

/** A sentence in which `isolatedText` marked what somebody wrote. */
export const sentence = (text: string): Html =>
  html`${text
    .split(/(\u2068[^\u2069]*\u2069)/)
    .map((part) => (part.startsWith('\u2068') ? isolate(part) : part))}` as Html;
