import { stripTypeScriptTypes } from 'node:module';

/** Jest sees the same source that Node runs: types stripped in place, so that lines and columns stay exact. */
export default {
  process: (source) => ({ code: stripTypeScriptTypes(source, { mode: 'strip' }) }),
};
