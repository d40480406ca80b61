import type { Request, Response } from 'express';
import { html } from 'hono/html';
import { PROBLEM_MEDIA_TYPE, PROBLEMS, type ProblemType, problem } from '#contracts/problems.ts';
import { type Html, layout, type Site } from '#pages/layout.ts';

/** What a reader sees above the detail; the title of the problem is written for programs. */
const HEADLINES: Partial<Record<ProblemType, string>> = {
  'not-found': 'There is nothing here',
  'invalid-request': 'That address cannot be right',
  'method-not-allowed': 'This page can only be read',
  'too-many-requests': 'Not so fast',
  'not-acceptable': 'This page comes as HTML or as JSON',
  unavailable: 'We will be right back',
  internal: 'Something broke on our side',
};

/** The form of the answer: HTML, or JSON when the reader prefers it; null when the reader accepts neither. */
export function representation(req: Request): 'html' | 'json' | null {
  const { accept } = req.headers;
  // Browsers and plain clients: not worth a negotiation.
  if (accept === undefined || accept === '*/*' || accept.startsWith('text/html,')) return 'html';
  if (accept === 'application/json') return 'json';
  const best = req.accepts(['text/html', 'application/json', PROBLEM_MEDIA_TYPE]);
  if (best === false) return null;
  return best === 'text/html' ? 'html' : 'json';
}

/**
 * Answers a refusal: a page for people, a problem document (RFC 9457) for programs.
 * @param setCommonHeaders those that every answer carries
 */
export function refuseWith(site: Site, setCommonHeaders: (res: Response) => void) {
  return (
    req: Request,
    res: Response,
    type: ProblemType,
    detail: string,
    errors?: Array<{ at: string; message: string }>,
  ): void => {
    const instance = String(res.locals['requestId'] ?? '');
    const { status } = PROBLEMS[type];
    setCommonHeaders(res);
    if (type === 'unavailable') res.set('retry-after', '2');
    res.status(status).vary('Accept').set('cache-control', 'no-store');
    if (representation(req) === 'json') {
      res.set('content-type', PROBLEM_MEDIA_TYPE);
      res.end(JSON.stringify(problem(type, detail, { instance, ...(errors ? { errors } : {}) })));
      return;
    }
    const again = status >= 500 && req.method === 'GET';
    const headline = HEADLINES[type] ?? PROBLEMS[type].title;
    res.set('content-type', 'text/html; charset=utf-8');
    res.end(
      layout(site, {
        title: headline,
        main: html`<div class="refusal"><p class="refusal-code" aria-hidden="true">${status}</p><h1>${headline}</h1><p class="refusal-detail">${detail}</p>${errors ? html`<ul>${errors.map((one) => html`<li>${one.at}: ${one.message}</li>`)}</ul>` : ''}<p class="refusal-actions">${again ? html`<a class="button" href="">Try again</a> <a class="button secondary" href="${site.search()}">Browse services</a>` : html`<a class="button" href="${site.search()}">Browse services</a> <a class="button secondary" href="${site.home}">Start page</a>`}</p><p class="quiet small">Request ${instance}</p></div>` as Html,
      }),
    );
  };
}
