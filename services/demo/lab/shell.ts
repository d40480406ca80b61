import { html } from 'hono/html';
import { type Html, shell } from '#pages/layout.ts';

/** The frame of the lab's pages. They are complete without their script, and then ask for themselves anew. */
export function labShell(page: {
  readonly title: string;
  readonly description: string;
  readonly styles: readonly string[];
  readonly script: string;
  readonly refreshSeconds: number;
  /** Links of the header. */
  readonly nav: Html;
  readonly main: Html;
  readonly footer: string;
}): string {
  return shell({
    ...page,
    look: 'lab',
    icon: '/assets/icon.svg',
    scripts: [page.script],
    header: html`<a class="wordmark" href="/">Brandmarkt <span class="lab-mark">lab</span></a>
<nav class="top-nav" aria-label="Main">${page.nav}</nav>` as Html,
  });
}
