import { z } from 'zod';

export interface KeptView {
  readonly delivery: 'asynchronous' | 'hybrid';
  readonly version: number;
}

/** Parses the name of a view, for example `asynchronous-v1`. */
export const keptView = z.string().transform((text, context): KeptView => {
  const [, delivery, version] = /^(asynchronous|hybrid)-v([1-9]\d{0,6})$/.exec(text) ?? [];
  if (delivery === undefined) {
    context.addIssue({
      code: 'custom',
      message: 'one of them is no view; write asynchronous-v1 or hybrid-v1',
    });
    return z.NEVER;
  }
  return { delivery: delivery as KeptView['delivery'], version: Number(version) };
});
