import type { Problem } from '#contracts/problems.ts';
import { type FieldErrors, fieldErrors, isAnythingTyped, type Values } from './form.ts';
import type { NotAcknowledged } from './make-change.ts';
import type { Notice } from './templates.ts';

/** What a seller reads when something did not go through, and what to do then. */

export const DOWN = 'Your list is out of reach for the moment';
export const CHANGED_ELSEWHERE = 'Your list has changed since you opened this page';

export interface Refusal {
  readonly problem: Problem;
  readonly retryAfterSeconds: number | null;
}

function duration(seconds: number): string {
  if (seconds === 1) return 'a second';
  return seconds < 120 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}

/** The notice when a change was not sent or got no answer. Only without an answer is it open whether it was saved. */
export const notAcknowledged = (outcome: NotAcknowledged): Notice =>
  outcome === 'not-sent'
    ? {
        tone: 'problem',
        title: DOWN,
        text: 'Your change was not sent, and nothing you typed is lost. Try again in a moment.',
      }
    : {
        tone: 'problem',
        title: 'We did not hear back in time',
        text: 'Your change may have been saved or not. Just try again: it is recognised, and never done twice.',
      };

/** A refusal in the seller's words: beside the fields where it is about them, else above the page. */
export function explain(
  { problem, retryAfterSeconds }: Refusal,
  values: Values,
): { errors: FieldErrors; notice: Notice | undefined } {
  const kept = isAnythingTyped(values) ? ' What you typed is still in the form.' : '';
  const told = (title: string, text: string) => ({
    errors: {},
    notice: { tone: 'problem', title, text: `${text}${kept}` } as const,
  });
  switch (problem.type.split(':').at(-1)) {
    case 'invalid-request': {
      const { fields, others } = fieldErrors(problem);
      const isReversed = fields.to !== undefined && values.from !== '' && values.to < values.from;
      if (isReversed) fields.to = 'Until must not be before From';
      if (others.length === 0 && Object.keys(fields).length > 0) return { errors: fields, notice: undefined };
      return { ...told('That could not be saved', others.join('. ') || problem.detail), errors: fields };
    }
    case 'duplicate-client':
      return { errors: { name: 'Brand is in your list already' }, notice: undefined };
    case 'too-many-clients':
      return told('Your list is full', 'Remove a client to add another.');
    case 'precondition-failed':
    case 'order-mismatch':
      return told(
        CHANGED_ELSEWHERE,
        `It was changed in another window or on another device. This is how it is now; ${kept ? 'check it and save again.' : 'please make your change again.'}`,
      );
    case 'not-found':
      return told('That client is no longer in your list', 'This is your list as it is now.');
    case 'too-many-requests':
      return told(
        'That was a lot of changes in a short time',
        `Wait ${retryAfterSeconds ? duration(retryAfterSeconds) : 'a moment'}, then try again.`,
      );
    case 'erased':
      return told(
        'Your list was erased since you opened this page',
        'Nothing was saved. This is your list as it is now; make your change here if you want it all the same.',
      );
    case 'idempotency-key-reused':
      return told('Your first try was saved after all', 'This is your list as it is now.');
    default:
      return told(problem.title, problem.detail);
  }
}
